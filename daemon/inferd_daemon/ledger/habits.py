"""How likely it is that a model is wanted soon, from when it was wanted before. Pure.

People and apps use models in spells: turn after turn, then nothing for long. So two things are told apart: whether the present
spell goes on, which the time since the last use tells, and how often spells begin, which a count of them that fades tells.
A count of uses would keep a model for the length of its last spell; the last use alone would forget who is popular (O'Neil
et al., "LRU-K", 1993: correlated references count once; Lee et al., "LRFU", 2001: a fading count spans recency to frequency).
The numbers were chosen on traces like those of `make bench-memory`; half or double of each changes the loads there by less than
a tenth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

SPELL_S: Final = 120.0
"""After a pause of this length the next use begins a new spell."""

SPELL_HALF_LIFE_S: Final = 60.0
"""With each minute without a use it is half as likely that the spell goes on."""

COUNT_HALF_LIFE_S: Final = 1_800.0
"""Who is popular changes over hours: a spell of an hour ago counts a quarter."""

SOON_S: Final = 300.0
"""What "soon" means: longer than loading anything takes, shorter than the keep-alive."""


@dataclass(slots=True)
class Habit:
    """One model's uses."""

    spells: float = 0.0
    """Counted, as they were worth when the last one began."""
    began_s: float = 0.0
    """When the last one began."""
    used_s: float = -math.inf

    def use(self, now_s: float) -> None:
        """Take note of a use."""
        if now_s - self.used_s >= SPELL_S:
            self.spells = 1.0 + self._spells(now_s)
            self.began_s = now_s
        self.used_s = now_s

    def chance(self, now_s: float) -> float:
        """Return the chance of a use within `SOON_S`: that the spell goes on, or that another begins."""
        goes_on = math.exp2(-(now_s - self.used_s) / SPELL_HALF_LIFE_S)
        rate = math.log(2) / COUNT_HALF_LIFE_S * self._spells(now_s)
        return 1.0 - (1.0 - goes_on) * math.exp(-SOON_S * rate)

    def _spells(self, now_s: float) -> float:
        return self.spells * math.exp2(-(now_s - self.began_s) / COUNT_HALF_LIFE_S)
