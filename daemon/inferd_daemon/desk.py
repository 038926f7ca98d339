"""What the daemon answers itself: models, status, pulls, unloading, stopping.

Covers: one method per operation, each of which ends its request. Does not cover requests that a model serves (`requests`).
Runs in the loop; readings of processes are taken in a worker thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from inferd.errors import InferenceError
from inferd.messages.events import (
    Error,
    HealthReport,
    ModelList,
    PreflightReport,
    Pulled,
    PullProgress,
    StatusReport,
    Stopping,
    Unloaded,
    WhyReport,
)
from inferd.messages.operations import (
    Detokenize,
    Discover,
    EstimateTokens,
    Generate,
    Health,
    Hold,
    ListModels,
    ListSchemas,
    ListUpgrades,
    Loopback,
    Pin,
    Preflight,
    Pull,
    Register,
    ReleaseHold,
    Remove,
    RenewHold,
    Status,
    Stop,
    Tokenize,
    Unload,
    Unpin,
    Unregister,
    WarmUp,
    Why,
)
from inferd.messages.reports import App, DaemonReport, MemoryDecision, Model, Problem
from inferd.messages.speech import (
    SetSpeechPolicy,
    SpeechStatus,
    Synthesize,
    SynthesizeStream,
    Transcribe,
    TranscribeStream,
)
from inferd_daemon import health
from inferd_daemon.answering import Making, answer_later
from inferd_daemon.catalogue import ModelId
from inferd_daemon.crossing import Order, Tell
from inferd_daemon.defaults import WRITES
from inferd_daemon.ledger import GPU, RAM
from inferd_daemon.lifecycle import PullWanted, State, UnloadWanted, View
from inferd_daemon.preflight import preflight
from inferd_daemon.requests import as_event

if TYPE_CHECKING:
    import asyncio

    from inferd_daemon.catalogue import Models, Schema
    from inferd_daemon.custodian import Custodian
    from inferd_daemon.fleet import Fleet
    from inferd_daemon.ledger import Decision
    from inferd_daemon.requests import Requests
    from inferd_daemon.steward import Steward
    from inferd_daemon.telemetry import Meter
    from inferd_daemon.work import Work

HERE = frozenset({State.STORED, State.LOADING, State.READY, State.DRAINING, State.BACKOFF})
"""States in which a model's bytes are on this disk; FAILED may be for want of them."""
TROUBLED = frozenset({State.BACKOFF, State.FAILED})
"""States in which an unload ends nothing but the wait for the next attempt."""


class Desk:
    """Answers operations; `conclude(stream, event)` ends a request."""

    def __init__(
        self,
        *,
        catalogue: Models,
        fleet: Fleet,
        requests: Requests,
        steward: Steward,
        custodian: Custodian,
        meter: Meter,
        tasks: asyncio.TaskGroup,
        post: Callable[[Sequence[Order]], None],
        stop: Callable[[float], None],
        identity: Callable[[], DaemonReport],
        default_model: Callable[[str], str],
        faults: Callable[[], Iterable[Problem]],
    ) -> None:
        """`stop(grace_s)`: begin to end the daemon. `identity()`: a report with everything but rows.

        `default_model()`: of requests that name none. `faults()`: what is wrong with settings and files.
        """
        self._catalogue = catalogue
        self._fleet = fleet
        self._requests = requests
        self._steward = steward
        self._custodian = custodian
        self._meter = meter
        self._tasks = tasks
        self._post = post
        self._stop = stop
        self._identity = identity
        self._default_model = default_model
        self._faults = faults

    def answer(self, work: Work, now_s: float) -> None:
        """Serve one request."""
        match work.operation:
            case ListModels():
                self._later(work, self._list())
            case Status():
                self._later(work, self._status())
            case Pull(name):
                self._begin(work, name, PullWanted, now_s)
            case Unload(name):
                self._unload(work, name, now_s)
            case Why(name):
                self._explain(work, name, now_s)
            case Preflight(name, context_tokens):
                self._foresee(work, name, context_tokens, now_s)
            case Health():
                self._later(work, self._health())
            case Stop(grace_ms):
                self._requests.conclude(work.stream, Stopping())
                self._stop(grace_ms / 1000)
            case Generate() | Loopback() | Tokenize() | Detokenize() | EstimateTokens():
                raise AssertionError("an actor serves this")
            case Transcribe() | TranscribeStream() | Synthesize() | SynthesizeStream():
                raise AssertionError("an actor serves this")
            case ListSchemas() | Register() | Unregister() | Remove() | Discover() | ListUpgrades():
                raise AssertionError("the registrar serves this")
            case Hold() | RenewHold() | ReleaseHold() | WarmUp() | Pin() | Unpin():
                raise AssertionError("the custodian serves this")
            case SpeechStatus() | SetSpeechPolicy():
                raise AssertionError("the desk of speech serves this")
            case _:
                assert_never(work.operation)

    def _later(self, work: Work, making: Making) -> None:
        answer_later(work, making, self._requests, self._tasks)

    def _known(self, work: Work, name: str) -> Schema | None:
        """Return the model of this name; None: there is none, and the request has been told."""
        try:
            return self._catalogue.find(name)
        except InferenceError as unknown:
            self._requests.conclude(work.stream, as_event(unknown))
            return None

    async def _list(self) -> ModelList:
        await self._meter.refresh()
        return ModelList(self._rows())

    async def _status(self) -> StatusReport:
        return StatusReport(await self._report())

    async def _report(self) -> DaemonReport:
        await self._meter.refresh()
        identity = self._identity()
        apps = tuple(App(app.key.name, app.key.uid, app.peer.pid, app.inflight) for app in self._requests.apps.values())
        return replace(identity, models=self._rows(), apps=apps, processes=self._meter.rows)

    async def _health(self) -> HealthReport:
        report = await self._report()
        self._steward.ticked(time.monotonic(), look=True)
        accounts = self._steward.ledger.accounts
        rooms = {
            device: health.Room(accounts.held_bytes(device), accounts.limit_bytes(device), room.available_bytes)
            for device, room in accounts.rooms.items()
        }
        return HealthReport(
            health.health(
                report, self._default_model(WRITES), rooms[RAM], self._catalogue.find, self._faults(), rooms.get(GPU)
            )
        )

    def _rows(self) -> tuple[Model, ...]:
        return tuple(self.row(schema) for schema in self._catalogue.schemas)

    def row(self, schema: Schema) -> Model:
        """Return a model as it is now."""
        now_s = time.monotonic()
        view, line = self._fleet.lifecycle.view(schema.id, now_s), self._requests.scheduler.view(schema.id)
        capacity = view.capacity
        is_pinned, held_s = self._custodian.keeping(schema.id, now_s)
        return Model(
            id=str(schema.id),
            name=schema.name,
            state=view.state.value,
            available=schema.is_usable and view.state is not State.FAILED,
            weights_ready=view.state in HERE,
            capabilities=schema.capabilities,
            context_tokens=(capacity.context_tokens if capacity else schema.context_tokens) or 0,
            size_bytes=self._size_bytes(schema),
            memory_bytes=self._meter.memory_of(view.pid) if view.pid else 0,
            engine=schema.engine,
            pid=view.pid,
            life=view.life,
            slots=capacity.slots if capacity else 0,
            busy=line.busy,
            queued=line.queued,
            progress=view.progress,
            reason=view.reason,
            retry_after_s=view.retry_after_s,
            idle_s=self._steward.idle_s(schema.id, now_s),
            load_phases=dict(view.phases),
            pinned=is_pinned,
            held_s=held_s,
        )

    def _explain(self, work: Work, name: str, now_s: float) -> None:
        schema = self._known(work, name)
        if schema is None:
            return
        decisions = tuple(_told(one, now_s) for one in self._steward.ledger.story.of(schema.id))
        self._requests.conclude(work.stream, WhyReport(str(schema.id), decisions))

    def _foresee(self, work: Work, name: str, context_tokens: int | None, now_s: float) -> None:
        schema = self._known(work, name)
        if schema is None:
            return
        is_here = self._fleet.lifecycle.view(schema.id, now_s).state in HERE

        async def make() -> PreflightReport:
            return PreflightReport(await preflight(self._steward, schema, context_tokens, weights_ready=is_here))

        self._later(work, make())

    # --- pulls and unloads

    def _unload(self, work: Work, name: str, now_s: float) -> None:
        try:
            model = self._catalogue.find(name).id
            if self._fleet.lifecycle.view(model, now_s).state not in TROUBLED:  # its holders want nothing more
                self._custodian.check_free(model, now_s)
        except InferenceError as refused:
            self._requests.conclude(work.stream, as_event(refused))
        else:
            self._begin(work, name, UnloadWanted, now_s)

    def _begin(self, work: Work, name: str, wanted: type[PullWanted | UnloadWanted], now_s: float) -> None:
        schema = self._known(work, name)
        if schema is None:
            return
        work.about = schema.id
        self._fleet.step(wanted(schema.id), now_s)

    def pull_moved(self, model: ModelId, progress: PullProgress) -> None:
        """Show a download's progress to those who wait for it."""
        now_s = time.monotonic()
        for work in self._requests.about(model, Pull):
            work.progressed_s = now_s
            self._post([Tell(work.stream, progress)])

    def announced(self, view: View) -> None:
        """Answer those whose pull or unload this state completes."""
        if view.life == 0:
            self._requests.conclude_about(view.model, Unload, Unloaded(str(view.model)))
        if view.state not in (State.ABSENT, State.PULLING):
            schema = self._catalogue.of(view.model)
            self._requests.conclude_about(view.model, Pull, Pulled(str(view.model), self._size_bytes(schema)))

    def waiters_failed(self, model: ModelId, error: Error) -> None:
        """End the pulls of a model that cannot be had."""
        self._requests.conclude_about(model, Pull, error)

    def _size_bytes(self, schema: Schema) -> int:
        """Return the size of a model's file, 0 while it is unknown."""
        return self._fleet.file_bytes(schema) or schema.file_bytes


def _told(one: Decision, now_s: float) -> MemoryDecision:
    """Return a decision as apps are told of it."""
    return MemoryDecision(
        kind=one.kind,
        memory=one.device,
        age_s=max(0.0, now_s - one.at_s),
        app=one.app,
        need_bytes=one.need_bytes,
        before_bytes=one.before_bytes,
        after_bytes=max(0, one.after_bytes),
        limit_bytes=one.limit_bytes,
        rule=one.rule,
        help=one.help,
    )
