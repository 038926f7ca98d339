"""One model's line: who waits in which class, who runs, and whether one more may.

Covers: the rule for slots and the order across classes. Does not cover fairness inside a class (`shares`), nor what the
supervisor is told (`machine`).

The rule. With parking, a request may run while fewer than `slots` requests of its own or a higher class do: the engine
sets lower ones aside, so a voice turn waits behind nothing lower. At most one request of each class per slot is then in
flight, the rest of them parked. Without parking, a request may run while fewer than `slots` requests do.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from inferd.messages.control import PRIORITIES
from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.ids import StreamNo
from inferd_daemon.scheduler.shares import Shares, Ticket

if TYPE_CHECKING:
    from collections.abc import Iterator


RANKS: Final = {priority: rank for rank, priority in enumerate(PRIORITIES)}
"""Class → rank; 0 is the most urgent."""

NEVER_S: Final = math.inf


@dataclass(frozen=True, slots=True)
class LineView:
    """How busy one model is."""

    busy: int = 0
    queued: int = 0


@dataclass(slots=True)
class Line:
    """`slots` is 0 while the model is not ready."""

    model: ModelId
    slots: int = 0
    can_park: bool = False
    classes: tuple[Shares, ...] = field(default_factory=lambda: tuple(Shares() for _ in PRIORITIES))
    running: dict[StreamNo, Ticket] = field(default_factory=dict)
    show_at_s: float = NEVER_S
    """When positions are to be shown next."""
    shown_s: float = -NEVER_S

    @property
    def n_waiting(self) -> int:
        """Return how many requests wait."""
        return sum(shares.n_waiting for shares in self.classes)

    def add(self, ticket: Ticket) -> None:
        """Let a request wait."""
        self.classes[ticket.rank].add(ticket)

    def drop(self, ticket: Ticket, cost_tokens: int) -> None:
        """Forget a request that ended, whether it ran or waited."""
        if self.running.pop(ticket.stream, None) is None:
            self.classes[ticket.rank].remove(ticket)
        else:
            self.classes[ticket.rank].settle(ticket, cost_tokens)

    def take(self) -> Ticket | None:
        """Return the request that is to run now; None: none waits, or there is no room for the most urgent one."""
        rank = next((rank for rank, shares in enumerate(self.classes) if shares.n_waiting), None)
        if rank is None or self._n_rivals(rank) >= self.slots:
            return None
        ticket = self.classes[rank].take()
        self.running[ticket.stream] = ticket
        return ticket

    def _n_rivals(self, rank: int) -> int:
        """Return how many running requests one of this rank cannot set aside."""
        if not self.can_park:
            return len(self.running)
        return sum(shares.n_running for shares in self.classes[: rank + 1])

    def n_ahead(self, rank: int) -> int:
        """Return how many waiting requests are of this class or a more urgent one."""
        return sum(shares.n_waiting for shares in self.classes[: rank + 1])

    def first(self, n: int) -> Iterator[Ticket]:
        """Yield the next `n` requests in the order in which they are expected to run."""
        return itertools.islice(itertools.chain.from_iterable(shares.first(n) for shares in self.classes), n)

    def waiting(self) -> Iterator[Ticket]:
        """Yield all requests that wait, the most urgent classes first."""
        return itertools.chain.from_iterable(shares.waiting() for shares in self.classes)
