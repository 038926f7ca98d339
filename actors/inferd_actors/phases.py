"""How long each part of something took that goes through phases, one after the other. Pure.

Covers: the sums. Which phases there are: `loading` and the engines for a process, the daemon's `lifecycle` for a model.
"""

from __future__ import annotations

from collections.abc import Mapping


class Phases:
    """The phases so far. One that is entered again goes on: its parts count as one."""

    def __init__(self) -> None:
        self._took_s: dict[str, float] = {}
        self._present = ""
        self._since_s = 0.0

    def enter(self, phase: str, now_s: float) -> None:
        """End the present phase and begin this one; nothing changes while it goes on."""
        if phase == self._present:
            return
        self.end(now_s)
        self._present, self._since_s = phase, now_s

    def end(self, now_s: float) -> None:
        """End the present phase; none follows yet."""
        if self._present:
            took_s = max(0.0, now_s - self._since_s)  # facts of one batch are dated alike, what follows from one is not
            self._took_s[self._present] = self._took_s.get(self._present, 0.0) + took_s
        self._present = ""

    @property
    def took_s(self) -> Mapping[str, float]:
        """Return the seconds of each phase that has ended, in the order of their beginnings."""
        return dict(self._took_s)
