"""The sequences of the cache: which of them are free, and the cells that each holds.

Covers: taking and leaving them. Does not cover who should: `schedule`, `past`. Pure: moves out.
"""

from __future__ import annotations

from inferd_actors.engines.llama_cpp.cells import Cells
from inferd_actors.engines.llama_cpp.moves import Forget, Move


class Seats:
    """`count` sequences in a cache of so many cells."""

    def __init__(self, count: int, cells: int) -> None:
        self.cells = Cells(cells)
        self._free = list(range(count))
        self.left = 0
        """How often one has lost its cells: who shared them may hold them alone since."""

    @property
    def is_full(self) -> bool:
        """Whether none is free."""
        return not self._free

    def take(self) -> int:
        """Return one that is free, and is so no more. Only while there is one."""
        return self._free.pop()

    def leave(self, seat: int) -> list[Move]:
        """Give one back."""
        self.empty(seat)
        self._free.append(seat)
        return [Forget(seat)]

    def empty(self, seat: int) -> None:
        """Take its cells from one that stays taken."""
        self.left += 1
        self.cells.release(seat)
