"""The loop's rooms and the switchboard under everything at any time: every accepted request ends exactly once.

That no stream has two ends, and that its numbers have no gaps, is asserted where an app hears them.
"""

from __future__ import annotations

import contextlib
import json

from house import ABSENT, FILED, MODELS, Process, house
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from inferd.messages import control, operations
from inferd.messages.schemas import ModelSchema
from inferd_actors import messages as actors
from inferd_daemon.catalogue import VOCAB, ModelId
from inferd_daemon.ledger import Room
from inferd_daemon.ledger.estimate import PROCESS_BYTES
from inferd_daemon.lifecycle import FilesChanged, State
from inferd_daemon.scheduler.line import LineView
from inferd_daemon.work import Waiting

APPS = (b"ada", b"bob")
OWNED = "huggingfacetb/smollm2-135m-instruct:q4_1"
"""A model whose file may be deleted."""
MINE = "me/mine:echo"
"""A model that is registered and taken away."""
ROW = {"engine": "echo"}
OPERATIONS = (
    operations.Pull(ABSENT),
    operations.Unload(MODELS[0]),
    operations.Unload(MODELS[1]),
    operations.Pull(MODELS[0]),
    operations.Pull(OWNED),
    operations.Remove(OWNED),
    operations.Remove(MODELS[1]),
    operations.Register(ModelSchema(MINE, engine="echo")),
    operations.Unregister(MINE),
    operations.Unload(MINE),
    operations.ListSchemas(),
)
GIB = 2**30
FOREVER_S = 1_000.0
"""Longer than any deadline, back-off or drain."""
ROUNDS = 12
LONGEST_ROUNDS = 5_000


class Accidents(RuleBasedStateMachine):
    """Two apps, two models, a keeper; orders and facts in any interleaving of the two threads."""

    budget_bytes: int | None = None

    def __init__(self) -> None:
        super().__init__()
        self.ending = contextlib.ExitStack()
        self.home = self.ending.enter_context(house(self.budget_bytes))
        self.home.store.stored |= {MINE, OWNED}
        self.home.run(lambda: self.home.fleet.step(FilesChanged(ModelId.parse(OWNED), stored=True), 0.0))

    @initialize()
    def begin(self) -> None:
        for app in APPS:
            self.home.connect(app, app.decode())
        self.home.settle()

    # --- the two threads

    @rule()
    def wires(self) -> None:
        self.home.wires()

    @rule()
    def loop(self) -> None:
        self.home.loop()

    @rule()
    def settle(self) -> None:
        self.home.settle()

    @rule(by_s=st.sampled_from([0.3, 2.0, 11.0, 61.0, 310.0]))
    def wait(self, by_s: float) -> None:
        self.home.wait(by_s)

    # --- apps

    @rule(
        app=st.sampled_from(APPS),
        model=st.sampled_from([*MODELS, MINE, OWNED]),
        priority=st.sampled_from(control.PRIORITIES),
        timeout_s=st.sampled_from([1.0, 30.0, 300.0]),
    )
    def ask(self, app: bytes, model: str, priority: control.Priority, timeout_s: float) -> None:
        self.home.ask(peer=app, model=model, priority=priority, timeout_s=timeout_s)

    @rule(
        app=st.sampled_from(APPS),
        model=st.sampled_from([FILED, ABSENT]),
        priority=st.sampled_from(control.PRIORITIES),
        timeout_s=st.sampled_from([1.0, 30.0, 300.0]),
    )
    def ask_for_tokens(self, app: bytes, model: str, priority: control.Priority, timeout_s: float) -> None:
        operation = operations.Tokenize("hello")
        self.home.ask(operation, peer=app, model=model, priority=priority, timeout_s=timeout_s)

    @rule(app=st.sampled_from(APPS), operation=st.sampled_from(OPERATIONS))
    def ask_the_daemon(self, app: bytes, operation: operations.Operation) -> None:
        self.home.ask(operation, peer=app)

    @rule(rows=st.sampled_from([{}, {MINE: ROW}, {MODELS[1]: {**ROW, "family": "edited"}}, {MINE: {"engine": "no"}}]))
    def edit_the_rows(self, rows: dict[str, object]) -> None:
        part = self.home.rows_file.with_name("part")
        part.write_text(json.dumps({"models": rows}))
        part.replace(self.home.rows_file)

    @rule(app=st.sampled_from(APPS), data=st.data())
    def cancel(self, app: bytes, data: st.DataObject) -> None:
        if numbers := [number for number, one in self.home.apps[app].items() if not one.ends]:
            self.home.cancel(data.draw(st.sampled_from(numbers)), app)

    @rule(app=st.sampled_from(APPS))
    def leave_and_come_back(self, app: bytes) -> None:
        self.home.leave(app)
        self.home.connect(app, app.decode())

    # --- the keeper

    @precondition(lambda self: not self.home.keeper_connected)
    @rule()
    def keeper_comes(self) -> None:
        self.home.keeper_comes()

    @precondition(lambda self: self.home.keeper_connected)
    @rule()
    def keeper_falls(self) -> None:
        self.home.keeper_falls()

    @precondition(lambda self: self.home.keeper_connected)
    @rule(hears=st.booleans())
    def keeper_hears(self, *, hears: bool) -> None:
        self.home.keeper_hears = hears

    # --- processes

    @rule(data=st.data())
    def process_moves(self, data: st.DataObject) -> None:
        if processes := list(self.home.processes.values()):
            self.move(data.draw(st.sampled_from(processes), label="which"))

    @rule(data=st.data())
    def process_ends_a_stream(self, data: st.DataObject) -> None:
        if working := [one for one in self.home.processes.values() if one.streams and one.peer]:
            process = data.draw(st.sampled_from(working))
            self.home.finish(process, data.draw(st.sampled_from(sorted(process.streams))))

    @rule(
        data=st.data(), accident=st.sampled_from(["dies", "is seen to die", "hangs", "fails to load", "connects anew"])
    )
    def accident(self, data: st.DataObject, accident: str) -> None:
        if not self.home.processes:
            return
        process = data.draw(st.sampled_from(list(self.home.processes.values())))
        match accident:
            case "dies":
                self.home.die(process.life)
            case "is seen to die":
                self.home.die(process.life)
                self.home.keeper_says(actors.Died(process.life, "killed by signal 9"))
            case "hangs":
                process.deaf = True
            case "fails to load" if process.loading:
                self.home.tell(process, actors.LoadFailed("no_memory", "it does not fit"))
            case "connects anew" if process.peer:
                self.home.greet(process)

    def move(self, process: Process) -> None:
        """Have a process take its next step."""
        if process.deaf:
            return
        if not process.peer:
            self.home.greet(process)
        elif process.loading:
            process.loading = False
            self.home.loaded(process, slots=2)
        else:
            self.home.obey(process)

    # --- what must hold

    @invariant()
    def no_honest_actor_is_accused(self) -> None:
        assert not [kick.reason for kick in self.home.kicked if "not its own" in kick.reason]

    @invariant()
    def the_counters_agree(self) -> None:
        work = self.home.requests.work
        waiting = [one for one in work if not one.life]
        assert work.waiting("all").count == len(waiting)
        for app in self.home.requests.apps.values():
            assert app.inflight >= 0

    def teardown(self) -> None:
        """Let everything go on without further accidents: all requests end, and nothing is left of them."""
        home = self.home
        try:
            home.keeper_hears = True
            if not home.keeper_connected:
                home.keeper_comes()
            home.store.goes_on.set()
            for number in range(LONGEST_ROUNDS):  # threads that read files take real time, on a busy machine much of it
                home.breathe()
                home.wait(FOREVER_S / ROUNDS)
                for process in tuple(home.processes.values()):
                    self.move(process)
                    home.settle()
                if number >= ROUNDS and all(one.ends for one in home.asked):
                    break
            for app in APPS:
                assert [one.events for one in home.apps[app].values() if len(one.ends) != 1] == []
            sessions, streams, _ = home.board.counts
            assert (len(home.requests.work), streams, sessions) == (0, 0, len(APPS))
            assert home.requests.work.waiting("all") == Waiting()
            assert [app.inflight for app in home.requests.apps.values()] == [0, 0]
            for model in (*MODELS, MINE, OWNED):
                line = home.requests.scheduler.view(ModelId.parse(model))
                assert (line.busy, line.queued) == (0, 0)
            assert home.catalogue.leaving(MINE) is None
            state = home.fleet.lifecycle.view(ModelId.parse(OWNED), home.clock[0]).state
            assert state is not State.STORED or OWNED in home.store.stored
            assert home.requests.scheduler.view(VOCAB) == LineView()
        finally:
            self.ending.close()


class Crowded(Accidents):
    """The same with memory for one model at a time, which other programs take and give back."""

    budget_bytes = PROCESS_BYTES * 3 // 2

    @rule(available_bytes=st.sampled_from([60 * GIB, int(6.45 * GIB)]))
    def other_programs_move(self, available_bytes: int) -> None:
        self.home.room = Room(64 * GIB, available_bytes, 0)
        self.home.run(lambda: self.home.supervisor.measured({}, self.home.clock[0]))

    @invariant()
    def never_more_than_fits(self) -> None:
        assert sum(process.kind == "model" for process in self.home.processes.values()) <= 1

    def teardown(self) -> None:
        self.home.room = Room(64 * GIB, 60 * GIB, 0)
        super().teardown()


TestAccidents = Accidents.TestCase
TestAccidents.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

TestCrowded = Crowded.TestCase
TestCrowded.settings = TestAccidents.settings
