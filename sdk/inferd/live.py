"""One request between its call and its end, as the session sees it: stage, place in the stream, window, deadlines.

Covers: sequence numbers, what has been seen and consumed, when the app's taking of an event moves the window. Does not
cover sending or delivering: that is `session`. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from inferd.calls import Consumed, Open
from inferd.effects import NEVER_S
from inferd.messages.control import Credit, Reattach, Window
from inferd.wire import STATE_SEQ

if TYPE_CHECKING:
    from inferd.wire import Arrival

WINDOW_BYTES: Final = 2**20
"""How many bytes of events one stream may have unconsumed: 5 s of 96 kHz sound, or any text."""


class Stage(Enum):
    """How far a request has come on the present connection."""

    UNSENT = auto()
    SENT = auto()
    """Sent, not yet accepted: kept, and sent again after a reconnect."""
    ACCEPTED = auto()


class Order(Enum):
    """Where an event stands in its stream."""

    NEXT = auto()
    AGAIN = auto()
    """Seen before, as after a reconnect."""
    GAP = auto()
    """Events before it are missing."""


@dataclass(slots=True)
class Live:
    """A request that has not ended. `seen`: received here; `used`: taken by the app, behind which windows begin."""

    call: Open
    asked_s: float
    deadline_s: float
    line_deadline_s: float = NEVER_S
    """While there is no line: until when to wait for one."""
    stage: Stage = Stage.UNSENT
    known: bool = False
    """It was sent at least once, so a daemon may know of it."""
    cancelled: bool = False
    """The app asked for the end and waits for it."""
    left: bool = False
    """The app is gone; the entry waits for the terminal event, because the daemon counts the request until then."""
    latest: type | None = None
    """Class of the latest event, for the message of a missed deadline."""
    seen_seq: int = 0
    seen_bytes: int = 0
    used_seq: int = 0
    limit_seq: int = 0
    limit_bytes: int = 0
    mark_seq: int = 0
    mark_bytes: int = 0

    @property
    def due_s(self) -> float:
        """The earlier of its deadlines."""
        return min(self.deadline_s, self.line_deadline_s)

    def progress(self, now_s: float) -> None:
        """Start the deadline anew, if this kind of request allows it and is not being ended."""
        if self.call.progress_extends and not (self.cancelled or self.left):
            self.deadline_s = now_s + self.call.draft.timeout_s

    def count(self, arrival: Arrival) -> Order:
        """Note an event's arrival and return where it stands."""
        if arrival.seq == STATE_SEQ:
            return Order.NEXT
        if arrival.seq <= self.seen_seq:
            return Order.AGAIN
        order = Order.NEXT if arrival.seq == self.seen_seq + 1 else Order.GAP
        self.seen_seq = arrival.seq
        self.seen_bytes += arrival.size_bytes
        return order

    def receipt(self) -> Consumed | None:
        """Return what the app is to hand back once it has taken the event just counted; None for most events.

        Every half window, and always at the window's end: behind that nothing would come without a credit.
        """
        early = self.seen_seq < min(self.mark_seq, self.limit_seq)
        if early and self.seen_bytes < min(self.mark_bytes, self.limit_bytes):
            return None
        self._mark(self.seen_seq, self.seen_bytes)
        return Consumed(self.call.request, self.seen_seq, self.seen_bytes)

    def grant(self, events: int, consumed: Consumed | None = None) -> None:
        """Move the window to `events` and `WINDOW_BYTES` behind what the app has consumed; never back."""
        self.used_seq, used_bytes = (consumed.seq, consumed.size_bytes) if consumed else (0, 0)
        self.limit_seq = max(self.limit_seq, self.used_seq + events)
        self.limit_bytes = max(self.limit_bytes, used_bytes + WINDOW_BYTES)
        if consumed is None:
            self._mark(0, 0)

    def _mark(self, seq: int, size_bytes: int) -> None:
        self.mark_seq = seq + max(1, (self.limit_seq - self.used_seq) // 2)
        self.mark_bytes = size_bytes + WINDOW_BYTES // 2

    def window(self) -> Window:
        """Return the window for the request's envelope."""
        return Window(self.limit_seq, self.limit_bytes)

    def credit(self) -> Credit:
        """Return acknowledgement and window for the daemon."""
        return Credit(self.call.request, self.seen_seq, self.limit_seq, self.limit_bytes)

    def reattach(self) -> Reattach:
        """Return the wish to go on behind what was seen."""
        return Reattach(self.call.request, self.seen_seq, self.limit_seq, self.limit_bytes)
