"""A model's file opened: its weights, its vocabulary, its chat template, and its cache if the load's settings are known.

Covers: opening, and whether what was opened ahead of a load is what that load is about. Does not cover the load: `runtime`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

from inferd_actors.engines.llama_cpp import library
from inferd_actors.engines.llama_cpp.options import Options
from inferd_actors.engines.llama_cpp.sizes import Sizes, sizes_of
from inferd_actors.engines.llama_cpp.template import ChatTemplate, Renderer


class Mark(NamedTuple):
    """What tells a file from one that takes its place, and from itself once it was written to."""

    path: str
    device: int
    inode: int
    size_bytes: int
    mtime_ns: int


LOADING_THREADS: Final = 1
"""Until it serves: others compute meanwhile, and threads that wait for each other on cores that these use only burn time: one
token costs 0.02 s of CPU so, and 0.29 s with two threads on two busy cores."""


class Opened:
    """An open file. `template` None: the file has none, so it is not a chat model."""

    def __init__(self, mark: Mark | None, gpu_layers: int, model: library.Model, template: ChatTemplate | None) -> None:
        """`mark`: of the file before it was opened; None: it could not be looked at."""
        self.model = model
        self.template = template
        self._mark = mark
        self._gpu_layers = gpu_layers
        self._is_compiled = template is None
        self._cache: tuple[Sizes, library.Context] | None = None

    def is_still(self, path: str, gpu_layers: int) -> bool:
        """Tell whether this is what opening `path` now would give, and whether its template can be rendered."""
        is_same = self._mark is not None and self._mark == _mark_of(path) and self._gpu_layers == gpu_layers
        return is_same and (self.template is None or self.template.is_alive)

    def await_template(self) -> None:
        """Return when the template has been compiled. Blocks; raises LoadFailed when it cannot be. Harmless when repeated."""
        if self.template is not None and not self._is_compiled:
            self.template.await_compiled()
            self._is_compiled = True

    def prepare_cache(self, options: Options) -> None:
        """Make the cache of a load with these settings. Blocks while its memory is zeroed; raises LoadFailed."""
        sizes = self.sizes(options)
        self._cache = sizes, _context(self.model, sizes)

    def has_cache(self, options: Options) -> bool:
        """Tell whether the cache of a load with these settings is there."""
        return self._cache is not None and self._cache[0] == self.sizes(options)

    def take_cache(self, options: Options) -> library.Context:
        """Return the cache of a load with these settings, which is the caller's to close. Blocks if it is still to be made."""
        if self._cache is not None and self.has_cache(options):
            (_, context), self._cache = self._cache, None
            return context
        self._close_cache()
        return _context(self.model, self.sizes(options))

    def sizes(self, options: Options) -> Sizes:
        """Return what a load with these settings allocates by. Raises LoadFailed naming the wrong one."""
        return sizes_of(options, self.model.trained_tokens, is_offloaded=self.model.is_offloaded)

    def close(self) -> None:
        """Release everything; a cache that was taken is closed before."""
        self._close_cache()
        if self.template is not None:
            self.template.close()
        self.model.close()

    def _close_cache(self) -> None:
        if self._cache is not None:
            self._cache[1].close()
            self._cache = None


def open_file(path: str, gpu_layers: int, on_progress: Callable[[float], bool]) -> Opened:
    """Return the file opened; its template is compiled meanwhile, see `await_template`. Blocks; raises LoadFailed.

    `on_progress`: of reading weights, 0 to 1; it returns False to give up.
    """
    mark = _mark_of(path)
    with ExitStack() as built:
        renderer = Renderer()
        built.callback(renderer.close)
        model = library.Model(path, gpu_layers=gpu_layers, on_progress=on_progress)
        built.callback(model.close)
        opened = Opened(mark, gpu_layers, model, _template(model, Path(path).name, renderer))
        built.pop_all()
    if opened.template is None:
        renderer.close()
    return opened


def _context(model: library.Model, sizes: Sizes) -> library.Context:
    return library.Context(
        model, cells=sizes.cells, seats=sizes.seats, batch_tokens=sizes.batch_tokens, threads=LOADING_THREADS
    )


def _mark_of(path: str) -> Mark | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None  # opening it will say why
    return Mark(path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def _template(model: library.Model, name: str, renderer: Renderer) -> ChatTemplate | None:
    """Return the model's chat template, which `renderer` begins to compile; None: the file has none."""
    if model.template is None:
        return None
    words = model.vocabulary
    return ChatTemplate(
        model.template, name=name, begin_text=words.begin_text, end_text=words.end_text, renderer=renderer
    )
