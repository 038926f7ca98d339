"""The decisions about claims: one event in, commands out. Pure.

Rules it keeps:
1. A hold is answered once all its models are ready; if one of them fails to load, the hold fails and lets go of the others.
2. While a hold stands, a model of it that falls is wanted again; what its loads fail of, its app hears with its requests.
3. A warm-up is answered once each of its models was ready or has failed: models that do not fit together would push each
   other out for ever.
4. A claim that ends is wanted by nobody: loads that only it waited for may be dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, assert_never

from inferd_daemon.claims import commands, events
from inferd_daemon.claims.claim import NEVER_S, Claim, Stage

if TYPE_CHECKING:
    from inferd.messages.events import Error
    from inferd_daemon.catalogue.names import ModelId


class Claims:
    """All of them. `step` is the only way to change anything; one caller, never at the same time."""

    def __init__(self) -> None:
        self._claims: dict[int, Claim] = {}
        self._now_s = 0.0

    def step(self, event: events.Event, now_s: float) -> list[commands.Command]:
        """Return what is to be done about `event`, in order."""
        self._now_s = now_s
        return list(self._take(event))

    def next_timer_s(self) -> float | None:
        """Return when `Ticked` is due; None: nothing waits for time to pass."""
        due_s = min((claim.until_s for claim in self._claims.values()), default=NEVER_S)
        return None if due_s == NEVER_S else due_s

    def get(self, number: int) -> Claim | None:
        """Return a claim that has not ended."""
        return self._claims.get(number)

    def waiting_for(self, model: ModelId) -> list[Claim]:
        """Return the claims that wait for a model's load, or will have it loaded again, the most urgent first."""
        wanting = (one for one in self._claims.values() if one.stage is not Stage.RESERVING and model in one.missing)
        return sorted(wanting, key=lambda one: (one.rank, one.number))

    def holds_on(self, model: ModelId) -> list[Claim]:
        """Return the holds that have a model's memory."""
        holds = (one for one in self._claims.values() if one.is_hold and one.stage is not Stage.RESERVING)
        return [one for one in holds if model in one.models]

    def _take(self, event: events.Event) -> Iterator[commands.Command]:
        match event:
            case events.Asked(claim, ready):
                yield from self._asked(claim, ready)
            case events.Granted(number, ready):
                yield from self._granted(number, ready)
            case events.Refused(number, error):
                if self._claims.pop(number, None) is not None:
                    yield commands.Refuse(number, error)
            case events.Ready() | events.NotReady() | events.Failed():
                yield from self._about_model(event)
            case events.Renewed(number, seconds):
                if number in self._claims:
                    self._claims[number].until_s = self._now_s + seconds
            case events.Ended(number):
                yield from self._end(number)
            case events.SessionEnded(session):
                yield from self._end_all([one for one in self._claims.values() if one.session == session])
            case events.Closed():
                self._claims.clear()
            case events.Ticked():
                yield from self._end_all([one for one in self._claims.values() if one.until_s <= self._now_s])
            case _:
                assert_never(event)

    def _about_model(self, event: events.Ready | events.NotReady | events.Failed) -> Iterator[commands.Command]:
        match event:
            case events.Ready(model):
                for claim in self.waiting_for(model):
                    yield from self._arrived(claim, frozenset({model}))
            case events.NotReady(model):
                yield from self._not_ready(model)
            case events.Failed(model, error):
                for claim in self.waiting_for(model):
                    yield from self._failed(claim, model, error)
            case _:
                assert_never(event)

    def _asked(self, claim: Claim, ready: frozenset[ModelId]) -> Iterator[commands.Command]:
        claim.asked_s = self._now_s
        self._claims[claim.number] = claim
        if claim.is_hold:
            claim.stage = Stage.RESERVING
            yield commands.Reserve(claim)
        else:
            yield from self._load(claim, ready)

    def _granted(self, number: int, ready: frozenset[ModelId]) -> Iterator[commands.Command]:
        claim = self._claims.get(number)
        if claim is not None:
            claim.stage = Stage.LOADING
            yield from self._load(claim, ready)

    def _load(self, claim: Claim, ready: frozenset[ModelId]) -> Iterator[commands.Command]:
        for model in sorted(claim.missing - ready):
            yield commands.Want(model)
        yield from self._arrived(claim, ready & claim.models)

    def _arrived(self, claim: Claim, models: frozenset[ModelId]) -> Iterator[commands.Command]:
        for model in sorted(models):
            claim.ready_s[model] = self._now_s - claim.asked_s
            if not claim.is_hold:
                yield commands.Warm(model)
        yield from self._completed(claim)

    def _completed(self, claim: Claim) -> Iterator[commands.Command]:
        """Answer a claim whose models are all there."""
        if claim.missing or claim.stage is not Stage.LOADING:
            return
        if claim.seconds is None:
            del self._claims[claim.number]
        else:
            claim.stage, claim.until_s = Stage.STANDING, self._now_s + claim.seconds
        yield commands.Answer(claim)

    def _not_ready(self, model: ModelId) -> Iterator[commands.Command]:
        for claim in self._claims.values():
            if claim.is_hold:
                claim.ready_s.pop(model, None)
        if self.waiting_for(model):
            yield commands.Want(model)

    def _failed(self, claim: Claim, model: ModelId, error: Error) -> Iterator[commands.Command]:
        if claim.stage is Stage.STANDING:
            return  # its app hears of it with its next request; the hold stands for what is left of it
        if not claim.is_hold:
            claim.failed[model] = error
            yield from self._completed(claim)
            return
        yield commands.Refuse(claim.number, error)
        yield from self._end(claim.number)

    def _end_all(self, ended: list[Claim]) -> Iterator[commands.Command]:
        for claim in ended:
            yield from self._end(claim.number)

    def _end(self, number: int) -> Iterator[commands.Command]:
        claim = self._claims.pop(number, None)
        if claim is None:
            return
        if claim.is_hold:
            yield commands.LetGo(number)
        if claim.stage is not Stage.RESERVING:
            yield from (commands.Unwant(model) for model in sorted(claim.missing) if not self.waiting_for(model))
