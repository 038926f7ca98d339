"""What processes use, read exactly only when it may have changed.

Covers: when the last exact reading of a process still stands. Why: the kernel counts shared pages by walking all of them, 6 ms
for a model of 400 MB and 20 ms beside one that computes, while its model is held up; how many pages there are it knows at once.
Called by one thread at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

STEADY_BYTES: Final = 2**20
"""A process whose resident size has changed by less uses what it used: a thousandth of what a model takes."""
EXACT_EVERY: Final = 12
"""Readings of which one is exact in any case, once in a minute: another process may have come to share pages, or ended."""


@dataclass(slots=True)
class Exact:
    """The last exact reading of a process, its resident size then, and for how many readings it has stood."""

    used_bytes: int
    resident_bytes: int
    readings: int = 1


class Readings:
    """The last readings. `used_bytes(pid)`: the exact one, slow. `resident_bytes(pid)`: quick; both 0 for one that is gone."""

    def __init__(self, used_bytes: Callable[[int], int], resident_bytes: Callable[[int], int]) -> None:
        self._used_bytes = used_bytes
        self._resident_bytes = resident_bytes
        self._known: dict[int, Exact] = {}

    def keep(self, pids: Collection[int]) -> None:
        """Forget all other processes."""
        self._known = {pid: exact for pid, exact in self._known.items() if pid in pids}

    def used_bytes(self, pid: int) -> int:
        """Return what a process uses, `STEADY_BYTES` at most from what it uses now by itself; 0 when it is gone."""
        resident_bytes, known = self._resident_bytes(pid), self._known.get(pid)
        if known and known.readings < EXACT_EVERY and abs(resident_bytes - known.resident_bytes) < STEADY_BYTES:
            known.readings += 1
            return known.used_bytes
        exact = self._known[pid] = Exact(self._used_bytes(pid), resident_bytes)
        return exact.used_bytes
