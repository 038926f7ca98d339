"""Which of the cache's cells each sequence holds: llama.cpp's own accounts, kept beside it so that room is known beforehand.

Covers: taking, sharing and giving back cells of one unified cache. A shared prefix is held by several sequences and counted
once. Does not cover who should give way: `schedule`. Pure.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Cells:
    """A cache of `total` cells. A `seat` is a sequence's number; one that holds nothing is unknown."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._holders = np.zeros(total, np.int32)
        self._free = list(range(total))
        self._held: dict[int, NDArray[np.int64]] = {}

    @property
    def free(self) -> int:
        """How many cells nobody holds."""
        return len(self._free)

    def length(self, seat: int) -> int:
        """Return how many cells a sequence holds, its own and shared ones."""
        return len(self._held.get(seat, ()))

    def extend(self, seat: int, count: int) -> None:
        """Give a sequence `count` more cells. Raises MemoryError, nothing changed, when there are not so many."""
        if count > len(self._free):
            raise MemoryError(f"{count:,} cells are wanted, {len(self._free):,} of {self.total:,} are free")
        at = len(self._free) - count
        taken = np.array(self._free[at:], np.int64)
        del self._free[at:]
        self._holders[taken] = 1
        held = self._held.get(seat)
        self._held[seat] = taken if held is None else np.concatenate((held, taken))

    def share(self, source: int, target: int, count: int) -> None:
        """Let `target`, which holds nothing, hold the first `count` cells of `source` too."""
        shared = self._held[source][:count]
        self._holders[shared] += 1
        self._held[target] = shared.copy()

    def trim(self, seat: int, count: int) -> None:
        """Leave a sequence its first `count` cells."""
        held = self._held[seat]
        self._let_go(held[count:])
        self._held[seat] = held[:count]

    def release(self, seat: int) -> int:
        """Take all cells from a sequence; return how many became free."""
        before = self.free
        self._let_go(self._held.pop(seat, np.empty(0, np.int64)))
        return self.free - before

    def alone(self, seat: int) -> int:
        """Return how many cells would become free if this sequence let go."""
        held = self._held.get(seat)
        return 0 if held is None else int(np.count_nonzero(self._holders[held] == 1))

    def _let_go(self, cells: NDArray[np.int64]) -> None:
        self._holders[cells] -= 1
        self._free.extend(cells[self._holders[cells] == 0].tolist())
