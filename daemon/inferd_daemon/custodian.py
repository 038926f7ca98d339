"""Keeps models in memory for whoever asked: answers holds, warm-ups and pins.

Covers: one method per operation, each of which ends its request; carrying out what `claims` decides. Does not cover deciding
(`claims`), memory (`steward`) nor pins' file (`pins`). Runs in the loop; the file is written in a worker thread.
A warm-up is a load and no more: engines that need a first run to be fast make it at the end of their load.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, assert_never

from inferd.errors import InferenceError, InvalidRequest, ResourceBlocked
from inferd.messages.events import Error, Held, Loading, Pinned, Released, WarmedUp
from inferd.messages.operations import Hold, Pin, ReleaseHold, RenewHold, Unpin, WarmUp
from inferd.messages.reports import Warmed
from inferd_daemon import claims
from inferd_daemon.answering import Making, answer_later
from inferd_daemon.catalogue import ModelId
from inferd_daemon.inbox import Inbox
from inferd_daemon.ledger import HoldNo
from inferd_daemon.lifecycle import State, View
from inferd_daemon.refusal import own_fault
from inferd_daemon.requests import as_event, served
from inferd_daemon.scheduler.line import RANKS
from inferd_daemon.telemetry import report

if TYPE_CHECKING:
    from inferd_daemon.catalogue import Models
    from inferd_daemon.fleet import Fleet
    from inferd_daemon.pins import Pins
    from inferd_daemon.requests import Requests
    from inferd_daemon.steward import Steward
    from inferd_daemon.work import Work

Operation = Hold | RenewHold | ReleaseHold | WarmUp | Pin | Unpin
"""What is answered here."""


class Company(Protocol):
    """The supervisor, as the custodian needs it."""

    def want(self, model: ModelId, now_s: float) -> None:
        """Somebody waits for this model."""

    def unwanted(self, model: ModelId, now_s: float) -> None:
        """Somebody waits for this model no more."""

    def clock_changed(self) -> None:
        """Something else may be due first than before."""


class Custodian:
    """All claims and pins."""

    def __init__(
        self,
        *,
        catalogue: Models,
        fleet: Fleet,
        requests: Requests,
        steward: Steward,
        pins: Pins,
        tasks: asyncio.TaskGroup,
        company: Company,
    ) -> None:
        """Pins of the config and of the file are in the ledger already."""
        self._catalogue = catalogue
        self._fleet = fleet
        self._requests = requests
        self._steward = steward
        self._tasks = tasks
        self._company = company
        self.pins = pins
        self.claims = claims.Claims()
        self._names: dict[int, tuple[tuple[str, ModelId | Error], ...]] = {}
        """Of warm-ups that are not answered: what was asked for, and what it means."""
        self._inbox = Inbox(self.claims.step, self._carry_out)
        self._pinning = asyncio.Lock()

    # --- what others ask

    def keeping(self, model: ModelId, now_s: float) -> tuple[bool, float]:
        """Return whether a model is pinned, and for how long the longest of its holds goes on."""
        ends_s = [one.ends_s(now_s) for one in self.claims.holds_on(model)]
        return bool(self.pins.origin(model)), max(0.0, max(ends_s, default=now_s) - now_s)

    def check_free(self, model: ModelId, now_s: float) -> None:
        """Raise ResourceBlocked, naming the apps and the seconds, if a hold keeps this model in memory."""
        holds = self.claims.holds_on(model)
        if holds:
            _, left_s = self.keeping(model, now_s)
            apps = tuple(sorted({one.app for one in holds}))
            text = f"{model} is held by {', '.join(apps)} for {left_s:.0f} s at least: ask again when that has ended"
            raise ResourceBlocked(
                text, retry_after_s=left_s, details={"model": str(model), "cause": "held", "apps": apps}
            )

    def asker(self, model: ModelId) -> tuple[str, int] | None:
        """Return the most urgent claim's app and class, None if no claim waits for this model."""
        first = next(iter(self.claims.waiting_for(model)), None)
        return (first.app, first.rank) if first else None

    def next_timer_s(self) -> float | None:
        """Return when `ticked` is due."""
        return self.claims.next_timer_s()

    # --- what happens

    def answer(self, work: Work, now_s: float) -> None:
        """Serve one request: one of `Operation`."""
        try:
            self._answer(work, now_s)
        except InferenceError as refused:
            self._requests.conclude(work.stream, as_event(refused))

    def _answer(self, work: Work, now_s: float) -> None:
        match work.operation:
            case Hold(names, seconds):
                self._hold(work, names, seconds, now_s)
            case RenewHold(hold, seconds):
                self._renew(work, hold, seconds, now_s)
            case ReleaseHold(hold):
                was_held = self._own(work, hold) is not None
                if was_held:
                    self._step(claims.Ended(hold), now_s)
                self._requests.conclude(work.stream, Released(hold, was_held))
            case WarmUp(names):
                self._warm_up(work, names, now_s)
            case Pin(name):
                self._later(work, self._pin(self._catalogue.find(name).id, is_pinned=True))
            case Unpin(name):
                self._later(work, self._pin(self._catalogue.find(name).id, is_pinned=False))
            case _:
                raise AssertionError("another room serves this")

    def announced(self, view: View, now_s: float) -> None:
        """A model's state changed."""
        is_ready = view.state is State.READY
        self._step(claims.Ready(view.model) if is_ready else claims.NotReady(view.model), now_s)

    def waiters_failed(self, model: ModelId, error: Error, now_s: float) -> None:
        """Whoever waits for this model waits in vain."""
        self._step(claims.Failed(model, error), now_s)

    def load_moved(self, model: ModelId, progress: float, phase: str, now_s: float) -> None:
        """A load moved: show it to the claims that wait for it."""
        for claim in self.claims.waiting_for(model):
            self._requests.show(claim.number, Loading(str(model), progress, phase), now_s)

    def granted(self, hold: HoldNo, now_s: float) -> None:
        """A hold has its memory."""
        claim = self.claims.get(hold)
        self._step(claims.Granted(hold, self._ready(claim.models, now_s) if claim else frozenset()), now_s)

    def refused(self, hold: HoldNo, error: Error, now_s: float) -> None:
        """A hold cannot be had."""
        self._step(claims.Refused(hold, error), now_s)

    def delayed(self, hold: HoldNo, text: str, now_s: float) -> None:
        """A hold waits for memory."""
        claim = self.claims.get(hold)
        if claim is not None:
            self._requests.show(hold, Loading(str(min(claim.models)), 0.0, text), now_s)

    def withdrawn(self, stream: int, now_s: float) -> None:
        """A request was ended before it was answered."""
        self._names.pop(stream, None)
        self._step(claims.Ended(stream), now_s)

    def app_left(self, session: int, now_s: float) -> None:
        """An app is gone, and its holds with it."""
        self._step(claims.SessionEnded(session), now_s)

    def ticked(self, now_s: float) -> None:
        """Time passed."""
        self._step(claims.Ticked(), now_s)

    def close(self, now_s: float) -> None:
        """The daemon stops: nothing is loaded again for anybody."""
        self._step(claims.Closed(), now_s)

    # --- holds and warm-ups

    def _hold(self, work: Work, names: Sequence[str], seconds: float, now_s: float) -> None:
        models = frozenset(self._loadable(name, now_s) for name in names)
        self._step(claims.Asked(self._claim(work, models, seconds), frozenset()), now_s)

    def _loadable(self, name: str, now_s: float) -> ModelId:
        """Return a model that may be held. Raises as a request for it would, and ResourceBlocked while it is fetched."""
        model = served(self._catalogue.find(name)).id
        if self._fleet.lifecycle.view(model, now_s).state is State.PULLING:
            text = f"{model} is being fetched: hold it when that has ended"
            raise ResourceBlocked(text, details={"model": str(model), "cause": "pulling"})
        return model

    def _warm_up(self, work: Work, names: Sequence[str], now_s: float) -> None:
        self._names[work.stream] = tuple((name, self._meant(name)) for name in names)
        models = frozenset(one for _, one in self._names[work.stream] if isinstance(one, ModelId))
        self._step(claims.Asked(self._claim(work, models, None), self._ready(models, now_s)), now_s)

    def _meant(self, name: str) -> ModelId | Error:
        try:
            return served(self._catalogue.find(name)).id
        except InferenceError as wrong:
            return as_event(wrong)

    def _claim(self, work: Work, models: frozenset[ModelId], seconds: float | None) -> claims.Claim:
        rank = RANKS[work.request.priority]
        return claims.Claim(work.stream, work.session, work.app.name, rank, models, seconds)

    def _ready(self, models: frozenset[ModelId], now_s: float) -> frozenset[ModelId]:
        return frozenset(one for one in models if self._fleet.lifecycle.view(one, now_s).state is State.READY)

    def _renew(self, work: Work, hold: int, seconds: float, now_s: float) -> None:
        claim = self._own(work, hold)
        if claim is None or claim.stage is not claims.Stage.STANDING:
            text = f"body.hold: this app has no hold {hold}, or no more: hold its models again"
            raise InvalidRequest(text, details={"field": "body.hold"})
        self._step(claims.Renewed(hold, seconds), now_s)
        self._requests.conclude(work.stream, _held(claim, seconds))

    def _own(self, work: Work, hold: int) -> claims.Claim | None:
        claim = self.claims.get(hold)
        return claim if claim is not None and claim.is_hold and claim.session == work.session else None

    # --- carrying out

    def _step(self, event: claims.Event, now_s: float) -> None:
        """Have `claims` decide; events that come of carrying that out follow after."""
        self._inbox.put(event, now_s=now_s)

    def _carry_out(self, command: claims.Command, now_s: float) -> None:
        match command:
            case claims.Reserve(claim):
                self._tasks.create_task(self._reserve(claim), name=f"hold {claim.number}")
            case claims.LetGo(number):
                self._steward.let_go(HoldNo(number), now_s)
            case claims.Want(model):
                self._company.want(model, now_s)
            case claims.Unwant(model):
                self._company.unwanted(model, now_s)
            case claims.Warm(model):
                self._steward.keep(model, None, now_s)
            case claims.Answer(claim):
                answer = self._warmed(claim) if claim.seconds is None else _held(claim, claim.seconds)
                self._requests.conclude(claim.number, answer)
            case claims.Refuse(number, error):
                self._requests.conclude(number, error)
            case _:
                assert_never(command)

    async def _reserve(self, claim: claims.Claim) -> None:
        """Find out what a hold needs, then ask for it. Nobody leaves for a hold that cannot stand."""
        hold = HoldNo(claim.number)
        try:
            for model in sorted(claim.models):
                refused = self._fleet.lifecycle.refusal(model, time.monotonic())
                if refused is not None:
                    self.refused(hold, refused, time.monotonic())
                    return
            needs = await self._steward.needs(sorted(claim.models))
            if self.claims.get(hold) is claim:
                self._steward.hold(hold, needs, claim.app, claim.rank, time.monotonic())
        except InferenceError as failed:
            self.refused(hold, as_event(failed), time.monotonic())
        except Exception as bug:  # noqa: BLE001 - in a task of the root group it would end the daemon
            report(bug, "a hold")
            self.refused(hold, own_fault(bug), time.monotonic())
        finally:
            self._company.clock_changed()

    def _warmed(self, claim: claims.Claim) -> WarmedUp:
        names = self._names.pop(claim.number, ())
        return WarmedUp(tuple(_result(name, meant, claim) for name, meant in names))

    # --- pins

    async def _pin(self, model: ModelId, *, is_pinned: bool) -> Pinned:
        if not is_pinned and self.pins.origin(model) == "config":
            text = f"name: {model} is pinned by memory.pinned of the config: take it out there"
            raise InvalidRequest(text, details={"field": "body.name", "setting": "memory.pinned"})
        async with self._pinning:
            own = self.pins.changed(model, is_pinned=is_pinned)
            try:
                await asyncio.to_thread(self.pins.write, own)
            except OSError as failed:
                raise InferenceError(f"pinned models cannot be written: {failed}") from None
        self._steward.pin(model, time.monotonic(), is_pinned=is_pinned)
        self._company.clock_changed()
        return Pinned(str(model), is_pinned)

    def _later(self, work: Work, making: Making) -> None:
        answer_later(work, making, self._requests, self._tasks)


def _held(claim: claims.Claim, seconds: float) -> Held:
    return Held(claim.number, tuple(str(model) for model in sorted(claim.models)), seconds)


def _result(name: str, meant: ModelId | Error, claim: claims.Claim) -> Warmed:
    if isinstance(meant, Error):
        return Warmed(name, "", ready=False, code=meant.code, message=meant.message)
    error = claim.failed.get(meant)
    if error is None:
        return Warmed(name, str(meant), ready=True, load_s=claim.ready_s.get(meant, 0.0))
    return Warmed(
        name, str(meant), ready=False, code=error.code, message=error.message, retry_after_s=error.retry_after_s
    )
