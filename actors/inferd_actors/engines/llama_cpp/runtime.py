"""A loaded model ready to answer: what the loop computes with, put together once.

Covers: loading in its steps, with progress, and what of it can fail. Does not cover requests.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inferd_actors.engine import Capacity
from inferd_actors.engines.llama_cpp import library
from inferd_actors.engines.llama_cpp.opening import Opened, open_file
from inferd_actors.engines.llama_cpp.options import Options
from inferd_actors.engines.llama_cpp.sampling import Defaults, defaults_of
from inferd_actors.engines.llama_cpp.template import ChatTemplate

if TYPE_CHECKING:
    from inferd_actors.engine import OnProgress


@dataclass(frozen=True, slots=True)
class Runtime:
    """What the loop computes with. Context: the loop's thread alone; vocabulary and template: the preparing thread's too."""

    model: library.Model
    context: library.Context
    template: ChatTemplate | None
    """None: the file has none, so it is not a chat model."""
    defaults: Defaults
    options: Options
    context_tokens: int
    """Of one request."""
    cells: int
    """Of all together."""
    batch_tokens: int
    """Most tokens of a step."""

    @property
    def capacity(self) -> Capacity:
        """What the daemon is told."""
        memory_bytes = self.model.memory_bytes(self.cells)
        return Capacity(self.options.slots, True, self.context_tokens, memory_bytes)

    def close(self) -> None:
        """Release everything, in the library's order."""
        if self.template is not None:
            self.template.close()
        self.context.close()
        self.model.close()


def load(
    path: str, options: Options, on_progress: OnProgress, go_on: Callable[[], bool], ahead: Opened | None = None
) -> Runtime:
    """Return the model ready to answer, its weights read once. Blocks; raises LoadFailed.

    `go_on`: asked while reading; False gives up. `ahead`: a file that was opened before; it is closed if it is not this one.
    The process that renders chat templates starts and compiles meanwhile.
    """

    def report(done: float) -> bool:
        on_progress(0.9 * done, "reading weights")
        return go_on()

    on_progress(0.0, "importing")  # goes on since the call: the library is opened here at the latest
    library.open_library()
    on_progress(0.0, "reading weights")
    with ExitStack() as built:
        opened = _reused(ahead, path, options) or open_file(path, options.gpu_layers, report)
        built.callback(opened.close)
        model = opened.model
        sizes = opened.sizes(options)
        if not opened.has_cache(options):
            on_progress(0.9, "preparing the cache")
        context = opened.take_cache(options)
        built.callback(context.close)
        if model.is_offloaded:
            on_progress(0.95, "warming up")
            _warm_up(model, context)
        defaults = defaults_of(model.metadata)
        if opened.template is not None:
            on_progress(0.98, "compiling the chat template")
            opened.await_template()
        runtime = Runtime(
            model, context, opened.template, defaults, options, sizes.context_tokens, sizes.cells, sizes.batch_tokens
        )
        built.pop_all()
    on_progress(1.0, "starting the loop")
    return runtime


def _reused(ahead: Opened | None, path: str, options: Options) -> Opened | None:
    """Return what was opened ahead if it is still what is to be loaded; else it is closed."""
    if ahead is None or ahead.is_still(path, options.gpu_layers):
        return ahead
    ahead.close()
    return None


def _warm_up(model: library.Model, context: library.Context) -> None:
    """Compute once: a GPU makes its kernels ready then. On CPUs a first prompt costs the same without it (272 ms, measured)."""
    tokens = model.vocabulary.tokenize("a", add_begin=True, marks=False)
    context.decode([library.Row(0, 0, tokens, wants_logits=True)])
    context.forget(0)
