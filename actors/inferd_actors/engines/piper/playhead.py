"""How far a listener is, and when the next piece of sound may go.

Covers: one stream's pace. Pure; the time comes in. An app that tells what it has played is kept `AHEAD_MS` ahead of that; one
that never does, ahead of a listener who began at once and only ever waits for sound. A whole text at once is not paced: its app
may be writing a file, and its window holds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

AHEAD_MS: Final = 1_000.0
"""Sound that a player may have beyond what it plays: enough for a busy machine, little to throw away at an interruption."""


@dataclass(slots=True)
class Playhead:
    """What has been sent of a stream's sound, and what of it is played."""

    is_paced: bool
    sent_ms: float = 0.0
    played_ms: float | None = None
    """As the app reported; None: it never did."""
    _zero_s: float | None = None
    """When a listener who waits for nothing but sound would have begun, to be where he is now."""
    _held_s: float | None = None

    def send(self, ms: float, now_s: float) -> None:
        """So much sound goes out."""
        if self._zero_s is None or self.listener_ms(now_s) >= self.sent_ms:
            self._zero_s = (now_s if self._held_s is None else self._held_s) - self.sent_ms / 1000
        self.sent_ms += ms

    def report(self, played_ms: float) -> None:
        """The app has played so much; never less than it said before."""
        self.played_ms = max(self.played_ms or 0.0, played_ms)

    def hold(self, now_s: float) -> None:
        """The listener is made to wait."""
        if self._held_s is None:
            self._held_s = now_s

    def release(self, now_s: float) -> None:
        """He goes on listening."""
        if self._held_s is not None and self._zero_s is not None:
            self._zero_s += now_s - self._held_s
        self._held_s = None

    def listener_ms(self, now_s: float) -> float:
        """Return where a listener is who has played whatever he could."""
        if self._zero_s is None:
            return 0.0
        return min(self.sent_ms, 1000 * ((now_s if self._held_s is None else self._held_s) - self._zero_s))

    def ahead_ms(self, now_s: float) -> float:
        """Return how much sound he has left; 0 before the first."""
        return self.sent_ms - self.listener_ms(now_s)

    def wait_s(self, now_s: float) -> float | None:
        """Return how long the next piece of sound has to wait; None: until the app says that it has played on."""
        if self.played_ms is not None:
            return 0.0 if self.sent_ms - self.played_ms < AHEAD_MS else None
        if not self.is_paced:
            return 0.0
        return max(0.0, (self.ahead_ms(now_s) - AHEAD_MS) / 1000)
