"""The only loop's centre: every fact of the wires comes here, and goes to the room that it concerns.

Covers: who hears what, the keeper's comings and goings, hung actors, and the one timer. Does not cover deciding: that is
`lifecycle`, `scheduler`, `admission`; nor the rooms' own work: `fleet` (models), `requests`, `desk`, `pulls`,
`registrar`, `speech_desk`, `steward` (memory).
Every method runs in the loop; none blocks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, assert_never

import structlog

from inferd.messages.events import Cancelled, Error, PullProgress
from inferd_actors import messages as actors
from inferd_daemon import crossing, custodian, lifecycle, registrar, speech_desk
from inferd_daemon.attendance import Attendance
from inferd_daemon.attendants import Attendants
from inferd_daemon.catalogue import STANDBY, VOCAB, ModelId, Models, Schema
from inferd_daemon.crossing import Fact, ToActor
from inferd_daemon.defaults import default_model
from inferd_daemon.fleet import KEEPER, Fleet
from inferd_daemon.ids import Life
from inferd_daemon.orphans import Orphans
from inferd_daemon.pulse import Ask, GiveUp, Pulses
from inferd_daemon.scheduler.line import RANKS
from inferd_daemon.standby_process import StandbyProcess
from inferd_daemon.telemetry import report, survived
from inferd_daemon.urgency import Urgency, Word

if TYPE_CHECKING:
    from pathlib import Path

    from inferd.errors import InferenceError
    from inferd_daemon.cluster import Cluster
    from inferd_daemon.custodian import Custodian
    from inferd_daemon.desk import Desk
    from inferd_daemon.foresight import Foreseen
    from inferd_daemon.headers import Answer
    from inferd_daemon.ledger import Amount, HoldNo
    from inferd_daemon.peaks import Shape
    from inferd_daemon.pulls import Pulls
    from inferd_daemon.registrar import Registrar
    from inferd_daemon.requests import Requests
    from inferd_daemon.speech_desk import SpeechDesk
    from inferd_daemon.standby import Standby
    from inferd_daemon.steward import Steward
    from inferd_daemon.work import Work

log = structlog.get_logger()

MOVING: Final = frozenset({lifecycle.State.LOADING, lifecycle.State.DRAINING})
"""States in which a model's process begins or ends: nothing else is begun meanwhile that nobody waits for."""

AFTER_BUG_S: Final = 1.0
"""Until the clock rings again after a bug in what it rang for: what is due stays due, and must not be tried in circles."""


class Supervisor:
    """Ties the rooms together; the wires deliver facts to `hear`."""

    fleet: Fleet
    requests: Requests
    desk: Desk
    pulls: Pulls
    steward: Steward
    registrar: Registrar
    custodian: Custodian
    speech: SpeechDesk

    def __init__(
        self,
        catalogue: Models,
        cluster: Cluster,
        attendants: Attendants,
        standby: Standby,
        default_model: str | None,
    ) -> None:
        """The rooms are set by the composition root before the first fact: they need each other through this."""
        self._catalogue = catalogue
        self._cluster = cluster
        self._attendants = attendants
        self._standby = standby
        self._default_model = default_model
        self._post: Callable[[Sequence[crossing.Order]], None] = lambda _orders: None
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._pulses = Pulses(self._inflight)
        self._urgency = Urgency()
        self._orphans = Orphans()
        self._late: list[Fact] = []
        """Arrivals, and what their apps said of them since, while it is looked what the changed list of models means."""
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Set to an exception when the daemon cannot go on."""

    def connect(self, post: Callable[[Sequence[crossing.Order]], None]) -> None:
        """Give it the wires."""
        self._post = post
        self._attendance = Attendance(self._attendants, self._cluster, post, self)
        self._standing = StandbyProcess(self._standby, self._catalogue, self._cluster, post, self)

    # --- facts

    def hear(self, facts: Sequence[Fact]) -> None:
        """Take a batch of facts, in order.

        A bug in one of them must cost neither the others in the batch nor the clock: it is logged, and the request that
        it was about ends. Ending the daemon instead would end every request, and the next one would meet the same bug.
        """
        now_s = time.monotonic()
        if self._is_closed:
            return
        for fact in facts:
            try:
                self._hear(fact, now_s)
            except Exception as bug:  # noqa: BLE001 - see above
                report(bug, type(fact).__name__)
                if isinstance(fact, crossing.Arrived):
                    self.requests.broke(fact.stream, bug, now_s)
        with survived("a look at the standby"):  # as above
            self._standing.look(now_s)
        self._set_timer()

    def _hear(self, fact: Fact, now_s: float) -> None:
        match fact:
            case crossing.Arrived() | crossing.CancelAsked() if self.registrar.look(now_s):
                self._late.append(fact)
            case crossing.Arrived():
                self.requests.arrived(fact, now_s)
            case crossing.Ended():
                self.requests.ended(fact, now_s)
            case crossing.CancelAsked():
                self.requests.cancel_asked(fact.stream, now_s)
            case crossing.AppCame():
                self.requests.app_came(fact)
            case crossing.AppLeft():
                self.requests.app_left(fact.session, now_s)
                self.custodian.app_left(fact.session, now_s)
            case crossing.LastProgress():
                self.requests.progress_known(fact.stream, fact.progressed_s, now_s)
            case crossing.ActorCame():
                self._actor_came(fact.hello, now_s)
            case crossing.ActorSaid():
                self._actor_said(Life(fact.life), fact.message, now_s)
            case crossing.ActorLost():
                self._actor_lost(Life(fact.life), now_s)
            case crossing.WiresFailed():
                if not self.failure.done():
                    self.failure.set_exception(RuntimeError(f"the wires failed: {fact.reason}"))
            case _:
                assert_never(fact)

    def seen(self) -> None:
        """It is known what the changed list of models means: hear what waited for that."""
        late, self._late = self._late, []
        self.hear(late)

    def _actor_came(self, hello: actors.ActorHello, now_s: float) -> None:
        life = Life(hello.life)
        if life != KEEPER:
            self._pulses.came(life, now_s)
        if self._attendants.is_one(life):
            self._attendance.came(hello)
        elif self._standing.is_one(life):
            self._standing.came(hello)
        elif life != KEEPER:
            self.fleet.step(lifecycle.Greeted(life), now_s)

    def _actor_said(self, life: Life, message: object, now_s: float) -> None:
        match message:
            case actors.Alive():
                self._pulses.moved(life, message.steps, now_s)
            case actors.Stats(counters):
                self._pulses.answered(life, int(counters.get("steps", 0)), int(counters.get("due", 0)), now_s)
            case actors.Urgent(is_urgent):
                self._step_aside(self._urgency.told(life, is_urgent=is_urgent))
            case actors.KeeperReady():
                self._keeper_up(message, now_s)
            case actors.KeeperTrouble():
                self._keeper_down(message.reason, now_s)
            case actors.Died() if self._attendance.gone(Life(message.life), message.reason, now_s):
                pass
            case actors.Died() if self._orphans.gone(Life(message.life)):
                self._room_is_free(now_s)
            case actors.Died() if self._standing.gone(Life(message.life), now_s):
                pass
            case actors.Spawned() if self._standing.is_one(Life(message.life)):
                self._standing.said(Life(message.life), message, now_s)
            case actors.Loaded() if self._attendants.is_one(life):
                self._attendance.loaded(life, message, now_s)
            case _ if self._standing.is_one(life):
                self._standing.said(life, message, now_s)
            case _:
                self.fleet.heard(life, message, now_s)
                if isinstance(message, actors.Loaded):
                    self._step_aside(self._urgency.loaded(life))

    def _step_aside(self, words: Sequence[Word]) -> None:
        self._post([ToActor(life, actors.StepAside(is_aside)) for life, is_aside in words])

    def _actor_lost(self, life: Life, now_s: float) -> None:
        self._pulses.gone(life)
        self._step_aside(self._urgency.gone(life))
        if life == KEEPER:
            self._keeper_down("its connection closed", now_s)
        elif self.fleet.lifecycle.model_of(life) is None:
            self._attendance.lost(life, now_s)
            self._standing.lost(life, now_s)
        elif self._cluster.state == "ready":
            self.fleet.give_up(life, "its connection closed", now_s)  # gone once the keeper says `died`
        else:
            self.fleet.step(lifecycle.Gone(life, "its connection closed"), now_s)

    # --- the keeper

    def _keeper_up(self, ready: actors.KeeperReady, now_s: float) -> None:
        self._cluster.heard(ready)
        log.info("keeper ready", ray=len(ready.ray_pids), lives=len(ready.lives))
        orphans = [
            held
            for held in ready.lives
            if self.fleet.lifecycle.model_of(Life(held.life)) is None and not self._attendants.is_one(Life(held.life))
        ]
        for held in orphans:
            log.info("ending a life of an earlier daemon", life=held.life, kind=held.kind, model=held.model)
            self._post([ToActor(KEEPER, actors.Kill(held.life))])
        self._orphans.found((Life(held.life) for held in orphans), now_s)
        self._attendance.keeper_up(now_s)
        if not self._orphans:
            self._room_is_free(now_s)

    def _room_is_free(self, now_s: float) -> None:
        """Have models' processes begin: the keeper is up, and nothing that no book knows occupies memory."""
        self._standing.keeper_up(now_s)
        self.fleet.step(lifecycle.KeeperUp(), now_s)

    def _keeper_down(self, reason: str, now_s: float) -> None:
        log.warning("keeper down", reason=reason)
        self._cluster.lost()
        self._orphans.found((), now_s)
        self._attendance.keeper_down(now_s)
        self._standing.keeper_down(now_s)
        self.fleet.step(lifecycle.KeeperDown(reason), now_s)

    # --- what the rooms tell each other

    def announced(self, view: lifecycle.View, now_s: float) -> None:
        """A model's state changed."""
        if view.state is lifecycle.State.READY:
            self._standing.loaded(view.model)
        self._standing.moved()
        self.steward.announced(view, now_s)
        self.requests.announced(view, now_s)
        self.custodian.announced(view, now_s)
        self.desk.announced(view)
        self.registrar.announced(view)

    def load_moved(self, model: ModelId, progress: float, phase: str, now_s: float) -> None:
        """A load moved."""
        self.requests.load_moved(model, progress, phase, now_s)
        self.custodian.load_moved(model, progress, phase, now_s)

    def failed(self, model: ModelId, what: str, then: str, now_s: float) -> None:
        """A load of this model came to nothing, or its process did."""
        self.steward.failed(model, what, then, now_s)

    def waiters_failed(self, model: ModelId, error: Error, now_s: float) -> None:
        """Whoever waits for this model waits in vain."""
        self.requests.waiters_failed(model, error, now_s)
        self.custodian.waiters_failed(model, error, now_s)
        self.desk.waiters_failed(model, error)

    def life_ended(self, life: Life, now_s: float) -> None:
        """Nothing more will come of this life."""
        self._pulses.gone(life)
        self.requests.life_ended(life, now_s)

    def pull(self, schema: Schema) -> None:
        """Fetch a model's files."""
        self.pulls.start(schema, self._catalogue.schemas, self._pulled)

    def _pulled(self, model: ModelId, error: InferenceError | None) -> None:
        event: lifecycle.Event = lifecycle.Pulled(model)
        if error is not None:
            told = error.message, error.retryable, error.retry_after_s, error.details
            event = lifecycle.PullFailed(model, *told)
        with survived("the end of a pull"):  # in a task of the root group it would end the daemon
            self.fleet.step(event, time.monotonic())
        self._set_timer()

    def header_read(self, life: Life, path: Path, answer: Answer) -> None:
        """It is known what a file says that a life is to load."""
        with survived("a header"):  # as above
            self.fleet.header_read(life, path, answer, time.monotonic())
        self._set_timer()

    def pull_moved(self, model: ModelId, progress: PullProgress) -> None:
        """A download moved."""
        self.desk.pull_moved(model, progress)

    def answer(self, work: Work, now_s: float) -> None:
        """Serve a request that needs no model."""
        if isinstance(work.operation, custodian.Operation):
            self.custodian.answer(work, now_s)
        elif isinstance(work.operation, registrar.Operation):
            self.registrar.answer(work, now_s)
        elif isinstance(work.operation, speech_desk.Operation):
            self.speech.answer(work)
        else:
            self.desk.answer(work, now_s)

    def withdrawn(self, work: Work, now_s: float) -> None:
        """A request that the daemon answers itself was ended before it was."""
        self.custodian.withdrawn(work.stream, now_s)

    def want(self, model: ModelId, now_s: float) -> None:
        """Requests or claims wait for this model, or for the vocab actor."""
        if model == VOCAB:
            self._attendance.want_vocab(now_s)
            return
        self.fleet.step(lifecycle.Wanted(model), now_s)
        self.steward.joined(model, now_s)

    def emptied(self, model: ModelId, now_s: float) -> None:
        """Nothing runs on this model any more."""
        if model == VOCAB:
            return
        self.fleet.step(lifecycle.Emptied(model), now_s)

    def used(self, model: ModelId, life: Life, now_s: float) -> None:
        """A request was given to this model."""
        if self.requests.work.inflight(life) == 1:
            self._pulses.began(life, now_s)
        self.steward.used(model, now_s)
        self._standing.used(model)

    def kept(self, model: ModelId, keep_s: float | None, now_s: float) -> None:
        """A request has used this model, which is to stay for so long; None: as configured."""
        self.steward.keep(model, keep_s, now_s)

    def rested(self, model: ModelId, now_s: float) -> None:
        """Nothing runs on this model, and nothing waits for it."""
        self.steward.rested(model, now_s)

    def unwanted(self, model: ModelId, now_s: float) -> None:
        """No request, or no claim, waits for this model any more; the others may."""
        if model != VOCAB and not self.custodian.asker(model) and not self.requests.work.waiting(model).count:
            self.fleet.step(lifecycle.Unwanted(model), now_s)

    def reserve(self, model: ModelId, now_s: float) -> None:
        """Find memory for a load."""
        self.steward.reserve(model, now_s)

    def release(self, model: ModelId, now_s: float) -> None:
        """A model holds no memory any more, and waits for none."""
        self.steward.release(model, now_s)

    def asker(self, model: ModelId) -> tuple[str, int]:
        """Return the most urgent who waits for this model, and the class; nobody: an ordinary one of nobody's."""
        first, claim = self.requests.scheduler.first(model), self.custodian.asker(model)
        askers = [*([(first.app.name, first.rank)] if first else []), *([claim] if claim else [])]
        return min(askers, key=lambda one: one[1], default=("", RANKS["interactive"]))

    def hold_granted(self, hold: HoldNo, now_s: float) -> None:
        """A hold has its memory."""
        self.custodian.granted(hold, now_s)

    def hold_refused(self, hold: HoldNo, error: Error, now_s: float) -> None:
        """A hold cannot be had."""
        self.custodian.refused(hold, error, now_s)

    def hold_delayed(self, hold: HoldNo, text: str, now_s: float) -> None:
        """A hold waits for memory."""
        self.custodian.delayed(hold, text, now_s)

    def clock_changed(self) -> None:
        """Something else may be due first than before."""
        self._set_timer()

    def reserved(self, model: ModelId, now_s: float) -> None:
        """A load has its memory: it may begin, with the process that stands by if there is one."""
        standby = self._standing.offer(self._catalogue.of(model).engine)
        self.fleet.step(lifecycle.Reserved(model, standby), now_s)

    def took_standby(self, life: Life, now_s: float) -> None:
        """A process that had no model has one."""
        self._standing.taken(life, now_s)

    def end_standby(self, reason: str, now_s: float) -> None:
        """The memory of the process that stands by is wanted back."""
        self._standing.end(reason, now_s)

    def is_quiet(self, now_s: float) -> bool:
        """Tell whether nothing is asked of any model and none comes or goes."""
        if any(work.model is not None for work in self.requests.work):
            return False
        views = (self.fleet.lifecycle.view(schema.id, now_s) for schema in self._catalogue.schemas)
        return all(view.state not in MOVING for view in views)

    def life_step(self, event: lifecycle.Event, now_s: float) -> None:
        """Have `lifecycle` decide on an event."""
        self.fleet.step(event, now_s)

    def foreseen(self, model: ModelId, shape: Shape, known: Foreseen) -> None:
        """It is known what a load will come to, or that nothing tells."""
        with survived("a prediction"):  # in a task of the root group it would end the daemon
            self.steward.foreseen(model, shape, known, time.monotonic())
        self._set_timer()

    def model_pids(self) -> dict[ModelId, int]:
        """Return the models that have a process, and which."""
        now_s = time.monotonic()
        views = (self.fleet.lifecycle.view(schema.id, now_s) for schema in self._catalogue.schemas)
        found = {view.model: view.pid for view in views if view.pid}
        return {**found, STANDBY: self._standing.pid} if self._standing.pid else found

    def standby_processes(self) -> tuple[tuple[int, str], ...]:
        """Return (pid, name) of the process without a model; none: there is none.

        The name: its engine once it stands by, and behind it the model whose file it has open.
        """
        standby = self._standby
        name = f"{standby.engine} {standby.open_model}".rstrip() if standby.is_ready else "starting"
        return ((self._standing.pid, name),) if self._standing.pid else ()

    def measured(self, used: Mapping[ModelId, Amount], began_s: float) -> None:
        """Models' memory was measured, from `began_s` on."""
        with survived("a measurement"):  # in a task of the root group it would end the daemon
            self.steward.measured(used, began_s, time.monotonic())
        self._set_timer()

    def served(self, life: Life, first_s: float | None, now_s: float) -> None:
        """This life completed a request, whose first piece came so long after it was given to it."""
        self.fleet.step(lifecycle.Served(life, first_s), now_s)

    def step_limit_s(self, life: Life) -> float:
        """Return how long a step of this life's engine may take."""
        return self._pulses.patience_s(life)

    def hung(self, life: Life, reason: str, now_s: float) -> None:
        """This life did not do what it was told."""
        log.warning("hung", life=life, reason=reason)
        if not self._attendance.gone(life, reason, now_s):
            self.fleet.give_up(life, reason, now_s)

    def fence(self, life: Life, now_s: float) -> None:
        """Have nothing of this life count any more."""
        self.fleet.fence(life, now_s)

    def vocab_ready(self, life: Life, slots: int, now_s: float) -> None:
        """The vocab actor takes requests."""
        self.requests.vocab_ready(life, slots, now_s)

    def file_of(self, schema: Schema, now_s: float) -> actors.ModelFile:
        """Return a stored model's file. Raises LoadFailed."""
        return self.fleet.file_of(schema, now_s)

    def context_tokens(self, schema: Schema, now_s: float) -> int:
        """Return a model's context, 0 while it is not known."""
        return self.fleet.context_tokens(schema, now_s)

    def default_model(self, op: str, language: str | None = None) -> str:
        """Return the model of requests that name none: see `defaults`."""
        choice = self.speech.choice(op, language)
        if choice is not None:
            return choice.model
        now_s = time.monotonic()
        return default_model(
            self._catalogue.schemas,
            lambda model: self.fleet.lifecycle.view(model, now_s).state is not lifecycle.State.ABSENT,
            configured=self._default_model,
            starter=self._catalogue.starter_id,
        )

    # --- time

    def _set_timer(self) -> None:
        """Have `_ticked` called at the next moment that anybody waits for; there is no fixed tick."""
        rooms = (
            self.requests,
            self.fleet.lifecycle,
            self._attendants,
            self.steward,
            self.custodian,
            self._pulses,
            self._orphans,
            self._standing,
        )
        due = [due_s for room in rooms if (due_s := room.next_timer_s()) is not None]
        due_s = min(due, default=None)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if due_s is not None and not self._is_closed:
            delay_s = max(0.0, due_s - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._ticked)

    def _ticked(self) -> None:
        try:
            self._look_around(time.monotonic())
        except Exception as bug:  # noqa: BLE001 - without its clock no request would have a deadline
            report(bug, "tick")
            self._timer = asyncio.get_running_loop().call_later(AFTER_BUG_S, self._ticked)
        else:
            self._set_timer()

    def _inflight(self, life: Life) -> int:
        return self.requests.work.inflight(life)

    def _look_around(self, now_s: float) -> None:
        self.requests.ticked(now_s)
        self.fleet.step(lifecycle.Ticked(), now_s)
        self.steward.ticked(now_s)
        self.custodian.ticked(now_s)
        self._attendance.start_due(now_s)
        if self._orphans.given_up(now_s):
            log.warning("lives of an earlier daemon do not end")
            self._room_is_free(now_s)
        for verdict in self._pulses.look(now_s):
            match verdict:
                case Ask(life):
                    self._post([ToActor(life, actors.AskStats())])
                case GiveUp(life, reason):
                    self.hung(life, reason, now_s)
                case _:
                    assert_never(verdict)
        self._standing.look(now_s)

    # --- the end

    def end_all(self, now_s: float) -> None:
        """End every request and have every process leave when its last one has ended."""
        self._attendance.close()
        self._standing.close(now_s)
        self.custodian.close(now_s)
        self.requests.end_all(now_s)
        for schema in self._catalogue.schemas:
            if self.fleet.lifecycle.view(schema.id, now_s).life:
                self.fleet.step(lifecycle.UnloadWanted(schema.id), now_s)
        self._set_timer()

    def cut_off(self) -> None:
        """End the requests that no actor has ended; those are not heard any more, and are about to be killed."""
        for work in self.requests.work:
            self.requests.conclude(work.stream, Cancelled("shutdown"))

    def close(self) -> None:
        """End what is left, hear nothing more, and stop the clock."""
        self.cut_off()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._is_closed = True
