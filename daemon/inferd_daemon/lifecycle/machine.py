"""The decisions about every model's life: one event in, commands out.

Covers: what events do and what entering a state asks for; which state follows which stands in `table`. Does not cover
when a model has been idle for long enough or looks hung (`supervisor`), nor who is served (`scheduler`). Pure.

Rules it keeps:
1. A model has one process at most: `Spawn` only once the one before is gone.
2. An event of a life that is over, or whose end was ordered, changes nothing; only its `Gone` is heard.
3. A load, once begun, is joined by everyone who wants it and does not end because they leave.
4. A process that stood by becomes one model's, once. If it ends before it has loaded that, a new one takes its place.
5. Nobody waits in vain: on the way to BACKOFF after a load, FAILED or ABSENT, waiters are failed with the reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from inferd_daemon.lifecycle import commands, events
from inferd_daemon.lifecycle.processes import Processes
from inferd_daemon.lifecycle.record import FIRST_ANSWER, NEVER_S, Capacity, Memory, Process, Record, View
from inferd_daemon.lifecycle.setbacks import no_files, not_fetched
from inferd_daemon.lifecycle.states import State
from inferd_daemon.lifecycle.transitions import Transitions

if TYPE_CHECKING:
    from inferd.messages.events import Error
    from inferd_daemon.catalogue.names import ModelId
    from inferd_daemon.ids import Life


class Lifecycle:
    """All models. `step` is the only way to change anything but the next life's number; one caller, never at the same time."""

    def __init__(self, first_life: Life) -> None:
        """`first_life`: higher than every life that an earlier daemon may have begun."""
        self._processes = Processes(first_life)
        self._records: dict[ModelId, Record] = {}
        self._states = Transitions(self._processes)

    def step(self, event: events.Event, now_s: float) -> list[commands.Command]:
        """Return what is to be done about `event`, in order. Events about unknown or ended lives change nothing."""
        self._states.now_s = now_s
        self._states.commands = []
        self._take(event)
        return self._states.commands

    def next_timer_s(self) -> float | None:
        """Return when `Ticked` is due; None: nothing waits for time to pass."""
        due_s = min((record.timer_s for record in self._records.values()), default=NEVER_S)
        return None if due_s == NEVER_S else due_s

    def view(self, model: ModelId, now_s: float) -> View:
        """Return how `model` is; one never heard of is ABSENT."""
        record = self._records.get(model)
        return record.view(now_s) if record else View(model, State.ABSENT)

    def refusal(self, model: ModelId, now_s: float) -> Error | None:
        """Return why a request for this model would be refused at once, None: it would wait, or be served."""
        return _refusal(self._records.get(model, Record(model)), now_s)

    def model_of(self, life: Life) -> ModelId | None:
        """Return whose process this is; None once it is gone."""
        record = self._processes.record_of(life)
        return record.model if record else None

    def set_aside(self) -> Life:
        """Return the number of a life that begins without a model. `StoodBy` and `Withdrawn` tell what becomes of it."""
        return self._processes.next_life()

    # --- events

    def _take(self, event: events.Event) -> None:
        match event:
            case events.KeeperUp() | events.KeeperDown():
                self._keeper_changed(event)
            case events.StoodBy(life, pid):
                self._processes.stood_by(life, pid)
            case events.Withdrawn(life):
                self._processes.withdrawn(life)
            case events.Ticked():
                for record in list(self._records.values()):
                    self._states.ring(record)
            case (
                events.Wanted()
                | events.PullWanted()
                | events.Pulled()
                | events.PullFailed()
                | events.FilesChanged()
                | events.UnloadWanted()
                | events.Reserved()
                | events.Delayed()
                | events.MemoryRefused()
                | events.LoadRefused()
                | events.Unwanted()
                | events.Evicted()
                | events.Emptied()
            ):
                record = self._records.setdefault(event.model, Record(event.model))
                self._states.ring(record)
                self._about_model(record, event)
            case (
                events.Spawned()
                | events.Greeted()
                | events.Progressed()
                | events.Loaded()
                | events.LoadFailed()
                | events.Served()
                | events.Hung()
                | events.Gone()
            ):
                known = self._processes.record_of(event.life)
                if known is not None and known.process is not None:
                    self._about_life(known, known.process, event)
            case _:
                assert_never(event)

    def _about_model(self, record: Record, event: events.ModelEvent) -> None:
        match event:
            case events.Wanted():
                self._wanted(record)
            case events.PullWanted() | events.UnloadWanted():
                self._asked_by_a_person(record, event)
            case events.Pulled():
                record.stored = True
                self._states.move(record, events.Pulled)
            case events.PullFailed():
                if record.state is State.PULLING:
                    self._states.fail_waiters(record, not_fetched(event))
                    self._states.move(record, events.PullFailed)
            case events.FilesChanged():
                self._files_changed(record, event)
            case (
                events.Reserved()
                | events.Delayed()
                | events.MemoryRefused()
                | events.LoadRefused()
                | events.Unwanted()
                | events.Evicted()
            ):
                self._about_memory(record, event)
            case events.Emptied():
                if record.state is State.DRAINING:
                    self._states.leave(record)
            case _:
                assert_never(event)

    def _wanted(self, record: Record) -> None:
        """Find out what becomes of a request that waits for this model.

        1. It answers requests: the scheduler knows.
        2. Its files are not here, or it failed and nothing but time or a person helps: say so at once.
        3. Otherwise the request waits: for the pull, for the load it joins or begins, for the next life.
        """
        if record.state is State.READY:  # 1
            return
        error = _refusal(record, self._states.now_s)
        if error is not None:  # 2
            self._states.fail_waiters(record, error)
        else:  # 3
            record.wanted = True
            self._states.move(record, events.Wanted)

    def _asked_by_a_person(self, record: Record, event: events.PullWanted | events.UnloadWanted) -> None:
        if isinstance(event, events.UnloadWanted):
            record.wanted = False  # whoever still waits will say so again: the scheduler asks after every `Announce`
            record.forgive()
        elif record.state is State.FAILED:
            record.forgive()
        if not self._states.move(record, type(event)):
            self._states.announce(record)

    def _files_changed(self, record: Record, event: events.FilesChanged) -> None:
        failed = record.state is State.FAILED
        if failed:
            record.forgive()
        if failed or event.stored != record.stored:
            record.stored = event.stored
            self._states.move(record, events.FilesChanged)

    def _about_memory(self, record: Record, event: events.MemoryEvent) -> None:
        waits = record.memory is Memory.ASKED
        match event:
            case events.Reserved() if waits:
                record.memory = Memory.HELD
                self._states.spawn(record, event.standby)
            case events.Delayed() if waits:
                self._states.load_moved(record, 0.0, event.reason)
            case events.MemoryRefused() if waits:
                record.memory = Memory.NONE
                self._states.fail_waiters(record, event.error)
                self._states.move(record, events.MemoryRefused)
            case events.LoadRefused(_, cause, message) if waits:
                self._states.load_failed(record, cause, message)
            case events.Unwanted() if waits:
                record.wanted = False
                self._states.move(record, events.Unwanted)
            case events.Evicted() if record.state is State.READY:
                record.evicted = True
                self._states.move(record, events.Evicted)
            case _:
                pass

    def _about_life(self, record: Record, process: Process, event: events.LifeEvent) -> None:
        if isinstance(event, events.Gone):
            self._vacate(record, process, event.reason)
            return
        if process.ending:
            return
        match event:
            case events.Spawned():
                process.pid = event.pid
                record.phases.enter("connecting", self._states.now_s)
            case events.Greeted():
                self._greeted(record, process)
            case events.Progressed():
                self._states.load_moved(record, event.progress, event.phase)
            case events.Loaded():
                self._loaded(record, event)
            case events.LoadFailed():
                self._states.load_failed(record, event.cause, event.message)
            case events.Served():
                record.forgive()
                if event.first_s is not None and record.capacity is not None:
                    record.took_s.setdefault(FIRST_ANSWER, event.first_s)
            case events.Hung():
                self._hung(record, event.reason)
            case _:
                assert_never(event)

    def _greeted(self, record: Record, process: Process) -> None:
        if not process.greeted:
            process.greeted = True
            self._states.order_load(record, process.life)

    def _loaded(self, record: Record, event: events.Loaded) -> None:
        if event.slots < 1:
            self._states.load_failed(record, "engine", f"the engine offers {event.slots} slots, at least 1 is needed")
        elif record.state is State.LOADING:
            record.capacity = Capacity(
                event.slots, event.can_park, event.context_tokens, event.memory_bytes, event.load_s
            )
            record.loaded(event.phases, self._states.now_s)
            self._states.move(record, events.Loaded)

    def _hung(self, record: Record, reason: str) -> None:
        match record.state:
            case State.LOADING if not (record.process and record.process.stood_by):
                self._states.load_failed(record, "engine", reason)
            case State.READY:
                self._states.died(record, reason)
            case _:
                self._states.kill(record)

    def _vacate(self, record: Record, process: Process, reason: str) -> None:
        """Take note that the process is gone; whether that is a failure depends on whether it was meant to end."""
        fence = self._processes.bury(record, process)
        self._states.release(record)
        if record.state is State.READY:
            self._states.died(record, reason)  # first no new work, then the end of the old: else it would follow
            self._states.commands.append(fence)
            return
        self._states.commands.append(fence)
        match record.state:
            case State.DRAINING:
                self._states.move(record, events.Gone)
            case State.LOADING if process.ending or process.stood_by:
                self._states.spawn(record)
            case State.LOADING:
                self._states.load_failed(record, "engine", reason)
            case _:
                self._states.announce(record)

    def _keeper_changed(self, event: events.KeeperUp | events.KeeperDown) -> None:
        self._processes.keeper_is_up = isinstance(event, events.KeeperUp)
        self._processes.withdrawn()
        for record in list(self._records.values()):
            process = record.process
            if isinstance(event, events.KeeperDown) and process is not None and not process.greeted:
                process.ending = True  # lost with its keeper, no fault of the model
                self._vacate(record, process, event.reason)
            elif record.state is State.LOADING and process is None:
                self._states.spawn(record)


def _refusal(record: Record, now_s: float) -> Error | None:
    if record.state is State.ABSENT:
        return no_files(record.model)
    if record.state in (State.BACKOFF, State.FAILED) and record.setback and not record.setback.lets_wait:
        return record.setback.error(record.model, now_s)
    return None
