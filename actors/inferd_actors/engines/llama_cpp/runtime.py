"""A loaded model with all that belongs to it: weights, cache, chat template.

Covers: loading in order, the numbers that the daemon is told, releasing. Does not cover requests: `engine`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from inferd.errors import LoadFailed
from inferd_actors.engine import Capacity
from inferd_actors.engines.llama_cpp import library
from inferd_actors.engines.llama_cpp.sampling import Defaults, Step, defaults_of
from inferd_actors.engines.llama_cpp.template import ChatTemplate

if TYPE_CHECKING:
    from inferd_actors.engine import OnProgress
    from inferd_actors.engines.llama_cpp.options import Options

BATCH_TOKENS: Final = 512
"""llama.cpp's physical batch; larger ones gain nothing on a CPU."""
DEFAULT_CONTEXT_TOKENS: Final = 4_096
"""The cache is allocated at once: a model trained for 131,072 tokens would take gigabytes for a greeting."""
SLOTS: Final = 1


@dataclass(slots=True)
class Prepared:
    """A request once its prompt has been tokenized."""

    prompt: library.Tokens
    sampler: library.Sampler
    limit_tokens: int
    """Most tokens that the answer may have."""
    warnings: tuple[str, ...] = ()
    read_tokens: int = 0
    """How much of the prompt is in the cache."""
    latest: int = -1
    """The token chosen last, not yet in the cache."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """What the loop computes with; all of it belongs to the loop's thread."""

    model: library.Model
    context: library.Context
    template: ChatTemplate | None
    """None: the file has none, so it is not a chat model."""
    defaults: Defaults
    context_tokens: int

    @property
    def capacity(self) -> Capacity:
        """What the daemon is told."""
        return Capacity(SLOTS, False, self.context_tokens, self.model.memory_bytes(self.context_tokens))

    def prepare(
        self, prompt: library.Tokens, steps: Sequence[Step], limit_tokens: int, warnings: tuple[str, ...]
    ) -> Prepared:
        """Return a request ready to be read into the cache, which is emptied for it; its sampler is the caller's to close."""
        self.context.forget(0)
        return Prepared(prompt, library.Sampler(steps, len(self.model.vocabulary)), limit_tokens, warnings)

    def compute(self, start: int, tokens: Sequence[int] | library.Tokens) -> int:
        """Continue the sequence; return where the logits of the last token are."""
        return self.context.decode([library.Row(0, start, tokens, wants_logits=True)])[0]

    def close(self) -> None:
        """Release everything, in the library's order."""
        if self.template is not None:
            self.template.close()
        self.context.close()
        self.model.close()


def load(path: str, name: str, options: Options, on_progress: OnProgress, go_on: Callable[[], bool]) -> Runtime:
    """Return the model ready to answer, its weights read once. Blocks; raises LoadFailed.

    `go_on`: asked while reading; False gives up.
    """

    def report(done: float) -> bool:
        on_progress(0.9 * done, "reading weights")
        return go_on()

    library.open_library()
    with ExitStack() as built:
        model = library.Model(path, gpu_layers=options.gpu_layers, on_progress=report)
        built.callback(model.close)
        context_tokens = _context_tokens(options.context_tokens, model.trained_tokens)
        on_progress(0.9, "preparing the cache")
        context = _context(model, context_tokens, options)
        built.callback(context.close)
        on_progress(0.95, "warming up")
        _warm_up(model, context)
        runtime = Runtime(model, context, _template(model, name), defaults_of(model.metadata), context_tokens)
        built.pop_all()
    on_progress(1.0, "ready")
    return runtime


def _context(model: library.Model, context_tokens: int, options: Options) -> library.Context:
    return library.Context(
        model,
        cells=context_tokens,
        seats=1,
        batch_tokens=BATCH_TOKENS,
        threads=options.computing_threads,
    )


def _context_tokens(wanted: int, trained: int) -> int:
    if wanted > trained:
        problem = f"engine option context_tokens: {wanted:,} are wanted, the model was trained for {trained:,}"
        raise LoadFailed(problem, details={"cause": "engine", "option": "context_tokens"})
    return wanted or min(trained, DEFAULT_CONTEXT_TOKENS)


def _warm_up(model: library.Model, context: library.Context) -> None:
    """Compute once, so that the first request does not wait for pages of the file."""
    tokens = model.vocabulary.tokenize("a", add_begin=True, marks=False)
    context.decode([library.Row(0, 0, tokens, wants_logits=True)])
    context.forget(0)


def _template(model: library.Model, name: str) -> ChatTemplate | None:
    if model.template is None:
        return None
    return ChatTemplate(
        model.template, name=name, begin_text=model.vocabulary.begin_text, end_text=model.vocabulary.end_text
    )
