"""Has the kernel read a model's file while the model's process starts, so that the load finds it in memory.

Covers: asking for it, in pieces, by a worker thread, as long as the load is wanted and memory is free. Does not cover when
(`fleet`). The memory is the load's own: the ledger has granted it, weights included. Nothing is done where the system has no
such advice (macOS), and nothing depends on it: what was not read ahead is read by the engine.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

PIECE_BYTES: Final = 32 * 2**20
"""Asked for at a time: a tenth of a second of a slow disk, after which a load that was given up is noticed."""

Advise = Callable[[int, int, int], None]
"""`advise(descriptor, offset, length)`: what is wanted soon. May block while the disk is busy."""


def pieces(size_bytes: int, free_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield (offset, length) of what is asked for, in order: no more than is free. Pure."""
    end = min(size_bytes, free_bytes)
    for offset in range(0, end, PIECE_BYTES):
        yield offset, min(PIECE_BYTES, end - offset)


def system_advice() -> Advise | None:
    """Return the system's advice that a part of a file is wanted soon; None where it has none."""
    if not hasattr(os, "posix_fadvise"):
        return None

    def advise(descriptor: int, offset: int, length: int) -> None:
        os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_WILLNEED)

    return advise


class ReadAhead:
    """Reads files ahead. `free_bytes()`: what programs could take now; called in the loop."""

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        free_bytes: Callable[[], int],
        advise: Advise | None = None,
    ) -> None:
        """`advise`: None: the system's own, if it has one."""
        self._tasks = tasks
        self._free_bytes = free_bytes
        self._advise = advise or system_advice()

    def begin(self, path: Path, is_wanted: Callable[[], bool]) -> None:
        """Begin with a file; go on while `is_wanted()`, asked in the loop. Returns at once."""
        if self._advise is not None:
            self._tasks.create_task(self._read(path, self._advise, is_wanted), name=f"read ahead {path.name}")

    async def _read(self, path: Path, advise: Advise, is_wanted: Callable[[], bool]) -> None:
        with suppress(OSError):  # the load will say what is wrong with the file
            descriptor = await asyncio.to_thread(os.open, path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                for offset, length in pieces(os.fstat(descriptor).st_size, self._free_bytes()):
                    if not is_wanted():
                        return
                    await asyncio.to_thread(advise, descriptor, offset, length)
            finally:
                os.close(descriptor)
