"""The requests' side of the supervisor: every accepted request ends exactly once, within its deadline.

Covers: arrival, dispatch, cancel, deadline, the end of an app or an actor, drain. Does not cover models (`fleet`) nor
what the daemon answers itself (`desk`). Runs in the loop and never blocks; who is admitted and who is next is decided by
`admission` and `scheduler`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, assert_never

from inferd import wire
from inferd.errors import DeadlineExceeded, InferenceError, ModelFailed, UnsupportedMode
from inferd.messages.events import Accepted, Cancelled, Error, Loading, Queued, Terminal
from inferd.messages.operations import FOR_MODELS, FOR_VOCABULARIES, Generate, Operation
from inferd.messages.speech import Transcribe, TranscribeStream
from inferd_actors.messages import Facts, ModelFile, Submit
from inferd_daemon import admission, config, crossing, scheduler
from inferd_daemon.catalogue import VOCAB
from inferd_daemon.crossing import AskProgress, Conclude, Dispatch, EndAtActor, Order, Tell
from inferd_daemon.ids import AppKey, Life, StreamNo
from inferd_daemon.lifecycle import State, View
from inferd_daemon.refusal import own_fault, refusal
from inferd_daemon.session import Peer
from inferd_daemon.telemetry import survived
from inferd_daemon.timers import Timers
from inferd_daemon.work import ALL, Ending, Work, WorkTable

if TYPE_CHECKING:
    from inferd.messages.control import Request
    from inferd_daemon.catalogue import ModelId, Models, Schema

BACK_IN_S: Final = 5.0
"""When the successor of a stopping service answers: its manager restarts it at once, and the socket is open before Ray."""


@dataclass(slots=True)
class AppState:
    """A connected app as the loop knows it."""

    key: AppKey
    app_session: str
    peer: Peer
    inflight: int = 0


@dataclass(slots=True)
class Service:
    """A model as its requests see it. A request owes to the load what it waited between these two moments."""

    life: Life
    load_began_s: float
    ready_s: float


class Company(Protocol):
    """The supervisor's other rooms, as requests need them."""

    def answer(self, work: Work, now_s: float) -> None:
        """Serve a request that needs no model; ends in `conclude`."""

    def want(self, model: ModelId, now_s: float) -> None:
        """Requests wait for this model."""

    def emptied(self, model: ModelId, now_s: float) -> None:
        """Nothing runs on this model any more."""

    def served(self, life: Life, first_s: float | None, now_s: float) -> None:
        """This life completed a request, whose first piece came so long after it was given to it."""

    def step_limit_s(self, life: Life) -> float:
        """Return how long a step of this life's engine may take: a living engine ends a stream within one."""

    def hung(self, life: Life, reason: str, now_s: float) -> None:
        """This life did not do what it was told."""

    def used(self, model: ModelId, life: Life, now_s: float) -> None:
        """A request was given to this life of a model."""

    def rested(self, model: ModelId, now_s: float) -> None:
        """Nothing runs on this model that is ready, and nothing waits for it."""

    def unwanted(self, model: ModelId, now_s: float) -> None:
        """No request waits for this model any more."""

    def withdrawn(self, work: Work, now_s: float) -> None:
        """A request that the daemon answers itself was ended before it was."""

    def kept(self, model: ModelId, keep_s: float | None, now_s: float) -> None:
        """A request has used this model, which is to stay for so long; None: as configured."""

    def default_model(self, op: str, language: str | None = None) -> str:
        """Return the model of requests that name none, by their operation's wire name and the language of its sound."""

    def file_of(self, schema: Schema, now_s: float) -> ModelFile:
        """Return a stored model's file. Raises LoadFailed."""

    def context_tokens(self, schema: Schema, now_s: float) -> int:
        """Return a model's context, 0 while it is not known."""


class Requests:
    """All accepted requests; methods are called in the loop, in the order of the facts."""

    def __init__(
        self,
        settings: config.Settings,
        catalogue: Models,
        post: Callable[[Sequence[Order]], None],
        company: Company,
        trace: str,
    ) -> None:
        """`trace`: beginning of every trace id, unique per daemon start."""
        self._settings = settings
        self._catalogue = catalogue
        self._post = post
        self._company = company
        self._trace = trace
        self._timers = Timers()
        self._services: dict[ModelId, Service] = {}
        self._loading_since_s: dict[ModelId, float] = {}
        self.scheduler = scheduler.Scheduler()
        self.work = WorkTable()
        self.apps: dict[int, AppState] = {}
        self.total = 0
        self.is_draining = False
        self._is_idle = asyncio.Event()

    # --- apps

    def app_came(self, fact: crossing.AppCame) -> None:
        """Know a new app."""
        self.apps[fact.session] = AppState(AppKey(fact.peer.uid, fact.app), fact.app_session, fact.peer)

    def app_left(self, session: int, now_s: float) -> None:
        """End everything that a vanished app had asked for."""
        for work in self.work.of_session(session):
            self.end(work, "disconnected", now_s)
        self.apps.pop(session, None)

    # --- arrival

    def arrived(self, fact: crossing.Arrived, now_s: float) -> None:
        """Accept a request and set it on its way, or refuse it with the reason."""
        app = self.apps.get(fact.session)
        if app is None:
            self._post([Conclude(fact.stream, Cancelled("disconnected"))])
            return
        try:
            operation = wire.operation_of(fact.request)
            schema = self._schema_for(operation, fact.request)
            arrival = self._arrival(app, fact, operation, schema, now_s)
            refused = self._refused(app, arrival, now_s)
            file = self._file_for(operation, schema, now_s) if refused is None else None
        except InferenceError as wrong:
            self._post([Conclude(fact.stream, as_event(wrong))])
            return
        if refused is not None:
            self._post([Conclude(fact.stream, refused)])
            return
        self._accept(app, fact, operation, arrival.line, file, now_s)

    def _schema_for(self, operation: Operation, request: Request) -> Schema | None:
        if type(operation) not in FOR_MODELS | FOR_VOCABULARIES:
            return None
        language = operation.language if isinstance(operation, (Transcribe, TranscribeStream)) else None
        return served(self._catalogue.find(request.model or self._company.default_model(request.op, language)))

    def _file_for(self, operation: Operation, schema: Schema | None, now_s: float) -> ModelFile | None:
        if schema is None or type(operation) not in FOR_VOCABULARIES:
            return None
        return self._company.file_of(schema, now_s)

    def _arrival(
        self, app: AppState, fact: crossing.Arrived, operation: Operation, schema: Schema | None, now_s: float
    ) -> admission.Arrival:
        request = fact.request
        counted = schema is not None and schema.has_vocabulary and isinstance(operation, Generate)
        return admission.Arrival(
            app=app.key,
            op=request.op,
            named_model=request.model,
            model=schema.id if schema else None,
            capabilities=schema.operations if schema else (),
            priority=request.priority,
            timeout_ms=request.timeout_ms,
            sent_s=request.sent_s,
            size_bytes=fact.size_bytes,
            least_tokens=admission.least_tokens(operation) if isinstance(operation, Generate) else 0,
            context_tokens=self._company.context_tokens(schema, now_s) if schema and counted else 0,
            has_wish=request.keep_alive_s is not None,
        )

    def _refused(self, app: AppState, arrival: admission.Arrival, now_s: float) -> Error | None:
        line, waiting = arrival.line, self.work.waiting
        crowd = admission.Crowd(
            unfinished_of_app=app.inflight,
            waiting_for_model=waiting(line).count,
            waiting_for_model_of_app=waiting((app.key, line)).count,
            waiting_bytes=waiting(ALL).size_bytes,
            waiting_bytes_of_app=waiting(app.key).size_bytes,
        )
        rules = self._settings.apps.get(app.key.name, config.AppRules())
        back_in_s = BACK_IN_S if self.is_draining else None
        terms = admission.Terms(self._settings.limits.inflight_per_app, rules.max_class, back_in_s)
        return admission.refuse(arrival, crowd, terms, now_s)

    def _accept(
        self,
        app: AppState,
        fact: crossing.Arrived,
        operation: Operation,
        model: ModelId | None,
        file: ModelFile | None,
        now_s: float,
    ) -> None:
        self.total += 1
        work = Work(
            stream=fact.stream,
            session=fact.session,
            app=app.key,
            request=fact.request,
            operation=operation,
            model=model,
            trace_id=f"{self._trace}-{fact.stream}",
            size_bytes=fact.size_bytes,
            arrived_s=fact.arrived_s,
            progressed_s=now_s,
            file=file,
        )
        self.work.add(work)
        app.inflight += 1
        self._timers.set(work.stream, now_s + work.timeout_s)
        self._post([Tell(work.stream, Accepted(work.trace_id))])
        if model is None:
            self._company.answer(work, now_s)
        else:
            stream = StreamNo(work.stream)
            self._schedule(scheduler.Queued(stream, model, app.key, fact.request.priority, fact.arrived_s), now_s)

    # --- waiting and dispatch

    def _schedule(self, event: scheduler.Event, now_s: float, error: Error | None = None) -> None:
        for command in self.scheduler.step(event, now_s):
            match command:
                case scheduler.Dispatch(stream):
                    self._dispatch(stream, now_s)
                case scheduler.TurnAway(stream):
                    self.conclude(stream, error or refusal(ModelFailed, "the model is not to be had"))
                case scheduler.ShowPosition(stream, position):
                    self._placed(stream, position, now_s)
                case scheduler.WantModel(model):
                    self._company.want(model, now_s)
                case scheduler.ReportEmptied(model):
                    self._company.emptied(model, now_s)
                case scheduler.StartIdleClock(model):
                    self._company.rested(model, now_s)
                case _:
                    assert_never(command)

    def _dispatch(self, stream: StreamNo, now_s: float) -> None:
        work = self.work.get(stream)
        if work is None or work.model is None:
            return
        service, app = self._services[work.model], self.apps[work.session]
        load_s = max(0.0, service.ready_s - max(work.arrived_s, service.load_began_s))
        self.work.dispatch(work, service.life)
        submit = Submit(
            stream=stream,
            session=work.session,
            app_session=app.app_session,
            app=app.key.name,
            trace_id=work.trace_id,
            priority=work.request.priority,
            salt=f"{app.key.uid}/{app.key.name}",
            limit_seq=0,
            limit_bytes=0,
            queue_s=max(0.0, now_s - work.arrived_s - load_s),
            load_s=load_s,
            timeout_ms=work.request.timeout_ms,
            file=work.file,
        )
        self._post([Dispatch(stream, service.life, submit)])
        self._company.used(work.model, service.life, now_s)

    def _placed(self, stream: int, position: int, now_s: float) -> None:
        work = self.work.get(stream)
        if work is not None:
            work.position = position
        self.show(stream, Queued(position), now_s)

    def show(self, stream: int, event: Queued | Loading, now_s: float) -> None:
        """Tell a request that it moved."""
        work = self.work.get(stream)
        if work is not None:
            work.progressed_s = now_s
            self._post([Tell(stream, event)])

    # --- what models do

    def announced(self, view: View, now_s: float) -> None:
        """Serve a model that became ready; stop serving one that is not."""
        model = view.model
        if view.state is State.READY and view.capacity is not None:
            self._note_service(model, Life(view.life), now_s)
            capacity = view.capacity
            self._schedule(scheduler.ModelReady(model, capacity.slots, capacity.can_park), now_s)
            return
        if view.state is State.LOADING:
            self._loading_since_s.setdefault(model, now_s)
        self._schedule(scheduler.ModelNotReady(model), now_s)

    def vocab_ready(self, life: Life, slots: int, now_s: float) -> None:
        """Have the vocab actor serve those who wait for it."""
        self._note_service(VOCAB, life, now_s)
        self._schedule(scheduler.ModelReady(VOCAB, slots, can_park=False), now_s)

    def _note_service(self, model: ModelId, life: Life, now_s: float) -> None:
        known = self._services.get(model)
        if known is None or known.life != life:  # else it is told again, and was not loaded just now
            self._services[model] = Service(life, self._loading_since_s.pop(model, now_s), now_s)

    def load_moved(self, model: ModelId, progress: float, phase: str, now_s: float) -> None:
        """Show a load's progress to those who wait for it."""
        for work in self.work.waiting_for(model):
            self.show(work.stream, Loading(str(model), progress, phase), now_s)

    def waiters_failed(self, model: ModelId, error: Error, now_s: float) -> None:
        """End everything that waits for a model."""
        self._schedule(scheduler.WaitersRefused(model), now_s, error)

    def life_ended(self, life: Life, now_s: float) -> None:
        """End everything that a dead or hung actor was working on; nothing more is dispatched to it."""
        for model, service in tuple(self._services.items()):
            if service.life == life:
                del self._services[model]
                self._schedule(scheduler.ModelNotReady(model), now_s)
        for work in self.work.of_life(life):
            self.conclude(work.stream, _forsaken(work))
            self._schedule(scheduler.Ended(StreamNo(work.stream), 0), now_s)

    # --- ends

    def ended(self, fact: crossing.Ended, now_s: float) -> None:
        """Book the end that an actor sent."""
        work = self._forget(fact.stream)
        if work is None:
            return
        if fact.facts.code == "done":
            self._company.served(Life(work.life), fact.facts.first_event_s, now_s)
        if work.model is not None:
            self._company.kept(work.model, work.request.keep_alive_s, now_s)
        self._schedule(scheduler.Ended(StreamNo(fact.stream), _cost_tokens(fact.facts)), now_s)

    def end(self, work: Work, reason: Ending, now_s: float) -> None:
        """End a request early: at once if it waits, by its actor if one works on it. Idempotent."""
        if not work.life:
            event = _expired(work, now_s) if reason == "deadline" else Cancelled(reason)
            self.conclude(work.stream, event)
            self._schedule(scheduler.Withdrawn(StreamNo(work.stream)), now_s)
            if work.model is None:
                self._company.withdrawn(work, now_s)
            elif not self.work.waiting(work.model).count:
                self._company.unwanted(work.model, now_s)
        elif work.ending is None:
            work.ending = reason
            self._timers.set(work.stream, now_s + self._company.step_limit_s(Life(work.life)))
            if reason != "app":  # the app's own cancel has gone to the actor already
                self._post([EndAtActor(work.stream, reason)])

    def conclude(self, stream: int, event: Terminal) -> None:
        """Send the terminal event of a request that no actor works on, or one that is not heard any more."""
        if self._forget(stream) is not None:
            self._post([Conclude(stream, event)])

    def about(self, model: ModelId, kind: type[Operation]) -> list[Work]:
        """Return the requests of one kind that the daemon answers itself and that wait for this model."""
        return [work for work in self.work if work.about == model and isinstance(work.operation, kind)]

    def conclude_about(self, model: ModelId, kind: type[Operation], event: Terminal) -> None:
        """End all of these requests."""
        for work in self.about(model, kind):
            self.conclude(work.stream, event)

    def broke(self, stream: int, bug: Exception, now_s: float) -> None:
        """End a request at whose arrival a bug of ours struck, unless it came as far as to an actor."""
        work = self.work.get(stream)
        if work is None or not work.life:
            self._forget(stream)
            self._post([Conclude(stream, own_fault(bug))])
            self._schedule(scheduler.Withdrawn(StreamNo(stream)), now_s)

    def _forget(self, stream: int) -> Work | None:
        work = self.work.end(stream)
        if work is not None:
            self._timers.drop(stream)
            app = self.apps.get(work.session)
            if app is not None:
                app.inflight -= 1
            if not len(self.work):
                self._is_idle.set()
        return work

    def cancel_asked(self, stream: int, now_s: float) -> None:
        """End what its app no longer wants."""
        work = self.work.get(stream)
        if work is not None:
            self.end(work, "app", now_s)

    # --- time

    def next_timer_s(self) -> float | None:
        """Return when `ticked` is due."""
        due = [one for one in (self._timers.next_s(), self.scheduler.next_timer_s()) if one is not None]
        return min(due, default=None)

    def ticked(self, now_s: float) -> None:
        """Look after requests that have not moved for as long as they allow."""
        for stream in self._timers.take(now_s):
            work = self.work.get(stream)
            if work is not None:
                with survived("a look at a request"):  # the others are due, too
                    self._look_after(work, now_s)
        self._schedule(scheduler.Ticked(), now_s)

    def _look_after(self, work: Work, now_s: float) -> None:
        # 1. Asked to end, and its actor did not: the actor hangs.
        if work.ending is not None:
            reason = f"did not end a stream ({work.ending}) for longer than a step of it may take"
            self._company.hung(Life(work.life), reason, now_s)
        # 2. An actor works on it: the wires know when it last moved.
        elif work.life:
            self._timers.set(work.stream, now_s + work.timeout_s)
            self._post([AskProgress(work.stream)])
        # 3. It waits: its place and its model's load are what moves. Whoever is far back is not told of every step.
        else:
            self._look_at_place(work, now_s)
            self.progress_known(work.stream, work.progressed_s, now_s)

    def _look_at_place(self, work: Work, now_s: float) -> None:
        if work.model is None:
            return
        position = self.scheduler.waiting(work.model).index(StreamNo(work.stream)) + 1
        if position < work.position:
            self._placed(work.stream, position, now_s)

    def progress_known(self, stream: int, progressed_s: float, now_s: float) -> None:
        """End a request that has not moved for as long as it allows; look again later at any other."""
        work = self.work.get(stream)
        if work is None or work.ending is not None:
            return
        due_s = progressed_s + work.timeout_s
        if due_s <= now_s:
            self.end(work, "deadline", now_s)
        else:
            self._timers.set(stream, due_s)

    def end_all(self, now_s: float) -> None:
        """End everything: the daemon stops."""
        for work in self.work:
            self.end(work, "shutdown", now_s)

    async def idle(self) -> None:
        """Return once no request is unfinished."""
        if len(self.work):
            self._is_idle = asyncio.Event()
            await self._is_idle.wait()


def served(schema: Schema) -> Schema:
    """Return the schema of a model that this version can load. Raises UnsupportedMode."""
    if schema.is_served:
        return schema
    text = f"{schema.id} needs the engine {schema.engine}, which this version of inferd does not have"
    raise UnsupportedMode(text, details={"model": str(schema.id), "engine": schema.engine})


def as_event(error: InferenceError) -> Error:
    """Return an error of the tree as the terminal event that says it."""
    return Error(error.code, error.message[:4096], error.retryable, error.retry_after_s, dict(error.details) or None)


def _expired(work: Work, now_s: float) -> Error:
    waited_s = now_s - work.progressed_s
    text = (
        f"nothing moved for {waited_s:.1f} s while waiting for {work.model or 'the daemon'}; the request allows "
        f"{work.timeout_s:g} s: ask with a longer timeout_s, or at a quieter time"
    )
    return refusal(DeadlineExceeded, text, waited_s=round(waited_s, 3), timeout_s=work.timeout_s)


def _forsaken(work: Work) -> Terminal:
    """Return the end of a request whose actor cannot end it: for the reason that the actor was told, if there is one."""
    match work.ending:
        case None:
            text = f"the process of {work.model} died or hung while it worked on this request; the next life answers: ask again"
            return refusal(ModelFailed, text, life=work.life)
        case "deadline":
            text = f"nothing progressed for {work.timeout_s:g} s, and the process of {work.model} hangs: ask again"
            return refusal(DeadlineExceeded, text, timeout_s=work.timeout_s, life=work.life)
        case reason:
            return Cancelled(reason)


def _cost_tokens(facts: Facts) -> int:
    return facts.prompt_tokens - facts.cached_tokens + facts.completion_tokens
