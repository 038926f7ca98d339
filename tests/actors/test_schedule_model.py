"""Ten thousand schedules of chance in a cache that is too small, against a model of the cache."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from schedule_run import TOKEN_BYTES, Room, Run, go_through

from inferd_actors.engines.llama_cpp.past import QUICK_TOKENS

EACH = 500
"""Schedules of a case: some seconds, so that a failure is known soon."""
EVERYTHING = (
    *("Copy", "Save", "Restore", "Forget", "Discard"),
    *("parked", "resumed", "finished", "cancelled"),
)


@pytest.mark.parametrize("first_seed", range(0, 10_000, EACH))
def test_every_schedule_ends_with_the_answers_that_each_request_has_alone(first_seed: int) -> None:
    happened: Counter[str] = Counter()
    for seed in range(first_seed, first_seed + EACH):
        try:
            happened += go_through(seed)
        except BaseException as reason:
            reason.add_note(f"seed {seed}")
            raise
    assert all(happened[what] > EACH // 50 for what in EVERYTHING), happened


def test_background_work_ends_under_an_endless_stream_of_interactive_work() -> None:
    run, chance = Run(Room(slots=2)), random.Random(1)  # noqa: S311 - a game, not a secret
    patient = run.ask([chance.randrange(9) for _ in range(60)], 60, rank=3)
    for _ in range(2_000):
        while len(run.asked) < 6:
            run.ask([chance.randrange(9) for _ in range(20)], chance.randint(4, 8), rank=1)
        run.step(0.5)
        if patient.stream not in run.asked:
            return
    pytest.fail(f"after {run.now_s:.0f} s it has {len(patient.tokens) - patient.prompt_tokens} tokens")


def test_a_halted_request_that_fills_the_cache_gives_way_to_others() -> None:
    run = Run(Room(cells=100, slots=3))
    big = run.ask(list(range(90)), 5, rank=0)
    run.step(0.01)
    big.is_halted = True
    other = run.ask(list(range(100, 150)), 5, rank=3)
    run.answer_all(random.Random(1))  # noqa: S311 - a game, not a secret
    assert other.stream not in run.asked
    big.is_halted = False
    run.answer_all(random.Random(1))  # noqa: S311 - a game, not a secret
    assert not run.asked


def test_what_was_lost_from_the_shelf_is_read_again_and_answered_as_before() -> None:
    run = Run(Room(cells=100, slots=1, shelf_bytes=0))
    patient = run.ask(list(range(50)), 8, rank=3)
    for _ in range(3):
        run.step(0.01)
    urgent = run.ask(list(range(200, 260)), 4, rank=0)
    run.step(0.01)
    assert (patient.seat, patient.shelved, patient.cached) == (None, None, 0)
    assert urgent.seat is not None
    run.answer_all(random.Random(1))  # noqa: S311 - a game, not a secret
    assert run.happened["finished"] == 2


def test_prompts_that_come_together_are_read_together() -> None:
    run = Run(Room(slots=3))
    together = [run.ask([start + n for n in range(10)], 4) for start in (0, 100, 200)]
    run.step(0.01)
    assert all(live.cached for live in together)


def test_who_begins_with_what_another_reads_waits_for_it_and_copies_it() -> None:
    run = Run(Room(cells=400, slots=3))
    first = run.ask(list(range(130)), 4)
    alike = run.ask([*range(120), 200, 201, 202], 4)
    other = run.ask(list(range(300, 340)), 4)
    run.step(0.01)
    assert (alike.seat, other.seat is not None) == (None, True)
    while first.cached < 120:
        assert alike.seat is None
        run.step(0.01)
    run.step(0.01)
    assert alike.reused == 120


def test_nobody_waits_for_a_prompt_that_is_halted_or_of_a_lower_class() -> None:
    run = Run(Room(cells=400, slots=3))
    slow = run.ask(list(range(130)), 4, rank=2)
    run.step(0.01)
    urgent = run.ask(list(range(125)), 4, rank=1)
    run.step(0.01)
    assert urgent.seat is not None
    slow.is_halted = urgent.is_halted = True
    late = run.ask(list(range(128)), 4, rank=3)
    run.step(0.01)
    assert late.seat is not None


def test_nobody_who_came_later_takes_the_seat_of_one_who_waits_for_a_prefix() -> None:
    run = Run(Room(cells=600, slots=2))
    run.ask(list(range(130)), 4)
    alike = run.ask([*range(120), 200, 201, 202], 4)
    later = run.ask(list(range(300, 340)), 60)
    run.step(0.01)
    while alike.seat is None:
        assert later.seat is None
        run.step(0.01)


def _ended(run: Run, prompt: list[int]) -> None:
    run.ask(prompt, 2)
    run.answer_all(random.Random(1))  # noqa: S311 - a game, not a secret


def test_a_short_prefix_leaves_the_cache_at_once_and_is_not_read_again() -> None:
    run = Run(Room(cells=400, slots=2))
    _ended(run, list(range(80)))
    assert not run.resident_seats
    run.ask(list(range(200, 240)), 5)
    run.step(0.01)
    again = run.ask([*range(80), 500], 2)
    run.answer_all(random.Random(1))  # noqa: S311 - a game, not a secret
    assert again.reused == 80
    assert run.happened["Restore"] == 1


@pytest.mark.parametrize(("rank", "stays"), [(0, True), (1, False)])
def test_a_long_prefix_leaves_once_somebody_writes_and_not_beside_voice(rank: int, *, stays: bool) -> None:
    run = Run(Room(cells=2_000, slots=2, shelf_bytes=2_000 * TOKEN_BYTES))
    _ended(run, list(range(QUICK_TOKENS + 1)))
    run.ask(list(range(2_000, 2_040)), 5, rank=rank)
    run.step(0.01)
    assert run.resident_seats
    run.step(0.01)
    assert bool(run.resident_seats) == stays


def test_a_prefix_that_others_share_stays() -> None:
    run = Run(Room(cells=400, slots=2))
    ends, goes_on = (run.ask([*range(80), 500 + at], 2 + 40 * at) for at in range(2))
    while ends.stream in run.asked:
        run.step(0.01)
    assert goes_on.is_writing
    assert run.resident_seats
    assert not run.happened["Save"]


@pytest.mark.parametrize("shelf_tokens", [0, 2 * 81])
def test_a_prefix_that_the_shelf_has_no_place_for_stays(shelf_tokens: int) -> None:
    run = Run(Room(cells=400, slots=2, shelf_bytes=shelf_tokens * TOKEN_BYTES))
    _ended(run, list(range(81)))
    run.ask(list(range(200, 240)), 5)
    for _ in range(3):
        run.step(0.01)
    assert run.resident_seats
