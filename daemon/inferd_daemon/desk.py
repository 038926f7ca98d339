"""What the daemon answers itself: models, status, pulls, unloading, stopping.

Covers: one method per operation, each of which ends its request. Does not cover requests that a model serves (`requests`).
Runs in the loop; readings of processes are taken in a worker thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from inferd.errors import InferenceError
from inferd.messages.events import Error, ModelList, Pulled, PullProgress, StatusReport, Stopping, Terminal, Unloaded
from inferd.messages.operations import Generate, ListModels, Loopback, Pull, Status, Stop, Unload
from inferd.messages.reports import App, DaemonReport, Model
from inferd_daemon.catalogue import ModelId, PackageSource
from inferd_daemon.crossing import Order, Tell
from inferd_daemon.lifecycle import PullWanted, State, UnloadWanted, View
from inferd_daemon.requests import as_event

if TYPE_CHECKING:
    import asyncio

    from inferd_daemon.catalogue import Catalogue, Schema
    from inferd_daemon.fleet import Fleet
    from inferd_daemon.requests import Requests
    from inferd_daemon.telemetry import Meter
    from inferd_daemon.work import Work

HERE = frozenset({State.STORED, State.LOADING, State.READY, State.DRAINING, State.BACKOFF})
"""States in which a model's bytes are on this disk; FAILED may be for want of them."""


class Desk:
    """Answers operations; `conclude(stream, event)` ends a request."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        fleet: Fleet,
        requests: Requests,
        meter: Meter,
        tasks: asyncio.TaskGroup,
        post: Callable[[Sequence[Order]], None],
        stop: Callable[[float], None],
        identity: Callable[[], DaemonReport],
    ) -> None:
        """`stop(grace_s)`: begin to end the daemon. `identity()`: a report with everything but rows."""
        self._catalogue = catalogue
        self._fleet = fleet
        self._requests = requests
        self._meter = meter
        self._tasks = tasks
        self._post = post
        self._stop = stop
        self._identity = identity
        self._watchers: dict[ModelId, list[tuple[int, type[Pulled | Unloaded]]]] = {}
        """Requests that wait for a pull or an unload."""

    def answer(self, work: Work) -> None:
        """Serve one request."""
        match work.operation:
            case ListModels():
                self._later(work, self._list)
            case Status():
                self._later(work, self._report)
            case Pull(name):
                self._watch(work, name, Pulled)
            case Unload(name):
                self._watch(work, name, Unloaded)
            case Stop(grace_ms):
                self._requests.conclude(work.stream, Stopping())
                self._stop(grace_ms / 1000)
            case Generate() | Loopback():
                raise AssertionError("a model serves this")
            case _:
                assert_never(work.operation)

    def _later(self, work: Work, make: Callable[[], ModelList | StatusReport]) -> None:
        async def run() -> None:
            await self._meter.refresh()
            self._requests.conclude(work.stream, make())

        self._tasks.create_task(run(), name=f"answer {work.trace_id}")

    def _list(self) -> ModelList:
        return ModelList(tuple(self.row(schema) for schema in self._catalogue.schemas))

    def _report(self) -> StatusReport:
        report = self._identity()
        apps = tuple(App(app.key.name, app.key.uid, app.peer.pid, app.inflight) for app in self._requests.apps.values())
        return StatusReport(replace(report, models=self._list().models, apps=apps, processes=self._meter.rows))

    def row(self, schema: Schema) -> Model:
        """Return a model as it is now."""
        now_s = time.monotonic()
        view, line = self._fleet.lifecycle.view(schema.id, now_s), self._requests.scheduler.view(schema.id)
        capacity = view.capacity
        return Model(
            id=str(schema.id),
            name=schema.name,
            state=view.state.value,
            available=view.state is not State.FAILED,
            weights_ready=view.state in HERE,
            capabilities=schema.capabilities,
            context_tokens=(capacity.context_tokens if capacity else schema.context_tokens) or 0,
            size_bytes=schema.source.size_bytes if isinstance(schema.source, PackageSource) else 0,
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
        )

    # --- pulls and unloads

    def _watch(self, work: Work, name: str, end: type[Pulled | Unloaded]) -> None:
        try:
            schema = self._catalogue.find(name)
        except InferenceError as unknown:
            self._requests.conclude(work.stream, as_event(unknown))
            return
        self._watchers.setdefault(schema.id, []).append((work.stream, end))
        wanted = PullWanted(schema.id) if end is Pulled else UnloadWanted(schema.id)
        self._fleet.step(wanted, time.monotonic())

    def pull_moved(self, model: ModelId, progress: PullProgress) -> None:
        """Show a download's progress to those who wait for it."""
        now_s = time.monotonic()
        for stream, end in self._watchers.get(model, ()):
            work = self._requests.work.get(stream)
            if end is Pulled and work is not None:
                work.progressed_s = now_s
                self._post([Tell(stream, progress)])

    def announced(self, view: View) -> None:
        """Answer those whose pull or unload this state completes."""
        if view.life == 0:
            self._answer_watchers(view.model, Unloaded, Unloaded(str(view.model)))
        if view.state not in (State.ABSENT, State.PULLING):
            size_bytes = self.row(self._catalogue.find(str(view.model))).size_bytes
            self._answer_watchers(view.model, Pulled, Pulled(str(view.model), size_bytes))

    def waiters_failed(self, model: ModelId, error: Error) -> None:
        """End the pulls of a model that cannot be had."""
        self._answer_watchers(model, Pulled, error)

    def _answer_watchers(self, model: ModelId, end: type[Pulled | Unloaded], event: Terminal) -> None:
        watchers = self._watchers.pop(model, [])
        rest = [one for one in watchers if one[1] is not end]
        if rest:
            self._watchers[model] = rest
        for stream, kind in watchers:
            if kind is end:
                self._requests.conclude(stream, event)
