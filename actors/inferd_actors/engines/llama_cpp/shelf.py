"""States of sequences in the machine's own memory, within a budget.

Covers: parked requests, and prefixes for which the cache has no room; keeping, finding and dropping them, the oldest first,
prefixes before parked requests. Pure.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


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

    def put(self, key: int, state: memoryview, *, is_parked: bool) -> list[int]:
        """Keep a state; return the keys that were dropped for it, its own if it is larger than the budget."""
        self._kept[key] = Kept(state, is_parked)
        self.used_bytes += len(state)
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
        self.used_bytes -= len(kept.state) if kept else 0

    def _least(self) -> int:
        return next((key for key, kept in self._kept.items() if not kept.is_parked), next(iter(self._kept)))
