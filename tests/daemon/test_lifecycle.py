"""The life of one model, told as stories: what happens, and what is to be done about it."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.messages.events import Error
from inferd.messages.reports import ModelState
from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.ids import Life
from inferd_daemon.lifecycle import (
    Announce,
    Command,
    Delayed,
    Emptied,
    Event,
    Evicted,
    FailWaiters,
    Fence,
    FilesChanged,
    Gone,
    Greeted,
    Hung,
    KeeperDown,
    KeeperUp,
    Lifecycle,
    LoadCause,
    Loaded,
    LoadFailed,
    MemoryRefused,
    NoteFailure,
    OrderKill,
    OrderLeave,
    OrderLoad,
    Progressed,
    Pulled,
    PullFailed,
    PullWanted,
    Release,
    Reserve,
    Reserved,
    Served,
    ShowProgress,
    Spawn,
    Spawned,
    StartPull,
    State,
    Ticked,
    UnloadWanted,
    Unwanted,
    View,
    Wanted,
)
from inferd_daemon.lifecycle.processes import KILL_AGAIN_S, LEAVE_GRACE_S, LEAVE_SLACK_S
from inferd_daemon.lifecycle.setbacks import after_death, after_load_failure
from inferd_daemon.lifecycle.table import NEXT
from inferd_daemon.lifecycle.transitions import DRAIN_LIMIT_S, LOAD_STALL_S, STEADY_S

MODEL = ModelId.parse("house/small:q4")
OTHER = ModelId.parse("house/other:q4")


class Story:
    """One life cycle, a clock that is set by hand, and the commands of the last step."""

    def __init__(self, *, stored: bool = True, keeper: bool = True, first_life: int = 1, memory: bool = True) -> None:
        """`memory`: every load gets its memory at once."""
        self.has_memory = memory
        self.now_s = 100.0
        self.lifecycle = Lifecycle(Life(first_life))
        self.did: list[Command] = []
        if keeper:
            self.happens(KeeperUp())
        if stored:
            self.happens(FilesChanged(MODEL, stored=True))

    def happens(self, *events: Event, after_s: float = 0.0) -> Story:
        self.now_s += after_s
        self.did = [command for event in events for command in self._does(event)]
        return self

    def _does(self, event: Event) -> list[Command]:
        commands = self.lifecycle.step(event, self.now_s)
        for command in tuple(commands):
            if isinstance(command, Reserve) and self.has_memory:
                commands += self._does(Reserved(command.model))
        return commands

    def loads(self, life: int = 1) -> Story:
        return self.happens(Wanted(MODEL), *loading(life))

    @property
    def view(self) -> View:
        return self.lifecycle.view(MODEL, self.now_s)

    @property
    def orders(self) -> list[Command]:
        """What was ordered, without what was only told, and without memory if there is enough."""
        told = (Announce, ShowProgress, NoteFailure, FailWaiters, *((Reserve, Release) if self.has_memory else ()))
        return [command for command in self.did if not isinstance(command, told)]

    @property
    def announced(self) -> list[State]:
        return [command.view.state for command in self.did if isinstance(command, Announce)]

    @property
    def failure(self) -> FailWaiters:
        (failure,) = (command for command in self.did if isinstance(command, FailWaiters))
        return failure


def loading(life: int) -> tuple[Event, ...]:
    number = Life(life)
    return Spawned(number, 4000 + life), Greeted(number), Loaded(number, 4, True, 8192, 10**8, 2.0)


def test_the_states_are_the_words_of_the_wire() -> None:
    assert tuple(State) == get_args(ModelState)


def test_every_state_is_entered_and_left_by_some_event() -> None:
    assert {state for state, _ in NEXT} == set(State)
    assert {State.ABSENT, *NEXT.values()} == set(State)


# --- loading


def test_the_first_request_brings_a_model_up() -> None:
    story = Story(first_life=41)
    story.happens(Wanted(MODEL))
    assert story.orders == [Spawn(MODEL, Life(41))]
    story.happens(Spawned(Life(41), 77), Greeted(Life(41)))
    assert story.orders == [OrderLoad(Life(41))]
    story.happens(Progressed(Life(41), 0.4, "reading weights"))
    assert story.did == [ShowProgress(MODEL, 0.4, "reading weights")]
    assert (story.view.progress, story.view.phase, story.view.pid) == (0.4, "reading weights", 77)
    story.happens(Loaded(Life(41), 4, True, 8192, 10**8, 2.0))
    assert story.announced == [State.READY]
    assert story.view.capacity is not None
    assert (story.view.capacity.slots, story.view.capacity.context_tokens, story.view.life) == (4, 8192, 41)


def test_everyone_who_wants_a_loading_model_joins_the_same_load() -> None:
    story = Story().happens(Wanted(MODEL), Wanted(MODEL), Spawned(Life(1), 7), Wanted(MODEL))
    assert story.orders == [Spawn(MODEL, Life(1))]


def test_a_model_without_files_is_refused_and_the_error_says_how_to_get_them() -> None:
    error = Story(stored=False).happens(Wanted(MODEL)).failure.error
    assert (error.code, error.retryable, error.details) == ("load_failed", False, {"cause": "file_missing"})
    assert f"inferd pull {MODEL}" in error.message


def test_a_load_waits_for_the_keeper() -> None:
    story = Story(keeper=False).happens(Wanted(MODEL))
    assert story.orders == []
    assert (story.view.state, story.view.phase) == (State.LOADING, "starting keeper")
    story.happens(Ticked(), after_s=10 * LOAD_STALL_S)
    assert story.view.state is State.LOADING
    assert story.happens(KeeperUp()).orders == [Spawn(MODEL, Life(1))]


def test_a_process_lost_with_its_keeper_is_started_again_and_counts_as_no_failure() -> None:
    story = Story().happens(Wanted(MODEL), Spawned(Life(1), 7), KeeperDown("ray fell"))
    assert story.orders[-1] == Fence(Life(1))
    assert story.view.state is State.LOADING
    assert story.happens(KeeperUp()).orders == [Spawn(MODEL, Life(2))]


def test_a_loaded_model_outlives_trouble_of_the_keeper() -> None:
    story = Story().loads().happens(KeeperDown("ray fell"))
    assert (story.view.state, story.orders) == (State.READY, [])


def test_a_load_that_stands_still_is_killed_and_its_waiters_hear_why() -> None:
    story = Story().happens(Wanted(MODEL), Greeted(Life(1)))
    story.happens(Progressed(Life(1), 0.5, "reading"), after_s=LOAD_STALL_S - 1)
    story.happens(Ticked(), after_s=LOAD_STALL_S - 1)
    assert story.did == []
    story.happens(Ticked(), after_s=1)
    assert story.orders == [OrderKill(Life(1))]
    assert "no progress" in story.failure.error.message
    assert story.view.state is State.BACKOFF


def test_an_engine_without_slots_has_not_loaded() -> None:
    story = Story().happens(Wanted(MODEL), Greeted(Life(1)), Loaded(Life(1), 0, False, 1, 1, 0.1))
    assert (story.view.state, story.orders[-1]) == (State.BACKOFF, OrderKill(Life(1)))


def test_models_do_not_touch_each_other() -> None:
    story = Story().loads().happens(FilesChanged(OTHER, stored=True), Wanted(OTHER))
    assert story.orders == [Spawn(OTHER, Life(2))]
    story.happens(LoadFailed(Life(2), "engine", "no"), Gone(Life(2), "exit 1"))
    assert story.view.state is State.READY
    assert story.lifecycle.model_of(Life(1)) == MODEL
    assert story.lifecycle.model_of(Life(2)) is None


# --- failures


def test_a_failed_load_is_answered_at_once_until_its_delay_is_over() -> None:
    story = Story().happens(Wanted(MODEL), Greeted(Life(1)), LoadFailed(Life(1), "no_memory", "needs 9 GB, has 4 GB"))
    assert story.failure.error.retry_after_s == 10.0
    assert story.failure.error.details == {"cause": "no_memory", "failures_in_a_row": 1}
    story.happens(Gone(Life(1), "exit 0")).happens(Wanted(MODEL), after_s=4.0)
    assert story.orders == []
    assert (story.failure.error.retryable, story.failure.error.retry_after_s) == (True, 6.0)
    assert "needs 9 GB, has 4 GB" in story.failure.error.message
    assert story.happens(Wanted(MODEL), after_s=6.0).orders == [Spawn(MODEL, Life(2))]


@given(st.integers(1, 200))
def test_delays_after_failed_loads_double_from_ten_seconds_to_five_minutes(in_a_row: int) -> None:
    setback = after_load_failure(in_a_row, "engine", "no", 50.0)
    assert setback.retry_at_s == 50.0 + min(300.0, 10.0 * 2 ** (in_a_row - 1))


@pytest.mark.parametrize("cause", ["file_missing", "file_corrupt"])
def test_files_that_cannot_be_loaded_are_not_tried_again_by_themselves(cause: LoadCause) -> None:
    story = Story().happens(Wanted(MODEL), Greeted(Life(1)), LoadFailed(Life(1), cause, "bad magic"))
    assert (story.view.state, story.failure.error.retryable) == (State.FAILED, False)
    story.happens(Gone(Life(1), "exit 0")).happens(Wanted(MODEL), after_s=10_000.0)
    assert story.orders == []
    assert "inferd pull" in story.failure.error.message


def test_a_failed_model_is_left_by_a_pull_by_an_unload_and_by_changed_files() -> None:
    ways: tuple[Event, ...] = (PullWanted(MODEL), UnloadWanted(MODEL), FilesChanged(MODEL, stored=True))
    for way in ways:
        story = Story().happens(Wanted(MODEL), LoadFailed(Life(1), "file_corrupt", "bad"), Gone(Life(1), "exit 0"))
        story.happens(way, Pulled(MODEL))
        assert story.view.state is State.STORED
        assert story.happens(Wanted(MODEL)).orders == [Spawn(MODEL, Life(2))]


def test_a_killed_model_gets_a_new_life_with_the_next_request() -> None:
    story = Story().loads().happens(Gone(Life(1), "killed by signal 9"))
    assert story.announced == [State.BACKOFF, State.STORED]
    assert story.did[-1] == Fence(Life(1)), "its streams end only once no new work can follow"
    assert story.happens(Wanted(MODEL)).orders == [Spawn(MODEL, Life(2))]


def dies_in_a_row(story: Story, times: int) -> Story:
    for life in range(1, times + 1):
        story.happens(Wanted(MODEL)).happens(Ticked(), after_s=60.0)
        story.happens(*loading(life)).happens(Gone(Life(life), "killed by signal 11"), after_s=1.0)
    return story


@pytest.mark.parametrize(("deaths", "delay_s"), [(2, 1.0), (3, 2.0), (4, 4.0)])
def test_requests_wait_for_the_next_life_of_a_model_that_keeps_dying(deaths: int, delay_s: float) -> None:
    story = dies_in_a_row(Story(), deaths).happens(Wanted(MODEL))
    assert (story.view.state, story.did) == (State.BACKOFF, [])
    assert (story.view.retry_after_s, story.lifecycle.next_timer_s()) == (delay_s, story.now_s + delay_s)
    assert story.happens(Ticked(), after_s=delay_s).orders == [Spawn(MODEL, Life(deaths + 1))]


def test_the_fifth_death_in_a_row_is_the_last() -> None:
    story = dies_in_a_row(Story(), 5)
    assert (story.view.state, story.view.deaths) == (State.FAILED, 5)
    error = story.happens(Wanted(MODEL), after_s=10_000.0).failure.error
    assert (error.code, error.retryable, error.details) == (
        "model_failed",
        False,
        {"cause": "died", "failures_in_a_row": 5},
    )


def test_a_completed_request_forgives_earlier_deaths() -> None:
    story = dies_in_a_row(Story(), 4).happens(Wanted(MODEL)).happens(Ticked(), after_s=60.0)
    story.happens(*loading(5), Served(Life(5)), Gone(Life(5), "killed by signal 9"))
    assert (story.view.state, story.view.deaths) == (State.STORED, 1)


@pytest.mark.parametrize("is_ticked", [True, False])
def test_a_steady_minute_forgives_earlier_deaths(*, is_ticked: bool) -> None:
    story = dies_in_a_row(Story(), 4).happens(Wanted(MODEL)).happens(Ticked(), after_s=60.0).happens(*loading(5))
    story.now_s += STEADY_S
    if is_ticked:
        story.happens(Ticked())
    assert story.happens(Gone(Life(5), "killed by signal 9")).view.deaths == 1


def test_a_load_and_a_death_have_counts_of_their_own() -> None:
    story = Story().happens(Wanted(MODEL), LoadFailed(Life(1), "engine", "no"), Gone(Life(1), "exit 1"))
    story.happens(Wanted(MODEL), after_s=10.0).happens(*loading(2), Gone(Life(2), "killed by signal 9"))
    assert (story.view.deaths, story.view.state) == (1, State.STORED)


def test_a_crash_while_loading_is_a_failed_load() -> None:
    story = Story().happens(Wanted(MODEL), Greeted(Life(1)), Gone(Life(1), "killed by signal 11"))
    assert (story.view.state, story.failure.error.code) == (State.BACKOFF, "load_failed")
    assert story.failure.error.details == {"cause": "engine", "failures_in_a_row": 1}


def test_a_hung_model_is_killed_and_lives_again_only_when_it_is_gone() -> None:
    story = Story().loads().happens(Hung(Life(1), "no life sign for 10 s"))
    assert story.orders == [OrderKill(Life(1))]
    assert State.READY not in story.announced
    story.happens(Wanted(MODEL))
    assert (story.orders, story.view.phase) == ([], "waiting for the previous process to end")
    assert story.happens(Gone(Life(1), "killed by signal 9")).orders == [Fence(Life(1)), Spawn(MODEL, Life(2))]


@given(st.integers(1, 5), st.floats(0.0, 1e9))
def test_the_schedule_of_deaths_only_grows(in_a_row: int, now_s: float) -> None:
    earlier, later = after_death(in_a_row, "x", now_s), after_death(in_a_row + 1, "x", now_s)
    if later.retry_at_s is not None:
        assert earlier.retry_at_s is not None
        assert earlier.retry_at_s <= later.retry_at_s
    assert later.lets_wait <= earlier.lets_wait


# --- lives


def test_a_death_told_twice_is_one_death() -> None:
    story = Story().loads().happens(Gone(Life(1), "socket closed"), Gone(Life(1), "killed by signal 9"))
    assert story.orders == [Fence(Life(1))]
    assert story.view.deaths == 1


def test_late_news_of_an_earlier_life_changes_nothing() -> None:
    story = Story().loads().happens(Gone(Life(1), "killed"), Wanted(MODEL))
    before = story.view
    late: tuple[Event, ...] = (
        Spawned(Life(1), 9),
        Greeted(Life(1)),
        Progressed(Life(1), 0.9, "late"),
        Loaded(Life(1), 1, False, 1, 1, 1.0),
        LoadFailed(Life(1), "engine", "late"),
        Served(Life(1)),
        Hung(Life(1), "late"),
        Gone(Life(1), "late"),
        Gone(Life(99), "never was"),
    )
    assert story.happens(*late).did == []
    assert story.view == before


def test_a_process_whose_end_was_ordered_can_only_go() -> None:
    story = Story().loads().happens(Hung(Life(1), "no life sign")).happens(Wanted(MODEL))
    before = story.view
    late: tuple[Event, ...] = (
        Greeted(Life(1)),
        Progressed(Life(1), 0.5, "late"),
        Loaded(Life(1), 4, True, 1, 1, 1.0),
        LoadFailed(Life(1), "engine", "late"),
        Hung(Life(1), "late"),
    )
    assert story.happens(*late).did == []
    assert story.view == before


def test_a_second_hello_orders_no_second_load() -> None:
    story = Story().happens(Wanted(MODEL), Greeted(Life(1)), Greeted(Life(1)))
    assert story.orders.count(OrderLoad(Life(1))) == 1


# --- unloading


def test_an_unload_lets_what_runs_finish_and_then_ends_the_process() -> None:
    story = Story().loads().happens(UnloadWanted(MODEL))
    assert (story.announced, story.orders) == ([State.DRAINING], [])
    assert story.happens(Emptied(MODEL)).orders == [OrderLeave(Life(1), LEAVE_GRACE_S)]
    story.happens(Gone(Life(1), "left"))
    assert (story.announced, story.view.life, story.view.deaths) == ([State.STORED], 0, 0)


def test_a_process_that_does_not_leave_is_killed_until_it_is_gone() -> None:
    story = Story().loads().happens(UnloadWanted(MODEL), Emptied(MODEL))
    assert story.happens(Ticked(), after_s=LEAVE_GRACE_S).did == []
    assert story.happens(Ticked(), after_s=LEAVE_SLACK_S).did == [OrderKill(Life(1))]
    assert story.happens(Ticked(), after_s=KILL_AGAIN_S).did == [OrderKill(Life(1))]
    story.happens(Gone(Life(1), "killed by signal 9"))
    assert story.lifecycle.next_timer_s() is None


def test_a_drain_ends_at_its_limit_although_requests_run() -> None:
    story = Story().loads().happens(UnloadWanted(MODEL)).happens(Ticked(), after_s=DRAIN_LIMIT_S)
    assert story.orders == [OrderLeave(Life(1), LEAVE_GRACE_S)]


def test_a_request_that_comes_during_a_drain_gets_the_next_life() -> None:
    story = Story().loads().happens(UnloadWanted(MODEL), Wanted(MODEL), Emptied(MODEL))
    assert story.orders == [OrderLeave(Life(1), LEAVE_GRACE_S)]
    assert story.happens(Gone(Life(1), "left")).orders == [Fence(Life(1)), Spawn(MODEL, Life(2))]
    assert story.announced == [State.STORED, State.LOADING]


def test_an_evicted_model_is_drained_like_an_unloaded_one() -> None:
    story = Story().loads().happens(Evicted(MODEL))
    assert story.announced == [State.DRAINING]
    story.happens(Evicted(MODEL))
    assert story.did == []
    assert story.happens(Emptied(MODEL)).orders == [OrderLeave(Life(1), LEAVE_GRACE_S)]


def test_what_runs_on_an_evicted_model_is_not_hurried() -> None:
    story = Story().loads().happens(Evicted(MODEL)).happens(Ticked(), after_s=10 * DRAIN_LIMIT_S)
    assert story.orders == []


def test_a_process_begins_only_once_its_memory_is_reserved_and_gives_it_back_when_it_is_gone() -> None:
    story = Story(memory=False).happens(Wanted(MODEL))
    assert story.orders == [Reserve(MODEL)]
    assert story.happens(Reserved(MODEL)).orders == [Spawn(MODEL, Life(1))]
    story.happens(*loading(1)).happens(UnloadWanted(MODEL), Emptied(MODEL))
    assert story.orders == [OrderLeave(Life(1), LEAVE_GRACE_S)]
    assert story.happens(Gone(Life(1), "left")).orders == [Release(MODEL), Fence(Life(1))]


def test_a_load_that_waits_for_memory_says_so_and_has_no_limit_of_time() -> None:
    story = Story(memory=False).happens(Wanted(MODEL), Delayed(MODEL, "others are in use"))
    assert (story.view.state, story.view.phase) == (State.LOADING, "others are in use")
    assert story.happens(Ticked(), after_s=10 * LOAD_STALL_S).did == []


def test_refused_memory_fails_who_waits_and_the_next_request_is_a_new_question() -> None:
    error = Error("resource_blocked", "too large")
    story = Story(memory=False).happens(Wanted(MODEL), MemoryRefused(MODEL, error))
    assert (story.view.state, story.failure.error) == (State.STORED, error)
    assert story.happens(Wanted(MODEL)).orders == [Reserve(MODEL)]


@pytest.mark.parametrize("event", [Unwanted(MODEL), UnloadWanted(MODEL)])
def test_a_load_that_nobody_wants_any_more_waits_for_no_memory(event: Event) -> None:
    story = Story(memory=False).happens(Wanted(MODEL)).happens(event)
    assert (story.view.state, story.orders) == (State.STORED, [Release(MODEL)])
    assert story.happens(Reserved(MODEL)).did == []


def test_a_load_that_has_begun_goes_on_although_nobody_waits() -> None:
    story = Story().happens(Wanted(MODEL)).happens(Unwanted(MODEL))
    assert (story.view.state, story.did) == (State.LOADING, [])


def test_memory_of_a_dead_process_is_asked_for_anew() -> None:
    story = Story(memory=False).happens(Wanted(MODEL), Reserved(MODEL), *loading(1))
    story.happens(Gone(Life(1), "killed"), Wanted(MODEL))
    assert [one for one in story.orders if isinstance(one, Reserve | Release)] == [Release(MODEL), Reserve(MODEL)]


def test_an_unload_ends_a_load_and_nobody_is_blamed() -> None:
    story = Story().happens(Wanted(MODEL), Greeted(Life(1)), UnloadWanted(MODEL))
    assert story.orders[-1] == OrderLeave(Life(1), LEAVE_GRACE_S)
    story.happens(Gone(Life(1), "left"))
    assert (story.view.state, story.orders) == (State.STORED, [Fence(Life(1))])


def test_a_process_that_said_no_hello_is_killed_since_it_cannot_be_asked() -> None:
    story = Story().happens(Wanted(MODEL), Spawned(Life(1), 7)).happens(UnloadWanted(MODEL))
    assert story.orders == [OrderKill(Life(1))]


def test_an_unload_of_what_is_not_loaded_is_answered_at_once() -> None:
    for story in (Story(), Story(stored=False), Story(keeper=False).happens(Wanted(MODEL))):
        story.happens(UnloadWanted(MODEL))
        answers = [command.view.life for command in story.did if isinstance(command, Announce)]
        assert answers[-1] == 0
        assert story.view.state in (State.STORED, State.ABSENT)


def test_files_that_vanish_under_a_loaded_model_are_missed_when_it_is_unloaded() -> None:
    story = Story().loads().happens(FilesChanged(MODEL, stored=False))
    assert story.announced == []
    story.happens(UnloadWanted(MODEL), Wanted(MODEL), Emptied(MODEL), Gone(Life(1), "left"))
    assert story.view.state is State.ABSENT
    assert story.failure.error.details == {"cause": "file_missing"}


# --- pulling


def test_pulls_join_and_requests_wait_for_them() -> None:
    story = Story(stored=False).happens(PullWanted(MODEL), PullWanted(MODEL), Wanted(MODEL))
    assert story.orders == [StartPull(MODEL)]
    assert story.happens(Pulled(MODEL)).orders == [Spawn(MODEL, Life(1))]


def test_a_pull_of_what_is_here_disturbs_nobody() -> None:
    story = Story().loads().happens(PullWanted(MODEL))
    assert (story.announced, story.orders) == ([State.READY], [])


def test_a_failed_pull_is_told_to_everyone_who_waits() -> None:
    story = Story(stored=False).happens(PullWanted(MODEL), Wanted(MODEL)).happens(PullFailed(MODEL, "disk full"))
    assert (story.failure.error.code, story.failure.error.message) == ("pull_failed", "disk full")
    assert story.view.state is State.ABSENT
    assert story.happens(PullFailed(MODEL, "again")).did == []


def test_a_failed_pull_tells_its_cause_and_when_to_come_back() -> None:
    failed = PullFailed(
        MODEL, "too many", retryable=False, retry_after_s=60.0, details={"cause": "download", "status": 429}
    )
    error = Story(stored=False).happens(PullWanted(MODEL), failed).failure.error

    assert (error.retryable, error.retry_after_s) == (False, 60.0)
    assert error.details == {"cause": "download", "status": 429}


def test_a_failed_pull_of_lost_files_leaves_them_absent() -> None:
    story = Story().happens(Wanted(MODEL), Greeted(Life(1)), LoadFailed(Life(1), "file_missing", "no such file"))
    story.happens(Gone(Life(1), "exit 0"), PullWanted(MODEL), PullFailed(MODEL, "no route"))
    assert story.view.state is State.ABSENT


def test_files_come_and_go() -> None:
    story = Story(stored=False)
    assert story.happens(FilesChanged(MODEL, stored=True)).announced == [State.STORED]
    assert story.happens(FilesChanged(MODEL, stored=True)).announced == []
    assert story.happens(FilesChanged(MODEL, stored=False)).announced == [State.ABSENT]


def test_a_message_too_long_for_the_wire_is_cut() -> None:
    story = Story().happens(Wanted(MODEL), Greeted(Life(1)), LoadFailed(Life(1), "engine", "x" * 10_000))
    assert len(story.failure.error.message) == 4096
