"""Which of the cache's cells each sequence holds: llama.cpp's own accounts, kept beside it so that room is known beforehand.

Covers: taking, sharing and giving back cells of one unified cache. A shared prefix is held by several sequences and counted
once. Does not cover who should give way: `schedule`. Pure.
Lists, because nearly every call is for one cell: with numpy's arrays that took 32 us where caches are cold (measured).
"""

from __future__ import annotations


class Cells:
    """A cache of `total` cells. A `seat` is a sequence's number; one that holds nothing is unknown."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._holders = [0] * total
        self._free = list(range(total))
        self._held: dict[int, list[int]] = {}

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
        held = self._held.setdefault(seat, [])
        for _ in range(count):
            cell = self._free.pop()
            self._holders[cell] = 1
            held.append(cell)

    def share(self, source: int, target: int, count: int) -> None:
        """Let `target`, which holds nothing, hold the first `count` cells of `source` too."""
        self._held[target] = shared = self._held[source][:count]
        for cell in shared:
            self._holders[cell] += 1

    def trim(self, seat: int, count: int) -> None:
        """Leave a sequence its first `count` cells."""
        held = self._held[seat]
        self._let_go(held[count:])
        del held[count:]

    def release(self, seat: int) -> int:
        """Take all cells from a sequence; return how many became free."""
        before = self.free
        self._let_go(self._held.pop(seat, []))
        return self.free - before

    def alone(self, seat: int) -> int:
        """Return how many cells would become free if this sequence let go."""
        return sum(self._holders[cell] == 1 for cell in self._held.get(seat, ()))

    def _let_go(self, cells: list[int]) -> None:
        for cell in cells:
            self._holders[cell] -= 1
            if not self._holders[cell]:
                self._free.append(cell)
