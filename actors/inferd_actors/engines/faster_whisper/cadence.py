"""How often a stream is heard again while somebody speaks: as often as the machine can, and no more often.

Covers: when the next partial pass is due, and when there are none any more. Pure; the time comes in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SHARE: Final = 2.0
"""A pass begins no sooner than so many times the last one after the last one began: half is left for final texts, and for
whoever answers: with four speakers on two cores finals came a third of a second later without that."""
MIN_NEW_S: Final = 0.5
"""Of new sound, before it is heard again: two words."""
TOO_SLOW: Final = 3
"""Passes in a row that take longer than what they hear: partials would fall behind without end."""


@dataclass(slots=True)
class Cadence:
    """One utterance's rhythm."""

    began_s: float = float("-inf")
    """When the last pass began."""
    pass_s: float = 0.0
    """How long it took."""
    slow: int = 0
    """Passes in a row with more computing than sound."""

    @property
    def is_given_up(self) -> bool:
        """Whether this machine cannot follow this utterance."""
        return self.slow >= TOO_SLOW

    def due_s(self, speaking: int) -> float:
        """Return the moment from which the next pass may begin, while so many streams speak."""
        return self.began_s + SHARE * self.pass_s * max(1, speaking)

    def passed(self, began_s: float, pass_s: float, sound_s: float) -> float:
        """Book a pass over so much sound; return its real-time factor."""
        self.began_s, self.pass_s = began_s, pass_s
        rtf = pass_s / sound_s if sound_s else 0.0
        self.slow = self.slow + 1 if rtf > 1 else 0
        return rtf
