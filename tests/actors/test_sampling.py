"""The plan of a sampler chain."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from inferd.messages.operations import Generate, Message
from inferd_actors.engines.llama_cpp.sampling import (
    RANDOM_SEED,
    Bias,
    Defaults,
    Draw,
    Greedy,
    MinP,
    Nucleus,
    Penalties,
    Step,
    Temperature,
    TopK,
    TopP,
    defaults_of,
    plan,
)

ORDER = [Bias, Penalties, TopK, TopP, Nucleus, MinP, Temperature, Draw, Greedy]


def ask(**fields: Any) -> Generate:  # noqa: ANN401 - fields of the case
    return Generate((Message("user", "hello"),), **fields)


def planned(**fields: Any) -> tuple[Step, ...]:  # noqa: ANN401 - fields of the case
    return plan(ask(**fields), Defaults(), chance=5, vocabulary_size=49_152)


def test_a_request_that_says_nothing_takes_the_defaults_and_the_given_chance() -> None:
    assert planned() == (TopK(40), TopP(0.95), MinP(0.05), Temperature(0.8), Draw(5))


def test_what_a_request_says_stands_over_the_defaults() -> None:
    steps = planned(top_k=7, top_p=0.5, min_p=0.1, temperature=1.5, seed=9)
    assert steps == (TopK(7), TopP(0.5), MinP(0.1), Temperature(1.5), Draw(9))


def test_values_that_cut_nothing_are_no_steps() -> None:
    assert planned(top_k=0, top_p=1.0, min_p=0.0) == (Temperature(0.8), Draw(5))


def test_temperature_zero_and_what_is_next_to_it_is_greedy() -> None:
    assert planned(temperature=0.0) == planned(temperature=1e-30, top_k=3, seed=1) == (Greedy(),)


def test_penalties_hold_for_greedy_answers_too() -> None:
    steps = planned(temperature=0.0, repeat_penalty=1.1, presence_penalty=-0.5, frequency_penalty=0.25)
    assert steps == (Penalties(64, 1.1, 0.25, -0.5), Greedy())


def test_no_seed_of_an_app_is_the_one_that_the_library_takes_for_chance() -> None:
    assert planned(seed=RANDOM_SEED)[-1] == planned(seed=RANDOM_SEED - 1)[-1] == Draw(RANDOM_SEED - 1)


def test_the_file_recommends_and_nonsense_in_it_is_ignored() -> None:
    file = {"general.sampling.temp": "0.6", "general.sampling.top_k": "20", "general.sampling.top_p": "7", "x": "1"}
    assert defaults_of(file.get) == Defaults(temperature=0.6, top_k=20)
    assert defaults_of({"general.sampling.min_p": "nan", "general.sampling.temp": "warm"}.get) == Defaults()


@given(
    temperature=st.none() | st.floats(0, 10),
    top_k=st.none() | st.integers(0, 10_000_000),
    top_p=st.none() | st.floats(0, 1),
    min_p=st.none() | st.floats(0, 1),
    seed=st.none() | st.integers(0, 2**32 - 1),
    repeat_penalty=st.floats(0.01, 10),
)
def test_every_plan_ends_with_one_choice_and_keeps_the_order(**fields: Any) -> None:  # noqa: ANN401
    steps = planned(**fields)
    places = [ORDER.index(type(step)) for step in steps]
    assert places == sorted(set(places))
    assert isinstance(steps[-1], Draw | Greedy)
    assert sum(isinstance(step, Draw | Greedy) for step in steps) == 1
