"""Work that can wait steps aside while somebody speaks: when an engine computes for the classes batch and background. Pure.

Covers: the decision, for every engine. Why: ear, text and voice of a conversation are three processes on the same cores, and
each knows the classes of its own requests alone; beside eight batch streams on two cores a turn takes four times as long. So an
engine tells when it computes for a voice request (`Sink.urgent`), the daemon tells the others (`Engine.step_aside`), and they
give such work a `SHARE` of the time, never nothing: it must end under endless talk, and its streams must not look hung. When it
gets its share matters, too: a step or a pass that begins just as a turn passes from the ear to the text model, and nobody seems
to compute for voice, holds that turn up for all its length. So it is not begun while voice work is young. Each engine adds what
of its voice work can wait: words and sound far ahead of their listener, partial texts.
"""

from __future__ import annotations

from typing import Final

from inferd.messages.control import PRIORITIES

SHARE: Final = 0.1
"""Of the time: what a conversation then loses is no more than the machine's own noise."""
LINGER_S: Final = 0.25
"""For so long after the last voice work: from ear to text to voice a turn passes in milliseconds, and a step of eight streams,
begun in between, takes 50 on two cores."""
HOLD_S: Final = 0.35
"""Nothing that can wait is begun for so long once voice work has: a careful hearing takes 0.3 s on two cores, the reading of a
short prompt and the speaking of a first clause 0.1."""
HAND_OFF_S: Final = 0.06
"""Nor once it has ended: from the ear's text to the text model's first step it takes 30 ms beside other work."""
LONGEST_HOLD_S: Final = 3.0
"""However often voice work begins: four conversations begin some every second."""
LONGEST_REST_S: Final = 5.0
"""However long a step took: the daemon suspects an engine that has work and makes no step for 10 s (`pulse`)."""
VOICE: Final = PRIORITIES.index("voice")
"""Rank of the class that the others step aside for."""
INTERACTIVE: Final = PRIORITIES.index("interactive")
"""Rank of the last class that does not."""


def can_wait(rank: int) -> bool:
    """Tell whether work of the class with this rank, its place among `PRIORITIES`, steps aside."""
    return rank > INTERACTIVE


class Aside:
    """Whether work that can wait may be computed now."""

    def __init__(self) -> None:
        self._is_told = False
        self._until_s = 0.0
        """Voice work was seen; it counts until then."""
        self._rest_until_s = 0.0
        self._refused_s: float | None = None
        """When what can wait was refused first since it was allowed last; None: it has not been."""
        self._here_s = float("-inf")
        """This engine's own last voice work."""

    def told(self, now_s: float, *, is_aside: bool) -> None:
        """Voice work elsewhere has begun, or ended."""
        if is_aside and not self._is_told:
            self._hold(now_s, HOLD_S)
        elif self._is_told and not is_aside:
            self._until_s = max(self._until_s, now_s + LINGER_S)
            self._hold(now_s, HAND_OFF_S)
        self._is_told = is_aside

    def voice_here(self, now_s: float) -> None:
        """This engine itself computes for a voice request, or has just done so."""
        if now_s - self._here_s > HAND_OFF_S:
            self._hold(now_s, HOLD_S)
        self._here_s = now_s
        self._until_s = max(self._until_s, now_s + LINGER_S)

    def hands_on(self, now_s: float) -> None:
        """This engine has done its part for a voice request, and another one is about to begin its own."""
        self._until_s = max(self._until_s, now_s + HAND_OFF_S)
        self._hold(now_s, HAND_OFF_S)

    def _hold(self, now_s: float, length_s: float) -> None:
        refused_s = self._refused_s  # another thread may allow it meanwhile
        latest_s = (now_s if refused_s is None else refused_s) + LONGEST_HOLD_S
        self._rest_until_s = max(self._rest_until_s, min(now_s + length_s, latest_s))

    def may_compute(self, now_s: float) -> bool:
        """Tell whether it is the turn of work that can wait."""
        may = now_s >= self._rest_until_s or not self.is_aside(now_s)
        if may:
            self._refused_s = None
        elif self._refused_s is None:
            self._refused_s = now_s
        return may

    def wait_s(self, now_s: float) -> float:
        """Return how long it is until then, if no voice work comes; 0: now."""
        if self.may_compute(now_s):
            return 0.0
        until_s = self._rest_until_s if self._is_told else min(self._rest_until_s, self._until_s)
        return until_s - now_s

    def computed(self, took_s: float, now_s: float) -> None:
        """Work that could wait was computed, until now."""
        if self.is_aside(now_s):
            rest_s = min(LONGEST_REST_S, took_s * (1 / SHARE - 1))
            self._rest_until_s = max(self._rest_until_s, now_s + rest_s)

    def is_aside(self, now_s: float) -> bool:
        """Tell whether voice is computed for, here or elsewhere."""
        return self._is_told or now_s < self._until_s
