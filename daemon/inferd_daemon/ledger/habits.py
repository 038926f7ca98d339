"""How likely it is that a model is wanted soon, from when it was wanted before. Pure.

A model's uses are counted in several memories at once, each forgetting at its own pace (Lee et al., "LRFU", 2001: a sum of
decayed uses spans from recency to frequency with the pace). The short ones know who is in a session now, the long one who
is popular; a mean of their rates needs no tuning to either. Uses close together count once: what matters is how often a
model would have had to be loaded (O'Neil et al., "LRU-K", 1993: correlated references).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

HALF_LIVES_S: Final = (60.0, 600.0, 7_200.0)
"""A conversation, a task, half a working day; an eighth of the last is left after six hours."""

ONE_USE_S: Final = 5.0
"""Uses within this time after a counted one are the same use: turns of one answer, a batch."""

SOON_S: Final = 600.0
"""What "soon" means: longer than loading anything takes, shorter than the keep-alive."""


@dataclass(slots=True)
class Habit:
    """One model's uses."""

    counts: list[float] = field(default_factory=lambda: [0.0] * len(HALF_LIVES_S))
    """Per half-life, as they were at `at_s`."""
    at_s: float = 0.0
    used_s: float = -math.inf
    """When it was counted last."""

    def use(self, now_s: float) -> None:
        """Count a use, unless it belongs to the last one."""
        if now_s - self.used_s < ONE_USE_S:
            return
        self.counts = [1.0 + left for left in self._left(now_s)]
        self.at_s = self.used_s = now_s

    def chance(self, now_s: float) -> float:
        """Return the chance of a use within `SOON_S`, more than 0 and less than 1 for what was ever used."""
        rates = [math.log(2) / life_s * left for life_s, left in zip(HALF_LIVES_S, self._left(now_s), strict=True)]
        return -math.expm1(-SOON_S * sum(rates) / len(rates))

    def _left(self, now_s: float) -> list[float]:
        passed_s = max(0.0, now_s - self.at_s)
        return [count * 0.5 ** (passed_s / life_s) for count, life_s in zip(self.counts, HALF_LIVES_S, strict=True)]
