"""Processes of an earlier daemon that the keeper still holds: nothing is loaded beside what they occupy. Pure.

Covers: how long loads wait for their ends. A service's keeper outlives a daemon that was killed, and so do models, whose memory
no book of the new daemon knows. See also: `supervisor`, which orders their ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from inferd_daemon.ids import Life

PATIENCE_S: Final = 15.0
"""A killed process is gone in milliseconds, its memory within a second or two. One that the kernel does not let go of for so
long, in a driver or on a lost disk, may stay for ever: then the machine's free memory alone protects the next load."""


class Orphans:
    """Those that are to end, since the keeper told of them."""

    def __init__(self) -> None:
        self._lives: set[Life] = set()
        self._until_s = 0.0

    def found(self, lives: Iterable[Life], now_s: float) -> None:
        """Wait for the ends of these and of no others."""
        self._lives = set(lives)
        self._until_s = now_s + PATIENCE_S

    def gone(self, life: Life) -> bool:
        """Note that one has ended; return whether it was the last."""
        was_there = life in self._lives
        self._lives.discard(life)
        return was_there and not self._lives

    def given_up(self, now_s: float) -> bool:
        """Return whether patience with some of them has ended just now; they are forgotten."""
        if not self._lives or now_s < self._until_s:
            return False
        self._lives.clear()
        return True

    def __bool__(self) -> bool:
        return bool(self._lives)

    def next_timer_s(self) -> float | None:
        """Return when `given_up` has something new to say."""
        return self._until_s if self._lives else None
