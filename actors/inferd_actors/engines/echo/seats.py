"""Who works and who waits when there are more streams than slots.

Covers: the choice. Pure. With parking the most urgent classes sit, within a class the earliest; without it whoever sits
stays until the end, and the next one is the most urgent of those who wait.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from inferd.messages.control import PRIORITIES
from inferd_actors.engine import StreamId, Submission


@dataclass(slots=True)
class Seats:
    """The seated streams, and those waiting with their place in line."""

    slots: int
    can_park: bool
    seated: set[StreamId] = field(default_factory=set)
    _line: dict[StreamId, tuple[int, int]] = field(default_factory=dict)
    """Every stream → (class, arrival)."""
    _arrivals: int = 0

    def join(self, submission: Submission) -> None:
        """Take a new stream; `settle` seats it."""
        self._arrivals += 1
        self._line[submission.stream] = PRIORITIES.index(submission.priority), self._arrivals

    def leave(self, stream: StreamId) -> None:
        """Forget a stream that has ended."""
        self._line.pop(stream, None)
        self.seated.discard(stream)

    def settle(self) -> tuple[set[StreamId], set[StreamId]]:
        """Seat whom it concerns now; return who sat down and who had to get up."""
        everyone_sits = len(self.seated) == len(self._line)
        if everyone_sits or (len(self.seated) == self.slots and not self.can_park):
            return set(), set()
        if len(self._line) <= self.slots:
            sitting = set(self._line)
        else:
            order = sorted(self._line, key=self._rank)
            sitting = set(order[: self.slots])
        sat, rose = sitting - self.seated, self.seated - sitting
        self.seated = sitting
        return sat, rose

    def _rank(self, stream: StreamId) -> tuple[bool, int, int]:
        return (not self.can_park and stream not in self.seated, *self._line[stream])
