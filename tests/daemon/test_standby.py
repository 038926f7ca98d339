"""The process that stands by: when one begins, whom it is given to, and that it is one at most, whatever happens."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inferd_daemon.ids import Life
from inferd_daemon.standby import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    MOST_OPENED_BYTES,
    QUIET_S,
    SPARE_TIMES,
    START_LIMIT_S,
    Standby,
    is_worth_opening,
)

ENGINE = "llama_cpp"
LIFE = Life(7)


def ready(now_s: float = 0.0) -> Standby:
    """Return one that stands by since this moment, without a pause behind it."""
    standby = Standby(is_wanted=True)
    standby.keeper_up()
    standby.looks(is_quiet=True, now_s=now_s - QUIET_S)
    assert standby.looks(is_quiet=True, now_s=now_s)
    standby.began(LIFE, ENGINE, now_s)
    standby.came(LIFE, 4711)
    assert standby.prepared(LIFE)
    return standby


def test_one_begins_once_it_has_been_quiet_for_a_while() -> None:
    standby = Standby(is_wanted=True)
    standby.keeper_up()
    assert standby.next_timer_s() is None
    assert not standby.looks(is_quiet=True, now_s=10.0)
    assert standby.next_timer_s() == 10.0 + QUIET_S
    assert not standby.looks(is_quiet=False, now_s=14.0)
    assert standby.next_timer_s() is None
    assert not standby.looks(is_quiet=True, now_s=15.0)
    assert not standby.looks(is_quiet=True, now_s=15.0 + QUIET_S - 0.1)
    assert standby.looks(is_quiet=True, now_s=15.0 + QUIET_S)


def test_none_begins_without_a_keeper_or_if_the_configuration_wants_none() -> None:
    unwanted, early = Standby(is_wanted=False), Standby(is_wanted=True)
    unwanted.keeper_up()
    for standby in (unwanted, early):
        standby.looks(is_quiet=True, now_s=0.0)
        assert not standby.looks(is_quiet=True, now_s=1_000.0)
        assert standby.next_timer_s() is None


def test_it_is_offered_only_when_it_has_imported_and_only_to_its_engine() -> None:
    standby = Standby(is_wanted=True)
    standby.began(LIFE, ENGINE, 0.0)
    assert standby.offer(ENGINE) is None
    standby.prepared(LIFE)
    assert (standby.offer(ENGINE), standby.offer("echo")) == (LIFE, None)


def test_another_begins_after_one_was_taken_and_it_is_quiet_again() -> None:
    standby = ready(now_s=100.0)
    standby.taken(LIFE)
    assert (standby.life, standby.pid, standby.offer(ENGINE)) == (None, 0, None)
    assert not standby.looks(is_quiet=True, now_s=101.0)
    assert standby.looks(is_quiet=True, now_s=101.0 + QUIET_S)


def test_one_that_is_to_end_is_offered_no_more_and_counts_until_it_is_gone() -> None:
    standby = ready(now_s=100.0)
    assert standby.ending(100.0) == LIFE
    assert standby.ending(100.0) is None
    assert (standby.offer(ENGINE), standby.life) == (None, LIFE)
    assert not standby.prepared(LIFE)
    assert not standby.looks(is_quiet=True, now_s=10_000.0)
    assert standby.gone(LIFE, 10_000.0)
    assert standby.looks(is_quiet=True, now_s=10_000.0)


def test_deaths_and_want_of_memory_cost_growing_pauses_until_one_stands_by() -> None:
    standby, now_s = Standby(is_wanted=True), 0.0
    standby.keeper_up()
    standby.looks(is_quiet=True, now_s=now_s)
    pauses = []
    for attempt in range(10):
        if attempt % 2:
            standby.refused(now_s)
        else:
            standby.began(LIFE, ENGINE, now_s)
            assert standby.gone(LIFE, now_s)
        due_s = standby.next_timer_s()
        assert due_s is not None
        pauses.append(due_s - now_s)
        now_s = due_s
    assert pauses == [min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0**n) for n in range(10)]
    standby.began(LIFE, ENGINE, now_s)
    standby.prepared(LIFE)
    standby.gone(LIFE, now_s)
    assert standby.next_timer_s() == now_s + FIRST_PAUSE_S


def test_one_that_is_not_there_after_a_while_hangs() -> None:
    standby = Standby(is_wanted=True)
    standby.began(LIFE, ENGINE, 50.0)
    standby.came(LIFE, 4711)
    assert standby.stuck_at_s == 50.0 + START_LIMIT_S
    standby.prepared(LIFE)
    assert standby.stuck_at_s is None, "it may stand by for ever"


def test_one_that_is_to_end_is_not_found_hanging_again() -> None:
    standby = Standby(is_wanted=True)
    standby.began(LIFE, ENGINE, 50.0)
    standby.ending(60.0)
    assert standby.stuck_at_s is None


def test_it_has_its_models_file_open_only_if_it_says_so_and_only_while_it_is_there() -> None:
    for is_open in (True, False):
        standby = Standby(is_wanted=True)
        standby.began(LIFE, ENGINE, 0.0, "me/one:a")
        assert standby.open_model == ""
        standby.prepared(LIFE, is_open=is_open)
        assert standby.open_model == ("me/one:a" if is_open else "")
        standby.taken(LIFE)
        assert standby.open_model == ""


def test_it_suits_as_long_as_another_one_would_be_for_the_same_engine_and_model_whether_a_file_was_opened_or_not() -> (
    None
):
    standby = Standby(is_wanted=True)
    assert standby.suits(ENGINE, "me/two:a"), "there is none that could be replaced"
    standby.began(LIFE, ENGINE, 0.0, "me/one:a")
    standby.prepared(LIFE, is_open=False)
    assert standby.suits(ENGINE, "me/one:a")
    assert not standby.suits(ENGINE, "me/two:a")
    assert not standby.suits("echo", "me/one:a")


@given(opened_bytes=st.integers(0, 2 * MOST_OPENED_BYTES), free_bytes=st.integers(0, 10 * MOST_OPENED_BYTES))
def test_a_file_is_opened_ahead_only_if_it_is_small_and_small_beside_what_is_free(
    opened_bytes: int, free_bytes: int
) -> None:
    is_worth = is_worth_opening(opened_bytes, lambda need_bytes: need_bytes <= free_bytes)
    assert is_worth == (opened_bytes <= min(MOST_OPENED_BYTES, free_bytes // SPARE_TIMES))


class Model(RuleBasedStateMachine):
    """A daemon that carries out what is decided, while processes come, die, are taken and are told to end."""

    def __init__(self) -> None:
        super().__init__()
        self.standby = Standby(is_wanted=True)
        self.now_s = 0.0
        self.next_life = 1
        self.has_keeper = False
        self.quiet_since_s: float | None = None
        self.lives: dict[Life, str] = {}
        """Processes that are there and have no model: ordered, ready or killed."""
        self.given: set[Life] = set()

    @rule(comes=st.booleans())
    def keeper(self, *, comes: bool) -> None:
        self.has_keeper = comes
        if comes:
            self.standby.keeper_up()
        else:
            self.standby.keeper_down()
            self.lives.clear()

    @rule(is_quiet=st.booleans(), by_s=st.sampled_from([0.0, 1.0, QUIET_S, LONGEST_PAUSE_S]))
    def looks(self, *, is_quiet: bool, by_s: float) -> None:
        self.now_s += by_s
        if not is_quiet:
            self.quiet_since_s = None
        elif self.quiet_since_s is None:
            self.quiet_since_s = self.now_s
        due_s = self.standby.next_timer_s()
        begins = self.standby.looks(is_quiet=is_quiet, now_s=self.now_s)
        if is_quiet and due_s is not None:
            assert begins == (self.now_s >= due_s), "the timer is not when something happens"
        if begins:
            assert self.has_keeper
            assert not self.lives, "a second one"
            assert self.quiet_since_s is not None
            assert self.now_s - self.quiet_since_s >= QUIET_S, "it began while somebody asked for something"
            life = Life(self.next_life)
            self.next_life += 1
            self.lives[life] = "ordered"
            self.standby.began(life, ENGINE, self.now_s)

    @precondition(lambda self: self.lives)
    @rule()
    def prepared(self) -> None:
        (life,) = self.lives
        if self.standby.prepared(life):
            assert self.lives[life] == "ordered"
            self.lives[life] = "ready"

    @rule(engine=st.sampled_from([ENGINE, "echo"]))
    def load(self, engine: str) -> None:
        life = self.standby.offer(engine)
        is_ready = "ready" in self.lives.values() and engine == ENGINE
        assert (life is not None) == is_ready
        if life is not None:
            assert life not in self.given, "one process became two models"
            self.given.add(life)
            del self.lives[life]
            self.standby.taken(life)
            self.quiet_since_s = None

    @rule()
    def end(self) -> None:
        life = self.standby.ending(self.now_s)
        assert (life is not None) == any(state != "killed" for state in self.lives.values())
        if life is not None:
            self.lives[life] = "killed"

    @precondition(lambda self: self.next_life > 1)
    @rule(data=st.data())
    def dies(self, data: st.DataObject) -> None:
        """Any life, once more if it is over: late news changes nothing."""
        life = Life(data.draw(st.integers(1, self.next_life - 1)))
        assert self.standby.gone(life, self.now_s) == (life in self.lives)
        self.lives.pop(life, None)

    @invariant()
    def knows_what_there_is(self) -> None:
        assert self.standby.life == next(iter(self.lives), None)


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
