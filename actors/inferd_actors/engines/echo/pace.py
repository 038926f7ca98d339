"""When the next word is due. Pure; the time comes in."""

from __future__ import annotations

from typing import Final

CATCH_UP_S: Final = 0.25
"""How far a late loop hurries to keep its pace; what a longer sleep missed is not made up for."""


class Pace:
    """A steady beat of `per_s` steps a second while there is work; 0: without a pause."""

    def __init__(self, per_s: float) -> None:
        self._step_s = 1 / per_s if per_s else 0.0
        self._next_s: float | None = None

    def rest(self) -> None:
        """There is no work: the next step, whenever it comes, is due at once."""
        self._next_s = None

    def due(self, now_s: float) -> bool:
        """Tell whether a step is to be made now; if so the beat goes on to the next."""
        due_s = now_s if self._next_s is None else self._next_s
        if due_s > now_s:
            return False
        self._next_s = max(due_s + self._step_s, now_s - CATCH_UP_S)
        return True

    def left_s(self, now_s: float) -> float | None:
        """Return how long it is until the next step; None while there is no work."""
        return None if self._next_s is None else max(0.0, self._next_s - now_s)
