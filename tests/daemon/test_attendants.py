"""The service's own actors: one of each, never two, started again with growing pauses, and not for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inferd_daemon.attendants import KINDS, LIVES, LONGEST_PAUSE_S, STEADY_S, Attendants
from inferd_daemon.ids import Life

FIRST = Life(5_000)


def test_the_last_life_is_given_to_one_of_two_that_want_it() -> None:
    attendants, now_s = Attendants(FIRST), 0.0
    attendants.keeper_up(now_s)
    given = [life for life, _ in attendants.due(now_s)]
    while len(given) < LIVES - 1:
        attendants.gone(given[-1], now_s)
        now_s += LONGEST_PAUSE_S
        given += [life for life, _ in attendants.due(now_s)]
    attendants.keeper_up(now_s)
    assert [life for life, _ in attendants.due(now_s)] == [FIRST + LIVES - 1]


@given(st.lists(st.sampled_from(["up", "down", "die", "wait"]), max_size=300))
def test_never_two_of_a_kind_and_never_a_life_twice(steps: list[str]) -> None:
    attendants, now_s = Attendants(FIRST), 0.0
    living: dict[Life, str] = {}
    given_out: list[Life] = []
    for step in steps:
        if step == "up":
            attendants.keeper_up(now_s)
            living.clear()
        elif step == "down":
            attendants.keeper_down()
            living.clear()
        elif step == "wait":
            now_s += LONGEST_PAUSE_S
        elif living:
            life = min(living)
            assert attendants.gone(life, now_s)
            del living[life]
        for life, kind in attendants.due(now_s):
            assert kind not in living.values()
            living[life] = kind
            given_out.append(life)
        assert all(attendants.is_one(life) for life in living)
    assert len(set(given_out)) == len(given_out) <= LIVES
    assert all(FIRST <= life < FIRST + LIVES for life in given_out)


def test_all_come_with_the_keeper_and_a_dead_one_comes_back_after_its_pause() -> None:
    attendants = Attendants(FIRST)
    attendants.keeper_up(10.0)
    started = attendants.due(10.0)
    assert {kind for _, kind in started} == set(KINDS)
    life, kind = started[0]
    attendants.came(life, 4711)
    assert attendants.processes() == ((4711, kind),)
    assert attendants.gone(life, 20.0)
    assert not attendants.gone(life, 20.0)
    assert attendants.due(20.0) == []
    due_s = attendants.next_timer_s()
    assert due_s is not None
    assert [again for _, again in attendants.due(due_s)] == [kind]


def test_the_vocab_actor_comes_when_it_is_wanted_and_stays_wanted() -> None:
    attendants = Attendants(FIRST)
    attendants.want("vocab", 0.0)
    assert attendants.due(0.0) == []
    attendants.keeper_up(1.0)
    assert {kind for _, kind in attendants.due(1.0)} == {*KINDS, "vocab"}
    life = attendants.life_of("vocab")
    assert life is not None
    attendants.want("vocab", 2.0)
    assert attendants.due(2.0) == []
    attendants.keeper_down()
    assert attendants.life_of("vocab") is None
    attendants.keeper_up(3.0)
    assert "vocab" in {kind for _, kind in attendants.due(3.0)}


def test_wanted_with_a_keeper_it_is_due_at_once() -> None:
    attendants = Attendants(FIRST)
    attendants.keeper_up(0.0)
    attendants.due(0.0)
    attendants.want("vocab", 1.0)
    assert [kind for _, kind in attendants.due(1.0)] == ["vocab"]


def test_one_that_lived_for_long_is_forgiven_its_deaths() -> None:
    attendants = Attendants(FIRST)
    attendants.keeper_up(0.0)
    attendants.due(0.0)
    now_s = 0.0
    pauses = []
    for lived_s in (0.0, 0.0, 0.0, STEADY_S, 0.0):
        life = attendants.life_of("router")
        assert life is not None
        now_s += lived_s
        attendants.gone(life, now_s)
        due_s = attendants.next_timer_s()
        assert due_s is not None
        pauses.append(due_s - now_s)
        now_s = due_s
        attendants.due(now_s)
    assert pauses == [1.0, 2.0, 4.0, 1.0, 2.0]
