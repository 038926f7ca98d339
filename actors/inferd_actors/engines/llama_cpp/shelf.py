"""States of sequences in the machine's own memory, within a budget.

Covers: parked requests, and prefixes for which the cache has no room; keeping, finding and dropping them, the oldest first,
prefixes before parked requests. Pure.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import numpy as np

SPARE_SHARE: Final = 2
"""How many times too large a place may be that is used again."""
SPARE_PART: Final = 16
"""Of the budget, that a place may be which is kept beside it until it is used again."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A sequence's state as the library saved it."""

    state: memoryview
    is_parked: bool
    """A request goes on from it; without it, it would have to be read again."""


class Shelf:
    """At most `budget_bytes` of states by key."""

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.used_bytes = 0
        self._kept: OrderedDict[int, Kept] = OrderedDict()
        self._spare: memoryview | None = None
        """Of a state that was dropped: where memory is new, its pages cost twenty times what the copying does."""

    def place(self, size_bytes: int) -> memoryview:
        """Return memory for a state that is to be put here, its content undefined."""
        spare, self._spare = self._spare, None
        if spare is not None and size_bytes <= len(spare) <= SPARE_SHARE * size_bytes:
            return spare[:size_bytes]
        return np.empty(size_bytes, np.uint8).data  # not zeroed before it is written

    def put(self, key: int, state: memoryview, *, is_parked: bool) -> list[int]:
        """Keep a state; return the keys that were dropped for it, its own if it is larger than the budget."""
        self._kept[key] = Kept(state, is_parked)
        self.used_bytes += len(_place(state))
        dropped = []
        while self.used_bytes > self.budget_bytes:
            dropped.append(self._least())
            self.drop(dropped[-1])
        return dropped

    def get(self, key: int) -> memoryview | None:
        """Return a state, and count it as used just now; None if it was dropped."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        self._kept.move_to_end(key)
        return kept.state

    def drop(self, key: int) -> None:
        """Forget a state; one that is not there is no error."""
        kept = self._kept.pop(key, None)
        if kept is not None:
            place = _place(kept.state)
            self.used_bytes -= len(place)
            self._spare = place if len(place) <= self.budget_bytes // SPARE_PART else None

    def _least(self) -> int:
        return next((key for key, kept in self._kept.items() if not kept.is_parked), next(iter(self._kept)))


def _place(state: memoryview) -> memoryview:
    """Return all of the memory that a state lies at the beginning of."""
    return memoryview(state.obj)
