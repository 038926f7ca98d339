"""Who is served next: classes, slots, shares, positions."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferd.messages.control import PRIORITIES, Priority
from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.ids import AppKey, StreamNo
from inferd_daemon.scheduler import (
    Command,
    Dispatch,
    Ended,
    Event,
    LineView,
    ModelNotReady,
    ModelReady,
    Queued,
    ReportEmptied,
    Scheduler,
    ShowPosition,
    StartIdleClock,
    Ticked,
    TurnAway,
    WaitersRefused,
    WantModel,
    Withdrawn,
)
from inferd_daemon.scheduler.machine import SHOW_EVERY_S, SHOWN_POSITIONS

MODEL = ModelId.parse("house/small:q4")
OTHER = ModelId.parse("house/other:q4")
ADA, BOB, CYD = AppKey(1000, "ada"), AppKey(1000, "bob"), AppKey(1001, "cyd")


class Desk:
    """A scheduler, a clock that is set by hand, and who runs in the order of dispatch."""

    def __init__(self, *, slots: int = 0, can_park: bool = True) -> None:
        self.now_s = 50.0
        self.scheduler = Scheduler()
        self.did: list[Command] = []
        self.running: list[StreamNo] = []
        self.served: list[StreamNo] = []
        self._numbers = itertools.count(1)
        if slots:
            self.happens(ModelReady(MODEL, slots, can_park))

    def happens(self, *events: Event, after_s: float = 0.0) -> list[Command]:
        self.now_s += after_s
        self.did = [command for event in events for command in self.scheduler.step(event, self.now_s)]
        self.running += self.dispatched
        self.served += self.dispatched
        return self.did

    def ask(self, app: AppKey = ADA, priority: Priority = "interactive", model: ModelId = MODEL) -> StreamNo:
        stream = StreamNo(next(self._numbers))
        self.happens(Queued(stream, model, app, priority, self.now_s))
        return stream

    def ends(self, stream: StreamNo, cost_tokens: int = 10) -> list[Command]:
        self.running.remove(stream)
        return self.happens(Ended(stream, cost_tokens))

    @property
    def dispatched(self) -> list[StreamNo]:
        return [command.stream for command in self.did if isinstance(command, Dispatch)]

    @property
    def positions(self) -> dict[StreamNo, int]:
        return {command.stream: command.position for command in self.did if isinstance(command, ShowPosition)}


# --- models


def test_a_request_for_a_model_that_is_not_ready_wants_it_and_hears_its_position() -> None:
    desk = Desk()
    first = desk.ask()
    assert desk.did == [WantModel(MODEL), ShowPosition(first, 1)]
    second = desk.ask(BOB)
    assert desk.did == [WantModel(MODEL), ShowPosition(second, 2)]
    assert desk.scheduler.waiting(MODEL) == (first, second)
    desk.happens(ModelReady(MODEL, 4, can_park=True))
    assert desk.dispatched == [first, second]
    assert (desk.scheduler.waiting(MODEL), desk.scheduler.running(MODEL)) == ((), (first, second))


def test_a_model_that_is_no_longer_ready_gets_nothing_and_is_wanted_again() -> None:
    desk = Desk(slots=1)
    running, waiting = desk.ask(), desk.ask()
    assert desk.happens(ModelNotReady(MODEL)) == [WantModel(MODEL)]
    assert desk.ends(running) == [ReportEmptied(MODEL)]
    assert desk.happens(ModelReady(MODEL, 1, can_park=False)) == [Dispatch(waiting)]


def test_a_model_on_which_nothing_runs_is_reported_empty_as_often_as_asked() -> None:
    desk = Desk(slots=1)
    assert desk.happens(ModelNotReady(MODEL)) == [ReportEmptied(MODEL)]
    assert desk.happens(ModelNotReady(MODEL)) == [ReportEmptied(MODEL)]


def test_the_idle_clock_starts_when_a_ready_model_has_nothing_to_do() -> None:
    desk = Desk()
    assert desk.happens(ModelReady(MODEL, 2, can_park=True)) == [StartIdleClock(MODEL)]
    one, two = desk.ask(), desk.ask()
    assert desk.ends(one) == []
    assert desk.ends(two) == [StartIdleClock(MODEL)]


def test_waiters_of_a_refused_model_are_turned_away_and_forgotten() -> None:
    desk = Desk()
    streams = [desk.ask(), desk.ask(BOB, "batch"), desk.ask(CYD, "voice")]
    other = desk.ask(model=OTHER)
    desk.happens(WaitersRefused(MODEL))
    assert sorted(command.stream for command in desk.did if isinstance(command, TurnAway)) == streams
    assert desk.scheduler.view(MODEL) == LineView()
    assert desk.happens(ModelReady(MODEL, 4, can_park=True)) == [StartIdleClock(MODEL)]
    assert desk.scheduler.waiting(OTHER) == (other,)


def test_models_have_lines_of_their_own() -> None:
    desk = Desk(slots=1)
    desk.ask()
    desk.happens(ModelReady(OTHER, 1, can_park=False))
    other = desk.ask(model=OTHER)
    assert desk.dispatched == [other]


# --- streams


def test_a_withdrawn_request_is_never_dispatched() -> None:
    desk = Desk(slots=1)
    running, leaver, stayer = desk.ask(), desk.ask(), desk.ask()
    desk.happens(Withdrawn(leaver))
    desk.ends(running)
    assert desk.dispatched == [stayer]


def test_a_withdrawal_that_comes_too_late_frees_no_slot() -> None:
    desk = Desk(slots=1)
    running, waiting = desk.ask(), desk.ask()
    assert desk.happens(Withdrawn(running)) == []
    desk.ends(running)
    assert desk.dispatched == [waiting]


def test_events_about_unknown_streams_change_nothing() -> None:
    desk = Desk(slots=1)
    stream = desk.ask()
    assert desk.happens(Ended(StreamNo(99), 5), Withdrawn(StreamNo(99))) == []
    assert desk.happens(Queued(stream, MODEL, ADA, "voice", 0.0)) == []
    assert desk.ends(stream) == [StartIdleClock(MODEL)]
    assert desk.happens(Ended(stream, 5)) == []
    assert desk.scheduler.view(MODEL) == LineView()


# --- classes and slots


def test_classes_are_served_in_their_order_whatever_came_first() -> None:
    desk = Desk(slots=1, can_park=False)
    running = desk.ask()
    by_class = {priority: desk.ask(priority=priority) for priority in reversed(PRIORITIES)}
    desk.ends(running)
    for _ in PRIORITIES[1:]:
        desk.ends(desk.running[0])
    assert desk.served == [running, *(by_class[priority] for priority in PRIORITIES)]


def test_with_parking_each_class_finds_the_slots_that_lower_ones_hold() -> None:
    desk = Desk(slots=2)
    for priority in reversed(PRIORITIES):
        streams = [desk.ask(priority=priority) for _ in range(3)]
        assert set(streams[:2]) <= set(desk.running)
        assert streams[2] not in desk.running
    assert len(desk.running) == 2 * len(PRIORITIES)


def test_with_parking_a_lower_class_waits_for_the_higher_ones_in_flight() -> None:
    desk = Desk(slots=2)
    voices = [desk.ask(priority="voice") for _ in range(2)]
    chat = desk.ask(priority="interactive")
    assert chat not in desk.running
    desk.ends(voices[0])
    assert desk.dispatched == [chat]


def test_without_parking_a_full_model_is_full_for_everyone() -> None:
    desk = Desk(slots=2, can_park=False)
    lows = [desk.ask(priority="background") for _ in range(2)]
    voice = desk.ask(priority="voice")
    assert voice not in desk.running
    desk.ends(lows[0])
    assert desk.dispatched == [voice]


# --- shares


def test_an_app_with_many_requests_does_not_keep_another_waiting() -> None:
    desk = Desk(slots=1)
    running = desk.ask(ADA)
    for _ in range(50):
        desk.ask(ADA)
    bobs = desk.ask(BOB)
    desk.ends(running)
    assert desk.dispatched == [bobs]


def shares_after(desk: Desk, costs: dict[AppKey, int], n_ends: int) -> Counter[AppKey]:
    """Return the tokens that each app was served while all of them always have eight requests waiting."""
    owner: dict[StreamNo, AppKey] = {}

    def ask(app: AppKey) -> None:
        owner[desk.ask(app)] = app

    for _ in range(8):
        for app in costs:
            ask(app)
    tokens: Counter[AppKey] = Counter()
    for _ in range(n_ends):
        stream = desk.running[0]
        app = owner[stream]
        tokens[app] += costs[app]
        desk.ends(stream, costs[app])
        ask(app)
    return tokens


@pytest.mark.parametrize("slots", [1, 4])
@given(costs=st.tuples(st.integers(1, 400), st.integers(1, 400)))
@settings(max_examples=25)
def test_greedy_apps_get_the_same_tokens_whatever_their_requests_cost(slots: int, costs: tuple[int, int]) -> None:
    tokens = shares_after(Desk(slots=slots), dict(zip((ADA, BOB), costs, strict=True)), n_ends=400)
    # While requests run, their mean stands for their cost; one request per slot and app may be judged wrongly.
    assert abs(tokens[ADA] - tokens[BOB]) <= (slots + 1) * 2 * max(costs)


def test_who_waited_in_idleness_has_saved_up_nothing() -> None:
    desk = Desk(slots=1)
    adas = {desk.ask(ADA)}
    for _ in range(100):
        adas.add(desk.ask(ADA))
        desk.ends(desk.running[0], cost_tokens=100)
    adas |= {desk.ask(ADA) for _ in range(20)}
    for _ in range(20):
        desk.ask(BOB)
    for _ in range(20):
        desk.ends(desk.running[0], cost_tokens=100)
    assert abs(len(adas.intersection(desk.served[-20:])) - 10) <= 1


def test_a_debt_that_was_paid_off_in_absence_is_no_credit() -> None:
    desk = Desk(slots=1)
    desk.ask(ADA)
    desk.ask(BOB)
    desk.ends(desk.running[0], cost_tokens=300)
    for _ in range(100):
        desk.ask(BOB)
        desk.ends(desk.running[0], cost_tokens=100)
    adas = {desk.ask(ADA) for _ in range(20)}
    for _ in range(20):
        desk.ask(BOB)
    for _ in range(20):
        desk.ends(desk.running[0], cost_tokens=100)
    assert abs(len(adas.intersection(desk.served[-20:])) - 10) <= 1


def test_an_empty_line_forgets_who_owed() -> None:
    desk = Desk(slots=1)
    desk.ends(desk.ask(ADA), cost_tokens=10_000)
    running, first, second = desk.ask(CYD), desk.ask(ADA), desk.ask(BOB)
    desk.ends(running)
    desk.ends(first)
    assert desk.served[-2:] == [first, second]


def test_who_owes_is_not_forgiven_by_leaving_for_a_moment() -> None:
    desk = Desk(slots=1)
    dear = desk.ask(ADA)
    cheap = [desk.ask(BOB) for _ in range(60)]
    desk.ends(dear, cost_tokens=10_000)
    again = desk.ask(ADA)
    for stream in cheap[:-1]:
        desk.ends(stream, cost_tokens=100)
    assert again not in desk.running
    desk.ends(cheap[-1], cost_tokens=100)
    assert again in desk.running


def test_an_endless_row_of_newcomers_starves_nobody() -> None:
    desk = Desk(slots=1)
    dear = desk.ask(ADA)
    desk.ask(AppKey(1, "app-0"))
    desk.ends(dear, cost_tokens=5_000)
    debtor = desk.ask(ADA)
    for number in range(1, 2_000):
        desk.ask(AppKey(1, f"app-{number}"))
        desk.ends(desk.running[0], cost_tokens=100)
        if debtor in desk.running:
            break
    assert debtor in desk.running


@given(
    asks=st.lists(st.tuples(st.sampled_from([ADA, BOB, CYD]), st.sampled_from(PRIORITIES)), max_size=60),
    slots=st.integers(1, 4),
    can_park=st.booleans(),
    ends=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 300)), max_size=60),
)
def test_requests_of_one_app_and_class_run_in_the_order_of_their_arrival(
    asks: list[tuple[AppKey, Priority]], slots: int, ends: list[tuple[int, int]], *, can_park: bool
) -> None:
    desk = Desk(slots=slots, can_park=can_park)
    line: dict[tuple[AppKey, Priority], list[StreamNo]] = {}
    for ask, end in itertools.zip_longest(asks, ends):
        if ask:
            line.setdefault(ask, []).append(desk.ask(*ask))
        if end and desk.running:
            desk.ends(desk.running[end[0] % len(desk.running)], end[1])
    while desk.running:
        desk.ends(desk.running[0])
    for streams in line.values():
        assert [stream for stream in desk.served if stream in streams] == streams
    assert len(desk.served) == len(asks)


# --- positions


def test_positions_count_across_classes() -> None:
    desk = Desk(slots=1, can_park=False)
    desk.ask()
    low = desk.ask(priority="batch")
    assert desk.positions == {low: 1}
    desk.now_s += SHOW_EVERY_S
    high = desk.ask(priority="voice")
    assert desk.positions == {high: 1, low: 2}


def test_positions_follow_the_order_of_service_not_of_arrival() -> None:
    desk = Desk(slots=1)
    desk.ask(ADA)
    adas = [desk.ask(ADA) for _ in range(3)]
    bobs = desk.ask(BOB)
    desk.happens(Ticked(), after_s=SHOW_EVERY_S)
    assert desk.positions[bobs] == 1
    desk.ends(desk.running[0])
    assert desk.dispatched == [bobs]
    desk.happens(Ticked(), after_s=SHOW_EVERY_S)
    assert desk.positions == dict(zip(adas, (1, 2, 3), strict=True))


def test_positions_are_shown_again_only_when_they_changed_and_not_too_often() -> None:
    desk = Desk(slots=1)
    running = desk.ask()
    first, second = desk.ask(), desk.ask()
    desk.happens(Ticked(), after_s=SHOW_EVERY_S)
    assert desk.positions == {}
    desk.now_s += SHOW_EVERY_S
    desk.ends(running)
    assert desk.positions == {second: 1}
    third = desk.ask()
    assert desk.positions == {third: 2}
    desk.ends(first)
    assert desk.positions == {}
    due_s = desk.scheduler.next_timer_s()
    assert due_s == pytest.approx(desk.now_s + SHOW_EVERY_S)
    desk.happens(Ticked(), after_s=SHOW_EVERY_S)
    assert desk.positions == {third: 1}
    assert desk.scheduler.next_timer_s() is None


def test_positions_move_up_when_someone_leaves_a_line_that_is_not_served() -> None:
    desk = Desk()
    leaver, stayer = desk.ask(), desk.ask(BOB)
    desk.now_s += SHOW_EVERY_S
    desk.happens(Withdrawn(leaver))
    assert desk.positions == {stayer: 1}


def test_only_the_front_of_a_long_line_hears_of_every_change() -> None:
    desk = Desk(slots=1)
    desk.ask()
    waiting = [desk.ask() for _ in range(2_000)]
    assert desk.positions == {waiting[-1]: 2_000}
    desk.happens(Ticked(), after_s=SHOW_EVERY_S)
    desk.ends(desk.running[0])
    desk.happens(Ticked(), after_s=SHOW_EVERY_S)
    assert desk.positions == dict(zip(waiting[1 : SHOWN_POSITIONS + 1], range(1, SHOWN_POSITIONS + 1), strict=True))
