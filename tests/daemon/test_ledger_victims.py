"""Victims: the cheapest set, always enough; habits: who was used lately and often is likely to be used again."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.ledger.estimate import first_estimate_bytes
from inferd_daemon.ledger.habits import Habit
from inferd_daemon.ledger.victims import EXACT, Candidate, cheapest, cost_s


def candidate(number: int, frees_bytes: int, cost: float) -> Candidate:
    return Candidate(ModelId("test", f"m{number:03}", "x"), frees_bytes, cost)


def some(most: int) -> st.SearchStrategy[list[Candidate]]:
    pairs = st.tuples(st.integers(0, 100), st.floats(0.0, 50.0))
    return st.lists(pairs, max_size=most).map(
        lambda rows: [candidate(number, size, cost) for number, (size, cost) in enumerate(rows)]
    )


@given(some(9), st.integers(-5, 400))
def test_no_set_that_frees_enough_is_cheaper(candidates: list[Candidate], need: int) -> None:
    sets = [one for n in range(len(candidates) + 1) for one in itertools.combinations(candidates, n)]
    enough = [cost_s(one) for one in sets if sum(part.frees_bytes for part in one) >= need]
    chosen = cheapest(candidates, need)
    if not enough:
        assert chosen is None
        return
    assert chosen is not None
    assert sum(one.frees_bytes for one in chosen) >= need
    assert cost_s(chosen) == pytest.approx(min(enough))


@given(some(60), st.integers(0, 3_000))
def test_many_candidates_free_enough_without_anybody_to_spare(candidates: list[Candidate], need: int) -> None:
    chosen = cheapest(candidates, need)
    assert (chosen is None) == (sum(one.frees_bytes for one in candidates) < need)
    freed = sum(one.frees_bytes for one in chosen or ())
    if len(candidates) > EXACT:
        assert all(freed - one.frees_bytes < need for one in chosen or ())


def test_a_search_that_could_take_for_ever_is_cut_off_with_a_set_that_is_enough() -> None:
    """Equal prices per byte leave nothing to tell one set from another before it is complete."""
    alike = [candidate(number, 10, 10.0) for number in range(EXACT)]
    chosen = cheapest(alike, 105)
    assert chosen is not None
    assert len(chosen) == 11


def test_one_large_idle_model_leaves_before_many_that_are_used() -> None:
    used = [candidate(number, 10, 5.0) for number in range(4)]
    assert cheapest([*used, candidate(9, 68, 6.0)], 30) == (candidate(9, 68, 6.0),)


@given(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=40).map(sorted), st.floats(0.0, 1e6))
def test_a_chance_is_a_chance_and_fades(times_s: list[float], later_s: float) -> None:
    habit = Habit()
    for at_s in times_s:
        habit.use(at_s)
    now = habit.chance(times_s[-1])
    assert 0.0 < now <= 1.0
    assert habit.chance(times_s[-1] + later_s) <= now


def test_of_two_used_as_often_the_later_one_and_of_two_used_as_lately_the_more_frequent_one_is_likelier() -> None:
    early, late, often = Habit(), Habit(), Habit()
    early.use(100.0)
    late.use(400.0)
    for at_s in (0.0, 200.0, 400.0):
        often.use(at_s)
    assert early.chance(500.0) < late.chance(500.0) < often.chance(500.0)


def test_a_long_spell_counts_no_more_than_a_short_one_once_both_are_over() -> None:
    short, long = Habit(), Habit()
    for habit, uses in ((short, 3), (long, 50)):
        for number in range(uses):
            habit.use(1_000.0 + number)
    assert long.chance(3_000.0) == pytest.approx(short.chance(3_000.0), rel=0.05)


def test_while_a_spell_goes_on_its_model_is_likelier_than_a_more_popular_one_that_rests() -> None:
    popular, present = Habit(), Habit()
    for number in range(5):
        popular.use(300.0 * number)
    present.use(1_500.0)
    assert present.chance(1_510.0) > popular.chance(1_510.0)
    assert present.chance(2_200.0) < popular.chance(2_200.0)


@given(st.integers(0, 10**12), st.integers(0, 10**6), st.integers(1, 2 * 10**5))
def test_a_larger_file_or_context_is_never_estimated_smaller(file_bytes: int, more_bytes: int, tokens: int) -> None:
    def estimate(size: int, context: int) -> int:
        return first_estimate_bytes("llama_cpp", size, {"context_tokens": context}, None)

    assert estimate(file_bytes, tokens) > file_bytes
    assert estimate(file_bytes + more_bytes, tokens) >= estimate(file_bytes, tokens)
    assert estimate(file_bytes, tokens + 1) >= estimate(file_bytes, tokens)


def test_options_that_the_engine_will_refuse_do_not_break_the_estimate() -> None:
    odd: dict[str, str | float | int | bool] = {"context_tokens": "many", "shelf_bytes": -1, "cache_tokens": True}
    assert first_estimate_bytes("llama_cpp", 10**8, odd, None) == first_estimate_bytes("llama_cpp", 10**8, {}, None)
    assert first_estimate_bytes("echo", 0, {"memory_bytes": 10**9}, None) > 10**9
