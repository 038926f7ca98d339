"""The load of an echo model: as long, as large and as unlucky as its options say."""

from __future__ import annotations

import mmap
import time
from typing import TYPE_CHECKING, Final

from inferd.errors import LoadFailed

if TYPE_CHECKING:
    from threading import Event

    from inferd_actors.engine import OnProgress
    from inferd_actors.engines.echo.options import Options

PROGRESS_S: Final = 0.1
"""Between two reports."""


def pretend(options: Options, on_progress: OnProgress, closing: Event) -> mmap.mmap | None:
    """Return the memory that the model holds, None for none. Blocks; raises LoadFailed as told, or once `closing`."""
    _dawdle(options.load_s, on_progress, closing)
    if options.load_fails:
        raise LoadFailed("told to fail by its options", details={"cause": options.load_fails})
    return _ballast(options.memory_bytes) if options.memory_bytes else None


def _dawdle(load_s: float, on_progress: OnProgress, closing: Event) -> None:
    began_s = time.monotonic()
    while (passed_s := time.monotonic() - began_s) < load_s:
        on_progress(passed_s / load_s, "pretending")
        if closing.wait(min(PROGRESS_S, load_s - passed_s)):
            raise LoadFailed("closed while loading", details={"cause": "engine"})


def _ballast(size_bytes: int) -> mmap.mmap:
    """Return that much memory with every page written: reserved alone it would not be used."""
    try:
        block = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for page in range(0, size_bytes, mmap.PAGESIZE):
            block[page] = 1
    except (OSError, MemoryError) as refused:
        problem = f"no {size_bytes:,} bytes to be had: {refused}"
        raise LoadFailed(problem, details={"cause": "no_memory"}) from None
    return block
