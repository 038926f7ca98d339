"""What changing the state of a model brings with it: the one place where `Record.state` is written.

Covers: entering states, failures and what they cost, processes' beginnings and ends, timers that are due. Does not
cover which event leads here: see `machine`. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

from inferd_actors.phases import Phases
from inferd_daemon.lifecycle import commands, events
from inferd_daemon.lifecycle.processes import Processes, kill, kill_again, leave
from inferd_daemon.lifecycle.record import NEVER_S, ORDERING, Memory, Record
from inferd_daemon.lifecycle.setbacks import Setback, after_death, after_load_failure, no_files
from inferd_daemon.lifecycle.states import State
from inferd_daemon.lifecycle.table import NEXT, GaveUp, Kind, Rested, Struck

if TYPE_CHECKING:
    from inferd.messages.events import Error
    from inferd_daemon.ids import Life

LOAD_STALL_S: Final = 120.0
"""A load without progress for this long is dead: less than half of the 300 s that a request waits by default, so that
waiters hear the cause and not that their time is over."""

DRAIN_LIMIT_S: Final = 300.0
"""Then the process is asked to leave although requests run: as long as a request may go without progress by default. A model
that was evicted is not hurried: what runs on it has a deadline of its own."""

STEADY_S: Final = 60.0
"""A model that stayed loaded for a minute did not die of being loaded: its earlier failures are forgiven."""


class Transitions:
    """Writes the records of one step: set `now_s`, call what happened, take `commands`."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self.now_s = 0.0
        self.commands: list[commands.Command] = []

    def move(self, record: Record, kind: Kind) -> bool:
        """Enter the state that follows; return whether there is one."""
        state = NEXT.get((record.state, kind))
        if state is not None:
            self._enter(record, state)
        return state is not None

    def _enter(self, record: Record, state: State) -> None:
        """Change the state, here and nowhere else; tell of it; go on to what the state is for."""
        record.state = State.ABSENT if state is State.STORED and not record.stored else state
        if record.state is not State.LOADING and record.process is None:
            self.release(record)
        record.due_s = self._due_s(record)
        if record.state is State.ABSENT and record.wanted:
            self.fail_waiters(record, no_files(record.model))
        elif record.state in (State.BACKOFF, State.FAILED) and record.setback and not record.setback.lets_wait:
            self.fail_waiters(record, record.setback.error(record.model, self.now_s))
        self.announce(record)
        self._entered(record)

    def _due_s(self, record: Record) -> float:
        match record.state:
            case State.READY:
                return self.now_s + STEADY_S
            case State.DRAINING:
                return NEVER_S if record.evicted else self.now_s + DRAIN_LIMIT_S
            case State.BACKOFF if record.setback and record.setback.retry_at_s is not None:
                return record.setback.retry_at_s
            case _:
                return NEVER_S

    def _entered(self, record: Record) -> None:
        match record.state:
            case State.PULLING:
                self.commands.append(commands.StartPull(record.model))
            case State.STORED:
                if record.wanted:
                    self.move(record, events.Wanted)
            case State.LOADING:
                record.phases = Phases()
                self.spawn(record)
            case State.READY:
                record.wanted = False
            case State.DRAINING:
                self._begin_drain(record)
            case State.BACKOFF:
                self.ring(record)  # the first death costs no time
            case State.ABSENT | State.FAILED:
                pass
            case _:
                assert_never(record.state)

    def _begin_drain(self, record: Record) -> None:
        if record.process is None:
            self.move(record, events.Gone)
        elif record.capacity is None:  # it was loading: nothing can be in flight
            self.leave(record)

    # --- failures

    def load_failed(self, record: Record, cause: events.LoadCause, message: str) -> None:
        """End a load that came to nothing; a model that is not LOADING has none."""
        if record.state is State.LOADING:
            record.load_failures += 1
            self._strike(record, after_load_failure(record.load_failures, cause, message, self.now_s))

    def died(self, record: Record, reason: str) -> None:
        """End the life of a READY model that fell or hung, and count it unless a steady spell lies before."""
        if self.now_s >= record.due_s:
            record.forgive()
        record.deaths += 1
        self._strike(record, after_death(record.deaths, reason, self.now_s))

    def _strike(self, record: Record, setback: Setback) -> None:
        record.setback = setback
        record.stored = record.stored and setback.cause != "file_missing"
        record.capacity = None
        self.commands.append(commands.NoteFailure(record.model, *setback.told(record.model, self.now_s)))
        self.kill(record)
        self.move(record, GaveUp if setback.retry_at_s is None else Struck)

    # --- processes

    def spawn(self, record: Record, standby: Life | None = None) -> None:
        """Begin the next life, or say what it waits for.

        1. The previous process is not gone yet.
        2. The keeper is not up.
        3. Its memory is not reserved.
        4. A process stands by: it has said hello already.
        5. Nothing is in the way.
        """
        if record.process is not None:  # 1
            self.begin_phase(record, "waiting for the previous process to end")
        elif not self._processes.keeper_is_up:  # 2
            self.begin_phase(record, "starting keeper")
        elif record.memory is not Memory.HELD:  # 3
            record.memory = Memory.ASKED
            self.begin_phase(record, "waiting for memory")
            self.commands.append(commands.Reserve(record.model))
        else:
            begun = self._processes.begin(record, standby)
            self.commands.append(begun)
            if isinstance(begun, commands.Take):  # 4
                self.order_load(record, begun.life)
            else:  # 5
                self.begin_phase(record, "starting process")

    def order_load(self, record: Record, life: Life) -> None:
        """Have a process that can be spoken to load the model."""
        self.commands.append(commands.OrderLoad(life))
        self.begin_phase(record, ORDERING)

    def release(self, record: Record) -> None:
        """Give back the memory of a model that has no process, and wait for none."""
        if record.memory is not Memory.NONE:
            record.memory, record.evicted = Memory.NONE, False
            self.commands.append(commands.Release(record.model))

    def leave(self, record: Record) -> None:
        """Ask the process, if there is one, to end."""
        if record.process is not None:
            self.commands += leave(record.process, self.now_s)

    def kill(self, record: Record) -> None:
        """Order the end of the process, if there is one."""
        if record.process is not None:
            self.commands += kill(record.process, self.now_s)

    # --- time

    def ring(self, record: Record) -> None:
        """Do what is due by now."""
        process = record.process
        if process is not None and self.now_s >= process.kill_at_s:
            self.commands.append(kill_again(process, self.now_s))
        if self.now_s < record.due_s:
            return
        record.due_s = NEVER_S
        match record.state:
            case State.LOADING:
                self.load_failed(record, "engine", f"the load made no progress for {LOAD_STALL_S:.0f} s")
            case State.READY:
                record.forgive()
            case State.DRAINING:
                self.leave(record)
            case State.BACKOFF:
                self.move(record, Rested)
            case State.ABSENT | State.PULLING | State.STORED | State.FAILED:
                pass  # these wait for no time
            case _:
                assert_never(record.state)

    # --- words

    def begin_phase(self, record: Record, phase: str) -> None:
        """Enter a phase of a load that its process has no part in yet."""
        if record.state is State.LOADING:
            record.phases.enter(phase, self.now_s)
        self.load_moved(record, 0.0, phase)

    def load_moved(self, record: Record, progress: float, phase: str) -> None:
        """Take note of progress and tell the waiters; the stall clock starts anew."""
        if record.state is not State.LOADING:
            return
        record.due_s = self.now_s + LOAD_STALL_S if record.process and not record.process.ending else NEVER_S
        record.progress, record.phase = progress, phase
        self.commands.append(commands.ShowProgress(record.model, progress, phase))

    def announce(self, record: Record) -> None:
        """Tell how the model is now."""
        self.commands.append(commands.Announce(record.view(self.now_s)))

    def fail_waiters(self, record: Record, error: Error) -> None:
        """Tell everyone who waits for this model that they wait in vain."""
        record.wanted = False
        self.commands.append(commands.FailWaiters(record.model, error))
