"""Fairness between apps: of those that wait in one class of one model, who has had least goes next.

Covers: what each app has been served, and the order that follows from it. Does not cover classes and slots: see `line`.

Why so. Each app is charged the tokens of its requests; the next request is taken from the app with the least charge, in
an app the oldest first. Deficit round robin promises the same shares but must know a request's cost before serving it;
here the cost is known at the end, so a request is charged the mean cost when it is taken and the difference when it
ends. An app that comes, or comes back, starts at `_clock_tokens`, the highest charge at which a request was taken so
far: nobody saves up credit by waiting. An app that owes more keeps its debt while others are served. The clock moves
forward with every request taken, so an endless row of newcomers cannot keep an old debtor waiting for ever.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.ids import AppKey, StreamNo

if TYPE_CHECKING:
    from collections.abc import Iterator


MIN_COST_TOKENS: Final = 1.0
"""A request that produced nothing has still had its turn."""

MEAN_WEIGHT: Final = 0.1
"""Weight of the newest cost in the mean: about the last ten requests count."""


@dataclass(slots=True)
class Ticket:
    """One request, from `Queued` to its end."""

    stream: StreamNo
    model: ModelId
    app: AppKey
    rank: int
    """Of its class; 0 is the most urgent."""
    arrived_s: float
    shown_position: int = 0
    charged_tokens: float = 0.0
    """In advance, while it runs."""


@dataclass(slots=True)
class Share:
    """What one app waits for, and what it has had."""

    charged_tokens: float
    waiting: OrderedDict[StreamNo, Ticket] = field(default_factory=OrderedDict)
    running: int = 0

    @property
    def turn(self) -> tuple[float, int, float, StreamNo]:
        """Return the key by which waiting apps are ordered: least charge, fewest running, longest wait."""
        head = next(iter(self.waiting.values()))
        return self.charged_tokens, self.running, head.arrived_s, head.stream


class Shares:
    """The requests of one class for one model."""

    def __init__(self) -> None:
        self._shares: dict[AppKey, Share] = {}
        self._waiting: dict[AppKey, Share] = {}
        self._debtors: list[tuple[float, AppKey]] = []
        """Heap of apps that have nothing here but owe; an app may stand in it more than once."""
        self._clock_tokens = 0.0
        self._mean_tokens = MIN_COST_TOKENS
        self.n_waiting = 0
        self.n_running = 0

    def add(self, ticket: Ticket) -> None:
        """Let a request wait behind the earlier ones of its app."""
        share = self._shares.setdefault(ticket.app, Share(self._clock_tokens))
        share.waiting[ticket.stream] = ticket
        self._waiting[ticket.app] = share
        self.n_waiting += 1

    def remove(self, ticket: Ticket) -> None:
        """Forget a request that waits."""
        share = self._shares[ticket.app]
        del share.waiting[ticket.stream]
        self.n_waiting -= 1
        self._tidy(ticket.app, share)

    def take(self) -> Ticket:
        """Return the request whose turn it is, now running; some request must be waiting."""
        app, share = min(self._waiting.items(), key=lambda item: item[1].turn)
        _, ticket = share.waiting.popitem(last=False)
        ticket.charged_tokens = self._mean_tokens
        share.charged_tokens += ticket.charged_tokens
        self._clock_tokens = max(self._clock_tokens, share.charged_tokens)
        share.running += 1
        self.n_waiting -= 1
        self.n_running += 1
        self._tidy(app, share)
        self._forget_paid_debts()
        return ticket

    def settle(self, ticket: Ticket, cost_tokens: int) -> None:
        """Charge a request that ran what it cost."""
        cost = max(MIN_COST_TOKENS, cost_tokens)
        share = self._shares[ticket.app]
        share.charged_tokens += cost - ticket.charged_tokens
        share.running -= 1
        self.n_running -= 1
        self._mean_tokens += MEAN_WEIGHT * (cost - self._mean_tokens)
        self._tidy(ticket.app, share)

    def first(self, n: int) -> Iterator[Ticket]:
        """Yield the next `n` requests as they would be taken if each cost the mean; nothing may change meanwhile."""
        heap = []
        for share in self._waiting.values():
            rest = iter(share.waiting.values())
            heap.append((*share.turn, next(rest), rest))
        heapq.heapify(heap)
        while heap and n > 0:
            charged_tokens, running, _, _, ticket, rest = heap[0]
            yield ticket
            n -= 1
            following = next(rest, None)
            if following is None:
                heapq.heappop(heap)
            else:
                turn = (charged_tokens + self._mean_tokens, running + 1, following.arrived_s, following.stream)
                heapq.heapreplace(heap, (*turn, following, rest))

    def waiting(self) -> Iterator[Ticket]:
        """Yield all requests that wait, app by app."""
        for share in self._waiting.values():
            yield from share.waiting.values()

    def _tidy(self, app: AppKey, share: Share) -> None:
        """Forget what no longer matters for the order."""
        if share.waiting:
            return
        self._waiting.pop(app, None)
        if share.running:
            return
        if share.charged_tokens <= self._clock_tokens:
            self._shares.pop(app, None)
        else:
            heapq.heappush(self._debtors, (share.charged_tokens, app))
        if not self.n_waiting and not self.n_running:
            self._shares.clear()
            self._debtors.clear()

    def _forget_paid_debts(self) -> None:
        while self._debtors and self._debtors[0][0] <= self._clock_tokens:
            _, app = heapq.heappop(self._debtors)
            share = self._shares.get(app)
            if share is not None and not share.waiting and not share.running:
                self._tidy(app, share)
