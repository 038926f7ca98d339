"""How much of the time work that can wait gets while somebody speaks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.messages.control import PRIORITIES
from inferd_actors.engines.aside import (
    HAND_OFF_S,
    HOLD_S,
    LINGER_S,
    LONGEST_HOLD_S,
    LONGEST_REST_S,
    SHARE,
    Aside,
    can_wait,
)
from inferd_daemon.pulse import QUIET_S

STEPS = st.lists(st.floats(0.001, 0.5), min_size=1, max_size=40)


def test_only_classes_that_nobody_waits_for_step_aside() -> None:
    assert [one for rank, one in enumerate(PRIORITIES) if can_wait(rank)] == ["batch", "background"]


@given(STEPS)
def test_it_gets_its_share_while_voice_work_goes_on_elsewhere_and_never_nothing(steps_s: list[float]) -> None:
    aside, computed_s = Aside(), 0.0
    aside.told(100.0 - HOLD_S, is_aside=True)
    now_s = 100.0 + 1e-6
    for step_s in steps_s:
        assert aside.may_compute(now_s)
        now_s, computed_s = now_s + step_s, computed_s + step_s
        aside.computed(step_s, now_s)
        wait_s = aside.wait_s(now_s)
        assert wait_s > 0
        assert not aside.may_compute(now_s + wait_s / 2)
        now_s += wait_s + 1e-6
    assert computed_s / (now_s - 100.0) == pytest.approx(SHARE, abs=0.01)


def test_a_slow_step_is_not_followed_by_a_rest_that_looks_like_a_hang() -> None:
    aside = Aside()
    aside.told(1.0, is_aside=True)
    aside.computed(30.0, 1.0)
    assert aside.wait_s(1.0) == LONGEST_REST_S < QUIET_S


@given(STEPS)
def test_without_voice_work_it_is_never_held_back(steps_s: list[float]) -> None:
    aside, now_s = Aside(), 100.0
    for step_s in steps_s:
        assert aside.may_compute(now_s)
        assert not aside.is_aside(now_s)
        now_s += step_s
        aside.computed(step_s, now_s)
        assert aside.wait_s(now_s) == 0


def test_the_end_of_voice_work_counts_a_moment_later() -> None:
    aside = Aside()
    aside.told(1.0, is_aside=True)
    aside.computed(10.0, 1.0)
    aside.told(2.0, is_aside=False)
    assert aside.wait_s(2.0) == pytest.approx(LINGER_S)
    assert not aside.may_compute(2.0 + 0.9 * LINGER_S)
    assert aside.may_compute(2.0 + 1.1 * LINGER_S)


def test_own_voice_work_counts_too() -> None:
    aside = Aside()
    aside.voice_here(1.0)
    assert aside.is_aside(1.0)
    aside.computed(10.0, 1.0)
    assert not aside.may_compute(1.0 + 0.9 * LINGER_S)
    assert aside.may_compute(1.0 + 1.1 * LINGER_S)


def test_nothing_is_begun_while_voice_work_is_young() -> None:
    aside = Aside()
    aside.told(1.0, is_aside=True)
    assert not aside.may_compute(1.0 + 0.9 * HOLD_S)
    assert aside.may_compute(1.0 + 1.1 * HOLD_S)


def test_a_turn_passes_from_one_engine_to_the_next_with_nothing_begun_in_between() -> None:
    aside = Aside()
    aside.told(1.0, is_aside=True)
    aside.told(2.0, is_aside=False)
    assert not aside.may_compute(2.0 + 0.9 * HAND_OFF_S)
    assert aside.may_compute(2.0 + 1.1 * HAND_OFF_S)
    ear = Aside()
    ear.hands_on(1.0)
    assert not ear.may_compute(1.0 + 0.9 * HAND_OFF_S)
    assert ear.may_compute(1.0 + 1.1 * HAND_OFF_S)


def test_own_voice_work_is_young_once_and_again_after_a_pause() -> None:
    aside, now_s = Aside(), 1.0
    while now_s < 1.0 + 1.1 * HOLD_S:
        aside.voice_here(now_s)
        now_s += HAND_OFF_S / 2
    assert aside.may_compute(now_s), "it has its share of long voice work"
    aside.voice_here(now_s + 2 * HAND_OFF_S)
    assert not aside.may_compute(now_s + 2 * HAND_OFF_S)


@given(st.lists(st.floats(0.01, 0.3), min_size=200, max_size=400))
def test_however_often_voice_work_begins_what_can_wait_has_its_turn(gaps_s: list[float]) -> None:
    aside, now_s, last_s = Aside(), 0.0, 0.0
    for number, gap_s in enumerate(gaps_s):
        aside.told(now_s, is_aside=number % 2 == 0)
        now_s += gap_s
        if aside.may_compute(now_s):
            aside.computed(0.01, now_s)
            last_s = now_s
        assert now_s - last_s <= LONGEST_HOLD_S + HOLD_S + 0.3


def test_a_step_in_flight_does_not_cut_the_hold_short() -> None:
    aside = Aside()
    aside.told(1.0, is_aside=True)
    aside.computed(0.001, 1.01)
    assert not aside.may_compute(1.0 + 0.9 * HOLD_S)


def test_voice_work_long_ago_takes_nothing_from_what_is_young_now() -> None:
    aside = Aside()
    aside.told(1.0, is_aside=True)
    assert not aside.may_compute(1.1)
    aside.told(1.5, is_aside=False)
    assert aside.may_compute(30.0)
    aside.told(60.0, is_aside=True)
    assert not aside.may_compute(60.0 + 0.9 * HOLD_S)
