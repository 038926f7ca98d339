"""The keeper's decisions: every order is answered once, no death is told before its process is gone, Ray may break."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inferd_actors.messages import Assign, Died, HeldLife, KeeperReady, KeeperTrouble, Kill, Shutdown, Spawn, Spawned
from inferd_daemon.lives import (
    MAX_LIVES,
    Alone,
    Asked,
    Begin,
    Effect,
    Fact,
    Fell,
    Finish,
    Gone,
    Leave,
    Lives,
    RayBroke,
    RayCame,
    RayFailed,
    Release,
    Restart,
    Started,
    Strike,
    Tell,
    Ticked,
    Watch,
    Welcomed,
)
from inferd_daemon.lives.table import END_LIMIT_S, START_LIMIT_S, TROUBLE_GRACE_S, UP_LIMIT_S

VOUCHER = "of-a-life"
LATE = 6
"""So many lives are ordered before a keeper may be told to leave: what comes after is short."""


def order(life: int) -> Spawn:
    return Spawn(life, "model", f"test/m{life}:x", VOUCHER)


def told(effects: list[Effect]) -> list[object]:
    return [effect.message for effect in effects if isinstance(effect, Tell)]


@pytest.fixture
def lives() -> Lives:
    """A keeper whose Ray is up and whose daemon is there, at second 0."""
    ready = Lives(0.0, alone_limit_s=100.0)
    ready.step(Welcomed(), 0.0)
    ready.step(RayCame(1, (11, 12)), 0.0)
    return ready


def test_a_daemon_hears_of_ray_whichever_comes_first() -> None:
    early, late = Lives(0.0, alone_limit_s=9.0), Lives(0.0, alone_limit_s=9.0)
    assert told(early.step(Welcomed(), 0.0)) == []
    assert told(early.step(RayCame(1, (11, 12)), 0.0)) == [KeeperReady((), (11, 12))]
    late.step(RayCame(1, (11, 12)), 0.0)
    assert told(late.step(Welcomed(), 0.0)) == [KeeperReady((), (11, 12))]


def test_a_new_daemon_is_told_every_life_with_what_vouches_for_it(lives: Lives) -> None:
    lives.step(order(1), 0.0)
    lives.step(Started(1, 501), 0.0)
    lives.step(order(2), 0.0)
    digest = sha256(VOUCHER.encode()).hexdigest()
    held = (HeldLife(1, "model", "test/m1:x", 501, digest), HeldLife(2, "model", "test/m2:x", 0, digest))
    assert told(lives.step(Welcomed(), 1.0)) == [KeeperReady(held, (11, 12))]


def test_a_life_is_told_dead_when_its_process_is_gone_and_not_when_ray_says_so(lives: Lives) -> None:
    lives.step(order(1), 0.0)
    assert lives.step(Started(1, 501), 0.0) == [Tell(Spawned(1, 501)), Watch(1, 501)]
    assert lives.step(Fell(1, "it crashed"), 1.0) == []
    assert told(lives.step(Gone(1), 1.1)) == [Died(1, "it crashed")]


def test_a_process_that_outlives_its_kill_is_struck_again_and_again(lives: Lives) -> None:
    lives.step(order(1), 0.0)
    lives.step(Started(1, 501), 0.0)
    assert lives.step(Kill(1), 0.0) == [Finish(1)]
    assert lives.next_s == END_LIMIT_S
    assert lives.step(Ticked(), END_LIMIT_S) == [Strike(501)]
    assert lives.step(Ticked(), 2 * END_LIMIT_S) == [Strike(501)]
    assert told(lives.step(Gone(1), 20.0)) == [Died(1, "killed by order")]


def test_a_share_that_ray_waits_for_in_vain_ends_at_its_limit(lives: Lives) -> None:
    lives.step(order(1), 0.0)
    assert lives.next_s == START_LIMIT_S
    assert lives.step(Ticked(), START_LIMIT_S) == [Finish(1)]
    effects = lives.step(Ticked(), START_LIMIT_S + END_LIMIT_S)  # Ray does not even answer the kill
    assert [type(effect) for effect in effects] == [Release, Tell]
    assert isinstance(told(effects)[0], Died)
    assert lives.step(Started(1, 501), 99.0) == [Strike(501)]  # it came after all: nobody knows it any more


def test_no_more_lives_are_held_than_the_bound(lives: Lives) -> None:
    for life in range(1, MAX_LIVES + 1):
        assert lives.step(order(life), 0.0) == [Begin(order(life))]
    (refused,) = told(lives.step(order(MAX_LIVES + 1), 0.0))
    assert isinstance(refused, Died)
    assert str(MAX_LIVES) in refused.reason


def test_streams_may_run_on_for_a_while_when_ray_broke_and_then_it_is_started_anew(lives: Lives) -> None:
    lives.step(order(1), 0.0)
    lives.step(Started(1, 501), 0.0)
    assert lives.step(RayBroke(1, "raylet is gone"), 1.0) == [Tell(KeeperTrouble("raylet is gone"))]
    assert lives.next_s == 1.0 + TROUBLE_GRACE_S, UP_LIMIT_S
    assert lives.step(Ticked(), 1.0 + TROUBLE_GRACE_S) == [Strike(501), Restart()]
    assert told(lives.step(Gone(1), 7.0)) == [Died(1, "raylet is gone")]
    assert told(lives.step(RayCame(2, (21, 22)), 8.0)) == [KeeperReady((), (21, 22))]


def test_ray_is_started_anew_at_once_when_nothing_runs(lives: Lives) -> None:
    assert lives.step(RayBroke(1, "gone"), 1.0) == [Tell(KeeperTrouble("gone")), Restart()]


def test_the_end_of_an_earlier_ray_changes_nothing(lives: Lives) -> None:
    lives.step(RayBroke(1, "gone"), 1.0)
    lives.step(RayCame(2, (21, 22)), 2.0)
    assert lives.step(RayBroke(1, "its other server"), 3.0) == []


def test_a_keeper_alone_for_too_long_leaves_once(lives: Lives) -> None:
    lives.step(Alone(), 10.0)
    assert lives.step(Ticked(), 109.0) == []
    assert [type(effect) for effect in lives.step(Ticked(), 110.0)] == [Leave]
    assert lives.step(Alone(), 111.0) == []
    assert lives.next_s == float("inf")


def test_a_ray_that_hangs_while_it_starts_ends_the_keeper() -> None:
    lives = Lives(0.0, alone_limit_s=1_000.0)
    assert lives.next_s == UP_LIMIT_S
    (leave,) = lives.step(Ticked(), UP_LIMIT_S)
    assert isinstance(leave, Leave)
    assert leave.failed


def test_a_ray_that_does_not_start_ends_the_keeper_with_the_reason() -> None:
    lives = Lives(0.0, alone_limit_s=9.0)
    lives.step(Welcomed(), 0.0)
    assert lives.step(RayFailed("no port"), 1.0) == [
        Tell(KeeperTrouble("no port")),
        Leave("no port", failed=True),
    ]


def unassigned(lives: Lives) -> None:
    """Have life 1 begin without a model."""
    lives.step(Spawn(1, "model", "", VOUCHER), 0.0)
    lives.step(Started(1, 501), 0.0)


def models_of(lives: Lives) -> list[str]:
    """Return the models of the living, as a new daemon is told them."""
    (ready,) = told(lives.step(Welcomed(), 9.0))
    assert isinstance(ready, KeeperReady)
    return [held.model for held in ready.lives]


def test_a_life_without_a_model_is_given_one_and_keeps_it(lives: Lives) -> None:
    unassigned(lives)
    assert models_of(lives) == [""]
    assert lives.step(Assign(1, "test/m1:x"), 1.0) == []
    assert lives.step(Assign(1, "test/m1:x"), 1.0) == []
    assert models_of(lives) == ["test/m1:x"]


def test_a_life_that_is_to_be_a_second_model_s_is_ended(lives: Lives) -> None:
    unassigned(lives)
    lives.step(Assign(1, "test/m1:x"), 1.0)
    assert lives.step(Assign(1, "test/m2:x"), 2.0) == [Finish(1)]
    assert models_of(lives) == ["test/m1:x"]


def test_no_other_process_becomes_a_model_s(lives: Lives) -> None:
    lives.step(Spawn(1, "router", "router", VOUCHER), 0.0)
    lives.step(Started(1, 501), 0.0)
    assert lives.step(Assign(1, "test/m1:x"), 1.0) == [Finish(1)]


def test_a_life_that_is_not_held_is_told_dead_when_it_is_to_have_a_model(lives: Lives) -> None:
    assert told(lives.step(Assign(5, "test/m5:x"), 1.0)) == [Died(5, "it was not held")]


class KeeperInItsWorld(RuleBasedStateMachine):
    """Orders, processes, Ray and time in any order that can happen; the world answers effects late, but it answers."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.lives = Lives(0.0, alone_limit_s=1_000.0)
        self.head = 0
        self.ray = "coming"
        self.next_life = 1
        self.next_pid = 1_000
        self.ordered: set[int] = set()
        self.begun: dict[int, Spawn] = {}
        """Ray was asked and has not answered."""
        self.processes: dict[int, int] = {}
        """life → pid, of living processes."""
        self.facts: list[Fact] = []
        """What has happened and is not known yet."""
        self.answers: dict[int, list[object]] = {}
        self.stubborn: set[int] = set()
        """Lives whose processes only a signal ends."""
        self.ray_is_mute = False
        self.is_left = False
        self.step(Welcomed())

    def step(self, fact: Fact) -> None:
        for effect in self.lives.step(fact, self.now_s):
            self.carry_out(effect)

    def carry_out(self, effect: Effect) -> None:
        assert not self.is_left or isinstance(effect, Tell | Release | Strike | Watch)
        match effect:
            case Tell(Spawned() | Died() as answer):
                self.take_answer(answer)
            case Begin(spawn):
                assert self.ray == "up"
                self.begun[spawn.life] = spawn
            case Finish(life) if not self.ray_is_mute:
                self.begun.pop(life, None)
                self.facts.append(Fell(life, "killed"))
                if life not in self.stubborn:
                    self.end(life)
            case Strike(pid):
                for life in [life for life, one in self.processes.items() if one == pid]:
                    self.end(life)
            case Watch(life, _) if life not in self.processes:
                self.facts.append(Gone(life))
            case Restart():
                assert self.ray == "broken"
                self.begun.clear()
                self.end_all()
                self.ray = "coming"
            case Leave():
                self.is_left = True
                self.end_all()
            case _:
                pass

    def take_answer(self, answer: Spawned | Died) -> None:
        answers = self.answers.setdefault(answer.life, [])
        answers.append(answer)
        assert [type(one) for one in answers] in ([Spawned], [Died], [Spawned, Died])
        if isinstance(answer, Died):
            pid = self.processes.get(answer.life)
            given_up = Started(answer.life, pid or 0) in self.facts  # it never heard of the process, and will strike it
            assert pid is None or given_up, "told dead while its process is there"

    def end(self, life: int) -> None:
        if self.processes.pop(life, None) is not None:
            self.facts.append(Gone(life))

    def end_all(self) -> None:
        for life in tuple(self.begun):
            del self.begun[life]
            self.facts.append(Fell(life, "Ray ended"))
        for life in tuple(self.processes):
            self.end(life)

    @rule()
    def spawn(self) -> None:
        self.ordered.add(self.next_life)
        self.step(order(self.next_life))
        self.next_life += 1

    @rule()
    def spawn_without_a_model(self) -> None:
        self.ordered.add(self.next_life)
        self.step(Spawn(self.next_life, "model", "", VOUCHER))
        self.next_life += 1

    @precondition(lambda self: self.ordered - self.known_dead())
    @rule(data=st.data(), model=st.sampled_from(["test/m1:x", "test/m2:x"]))
    def assign(self, data: st.DataObject, model: str) -> None:
        self.step(Assign(data.draw(st.sampled_from(sorted(self.ordered - self.known_dead()))), model))

    @precondition(lambda self: self.ordered - self.known_dead())
    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        self.step(Kill(data.draw(st.sampled_from(sorted(self.ordered - self.known_dead())))))

    @precondition(lambda self: self.begun)
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        self.begin_process(data.draw(st.sampled_from(sorted(self.begun))))

    def begin_process(self, life: int) -> None:
        del self.begun[life]
        self.next_pid += 1
        self.processes[life] = self.next_pid
        self.facts.append(Started(life, self.next_pid))

    @precondition(lambda self: self.processes)
    @rule(data=st.data(), ray_tells=st.booleans())
    def crash(self, data: st.DataObject, *, ray_tells: bool) -> None:
        life = data.draw(st.sampled_from(sorted(self.processes)))
        known = Started(life, self.processes[life]) not in self.facts
        if ray_tells:
            self.facts.append(Fell(life, "crashed"))
        if known:
            self.end(life)
        else:
            del self.processes[life]  # nobody watches it yet: `Watch` will find it gone

    @precondition(lambda self: self.processes)
    @rule(data=st.data())
    def hang(self, data: st.DataObject) -> None:
        self.stubborn.add(data.draw(st.sampled_from(sorted(self.processes))))

    @precondition(lambda self: self.processes)
    @rule(data=st.data())
    def ray_gives_up(self, data: st.DataObject) -> None:
        self.facts.append(Fell(data.draw(st.sampled_from(sorted(self.processes))), "unreachable"))

    @precondition(lambda self: self.head)
    @rule()
    def a_server_of_broken_ray_ends_too(self) -> None:
        self.step(RayBroke(self.head if self.ray != "up" else self.head - 1, "gone"))

    @precondition(lambda self: self.ray == "up")
    @rule(mute=st.booleans())
    def ray_falls_silent(self, *, mute: bool) -> None:
        self.ray_is_mute = mute

    @precondition(lambda self: self.facts)
    @rule(data=st.data())
    def learn(self, data: st.DataObject) -> None:
        fact = self.facts[0] if isinstance(self.facts[0], Started) else data.draw(st.sampled_from(self.facts))
        first = next((one for one in self.facts if getattr(one, "life", 0) == getattr(fact, "life", 0)), fact)
        self.facts.remove(first)  # facts of one life come in order
        self.step(first)

    @precondition(lambda self: self.ray == "coming" and not self.is_left)
    @rule()
    def ray_comes(self) -> None:
        self.head += 1
        self.ray = "up"
        self.step(RayCame(self.head, (1, 2)))

    @precondition(lambda self: self.ray == "up" and not self.is_left)
    @rule()
    def ray_breaks(self) -> None:
        self.ray = "broken"
        self.step(RayBroke(self.head, "gone"))

    @rule(seconds=st.sampled_from([0.1, 3.0, 70.0]))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds
        self.step(Ticked())

    @rule(back=st.booleans())
    def daemon_changes(self, *, back: bool) -> None:
        self.step(Welcomed() if back else Alone())

    @precondition(lambda self: self.next_life > LATE)
    @rule(by=st.sampled_from([Shutdown(), Asked("a signal")]))
    def leave(self, by: Shutdown | Asked) -> None:
        self.step(by)

    def known_dead(self) -> set[int]:
        return {life for life, answers in self.answers.items() if isinstance(answers[-1], Died)}

    @invariant()
    def no_time_is_due_that_was_ticked(self) -> None:
        self.step(Ticked())
        assert self.lives.next_s > self.now_s

    def teardown(self) -> None:
        """Let everything that is under way happen, then kill all: every order is answered and nothing is held."""
        self.settle()
        if not self.is_left:
            assert set(self.answers) == self.ordered
            for life in self.ordered - self.known_dead():
                self.step(Kill(life))
            self.settle()
            assert self.known_dead() == self.ordered
            assert len(self.lives) == 0
        assert not self.processes

    def settle(self) -> None:
        """Bring every answer, have Ray up and every process started that it was asked for."""
        self.ray_is_mute = False
        for patience_s in (0.0, TROUBLE_GRACE_S, START_LIMIT_S, END_LIMIT_S, END_LIMIT_S):
            self.learn_all()
            self.now_s += patience_s
            self.step(Ticked())
        self.learn_all()
        if self.ray == "coming" and not self.is_left:
            self.ray_comes()
        for life in tuple(self.begun):
            self.begin_process(life)
        self.learn_all()

    def learn_all(self) -> None:
        while self.facts:
            self.step(self.facts.pop(0))


TestKeeperInItsWorld = KeeperInItsWorld.TestCase
TestKeeperInItsWorld.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
