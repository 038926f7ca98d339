"""Requests of one kind on one connection: the first runs, the others wait with what has come for them.

Covers: order and bounds. Wyoming has no request ids, so answers come in the order of the questions. Pure.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Final

from inferd.errors import QueueFull
from inferd_bridges.wyoming.orders import Drop, Feed, Finish, Listen, Order, Speak
from inferd_bridges.wyoming.sound import Cutter
from inferd_bridges.wyoming.wording import Telling

TURNS: Final = 8
"""Requests of one kind that a connection may have open; satellites have one."""
WAITING_SIZE: Final = 4 * 2**20
"""Bytes of sound, or characters, that may wait for their turn: two minutes at 16 kHz."""


@dataclass(slots=True, eq=False)
class Turn:
    """One request, and how far its answer is."""

    begin: Listen | Speak
    is_streamed: bool = False
    """Its answer ends with an event of its own: the text came in pieces."""
    telling: Telling = field(default_factory=Telling)
    cutter: Cutter | None = None
    has_begun: bool = False
    """The client knows that a transcript comes; of what sounds, `cutter` tells."""
    pieces: list[bytes | str] = field(default_factory=list)
    is_whole: bool = False

    @property
    def job(self) -> int:
        """Its number."""
        return self.begin.job


class Line:
    """The open requests of one kind, in order."""

    def __init__(self) -> None:
        self._turns: deque[Turn] = deque()

    def running(self, job: int) -> Turn | None:
        """Return the turn that runs, if it is this one."""
        return self._turns[0] if self._turns and self._turns[0].job == job else None

    def join(self, turn: Turn) -> list[Order]:
        """Add a request; it begins at once if it is the first. Raises QueueFull."""
        if len(self._turns) >= TURNS:
            raise QueueFull(f"{TURNS} requests are open on this connection", details={"limit": TURNS})
        self._turns.append(turn)
        return self._begun() if len(self._turns) == 1 else []

    def feed(self, turn: Turn, piece: bytes | str) -> list[Order]:
        """Take more for a request. Raises QueueFull if too much waits."""
        if not piece:
            return []
        if turn is self._turns[0]:
            return [Feed(turn.job, piece)]
        waiting = sum(len(one) for other in self._turns for one in other.pieces)
        if waiting + len(piece) > WAITING_SIZE:
            raise QueueFull(f"more than {WAITING_SIZE:,} bytes wait for their turn", details={"limit": WAITING_SIZE})
        turn.pieces.append(piece)
        return []

    def finish(self, turn: Turn) -> list[Order]:
        """Take note that a request has all it gets."""
        turn.is_whole = True
        return [Finish(turn.job)] if turn is self._turns[0] else []

    def ended(self, turn: Turn) -> list[Order]:
        """Let go of a request; the next one begins if this one ran."""
        if turn not in self._turns:
            return []
        ran = turn is self._turns[0]
        self._turns.remove(turn)
        return self._begun() if ran and self._turns else []

    def dropped(self) -> list[Order]:
        """Let go of all."""
        running: list[Order] = [Drop(self._turns[0].job)] if self._turns else []
        self._turns.clear()
        return running

    def _begun(self) -> list[Order]:
        turn = self._turns[0]
        fed, turn.pieces = turn.pieces, []
        return [replace(turn.begin, fed=tuple(fed), is_whole=turn.is_whole)]  # type: ignore[arg-type]  # pieces are of its kind
