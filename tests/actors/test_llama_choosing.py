"""How the llama.cpp engine chooses tokens, and what it tells about that: on a tiny model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from engine_rig import Rig

from inferd.messages.events import Error, TextDelta
from inferd_actors import engines

pytestmark = pytest.mark.skipif(
    bool(engines.missing("llama_cpp")), reason="llama-cpp-python or jinja2 is not installed"
)


@pytest.fixture(scope="module")
def rig(tiny_models: Mapping[str, Path]) -> Iterator[Rig]:
    with Rig(tiny_models["chat"], prefixes=0) as rig:
        yield rig


def test_a_greedy_answer_has_the_likeliest_tokens_and_says_how_likely_they_were(rig: Rig) -> None:
    stream = rig.ask("Hello", logprobs=5)
    tokens = rig.tokens(stream)
    assert len(tokens) == rig.finished(stream).usage.completion_tokens == 24
    for token in tokens:
        assert len(token.top) == 5
        assert (token.top[0].token, token.top[0].logprob) == (token.token, token.logprob)
        assert [top.logprob for top in token.top] == sorted((top.logprob for top in token.top), reverse=True)
        assert sum(math.exp(top.logprob) for top in token.top) <= 1 + 1e-6
    assert "".join(token.text for token in tokens) == rig.sink.text(stream)


def test_no_likeliest_are_told_when_none_are_asked_for(rig: Rig) -> None:
    tokens = rig.tokens(rig.ask("Hello", logprobs=0))
    assert len(tokens) == 24
    assert all(token.top == () and token.logprob <= 0 for token in tokens)


def test_without_being_asked_nothing_is_told(rig: Rig) -> None:
    assert rig.tokens(rig.ask("Hello", logprobs=None)) == []


def test_text_that_is_held_back_brings_its_tokens_along_later(rig: Rig) -> None:
    """Each character of the answer may begin the stop sequence, which never comes: a delta has several tokens."""
    plain = rig.ask("Hello")
    text = rig.sink.text(plain)
    stream = rig.ask("Hello", stop=(text[:12] + "\0", text[4:9] + "\0"))
    assert rig.tokens(stream) == rig.tokens(plain)
    assert rig.sink.text(stream) == text
    first = next(event for event in rig.sink.events(stream) if isinstance(event, TextDelta))
    assert len(first.logprobs) > 1


def test_tokens_of_a_stop_sequence_are_told_although_its_text_is_not(rig: Rig) -> None:
    plain = rig.ask("Hello")
    text = rig.sink.text(plain)
    stream = rig.ask("Hello", stop=(text[10:13],))
    end = rig.finished(stream)
    assert rig.sink.text(stream) == text[: text.index(text[10:13])]
    assert end.stop_reason == "stop_sequence"
    assert len(rig.tokens(stream)) == end.usage.completion_tokens < 24
    assert rig.tokens(stream) == rig.tokens(plain)[: end.usage.completion_tokens]


@pytest.mark.parametrize("fields", [{}, {"temperature": 1.0, "top_k": 0, "top_p": 0.9, "min_p": 0.0, "seed": 3}])
def test_a_bias_forces_and_forbids_tokens(rig: Rig, fields: Mapping[str, Any]) -> None:
    forced = rig.ask("Hello", logit_bias={str(ord("Q")): 100.0}, **fields)
    assert rig.sink.text(forced) == "Q" * 24
    plain = rig.ask("Hello", **fields)
    used = {token.token for token in rig.tokens(plain)}
    forbidden = rig.ask("Hello", logit_bias=dict.fromkeys(map(str, used), -100.0), **fields)
    assert used.isdisjoint(token.token for token in rig.tokens(forbidden))


def test_what_was_likely_is_told_without_the_bias(rig: Rig) -> None:
    first = rig.tokens(rig.ask("Hello", max_tokens=1))[0]
    (forced,) = rig.tokens(rig.ask("Hello", max_tokens=1, logit_bias={"5": 100.0}))
    assert forced.token == 5
    assert forced.top == first.top
    assert forced.logprob < first.top[0].logprob


@pytest.mark.parametrize("key", ["-1", "1.5", "nan", "٣", "268", "99999999999", ""])
def test_a_bias_of_what_is_no_token_is_refused_by_name(rig: Rig, key: str) -> None:
    (error,) = rig.sink.whole(rig.ask("Hello", logit_bias={key: 1.0}))
    assert isinstance(error, Error)
    assert (error.code, dict(error.details or {})["field"]) == ("invalid_request", "body.logit_bias")


def test_a_presence_penalty_keeps_a_biased_answer_from_repeating_itself(rig: Rig) -> None:
    """Two tokens lie ten apart and above all others: the penalty of 2 for each use turns the order round in time."""
    bias = {"5": 61.0, "6": 60.0}
    alike = {token.token for token in rig.tokens(rig.ask("Hello", logit_bias={"5": 90.0, "6": 60.0}))}
    mixed = [token.token for token in rig.tokens(rig.ask("Hello", logit_bias=bias, frequency_penalty=2.0))]
    assert alike == {5}
    assert {5, 6} == set(mixed)
    assert all(abs(mixed.count(5) - mixed.count(6)) < 24 for _ in mixed)


@pytest.mark.parametrize(
    "fields",
    [
        {"top_k": 40},
        {"top_k": 0, "top_p": 0.9, "min_p": 0.0},
        {"top_k": 0, "top_p": 0.9, "min_p": 0.05, "repeat_penalty": 1.2},
    ],
)
def test_a_seed_gives_the_same_answer_again_and_another_one_another(rig: Rig, fields: Mapping[str, Any]) -> None:
    texts = [rig.sink.text(rig.ask("Hello", temperature=1.2, seed=seed, **fields)) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
