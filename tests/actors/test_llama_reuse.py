"""What the llama.cpp engine keeps of ended requests: for whom, in which models, and that it changes no answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from engine_rig import Rig, distance

from inferd.messages.events import TokenLogprob
from inferd.messages.operations import Message
from inferd_actors import engines

pytestmark = pytest.mark.skipif(
    bool(engines.missing("llama_cpp")), reason="llama-cpp-python or jinja2 is not installed"
)

LONG = "You are given the minutes of a meeting; answer in one word. "
CLOSE = 0.1
"""As in `test_llama_batches`."""
ON_CPU = {"gpu_layers": 0}
"""For what comes back from the shelf: on a GPU it is read again, unless the model's state cannot be cut."""


@pytest.fixture
def rig(tiny_models: Mapping[str, Path]) -> Iterator[Rig]:
    with Rig(tiny_models["chat"], prefixes=1) as rig:
        yield rig


def alone(path: Path, text: str | tuple[Message, ...]) -> list[TokenLogprob]:
    """Return the answer of an engine that never saw anything else."""
    with Rig(path, slots=1, prefixes=0, shelf_bytes=0) as rig:
        return rig.tokens(rig.ask(text))


def test_the_next_request_of_an_app_begins_behind_what_is_the_same(tiny_models: Mapping[str, Path], rig: Rig) -> None:
    first, second = (rig.ask(LONG + end) for end in ("First?", "Second?"))
    usage = rig.finished(second).usage
    assert rig.cached(first) == 0
    assert len("Second?") < usage.prompt_tokens - usage.cached_tokens < usage.prompt_tokens // 2
    assert distance(alone(tiny_models["chat"], LONG + "Second?"), rig.tokens(second)) < CLOSE
    assert distance(rig.tokens(first), rig.tokens(second)) > CLOSE


@pytest.mark.parametrize(
    ("first_is_public", "second_is_public", "is_shared"),
    [(False, False, False), (True, False, False), (False, True, False), (True, True, True)],
)
def test_another_app_shares_a_prefix_if_both_say_so(
    rig: Rig, *, first_is_public: bool, second_is_public: bool, is_shared: bool
) -> None:
    rig.cached(rig.ask(LONG + "First?", salt="a", shared_prefix=first_is_public))
    second = rig.ask(LONG + "Second?", salt="b", shared_prefix=second_is_public)
    assert (rig.cached(second) > len(LONG) // 2) is is_shared
    assert rig.cached(second) == 0 or is_shared


def test_a_request_that_is_still_written_is_shared_too(rig: Rig) -> None:
    rig.begin(LONG + "First?", max_tokens=200, deltas=2)
    second = rig.ask_meanwhile(LONG + "Second?")
    rig.sink.let_go()
    assert rig.cached(second) > len(LONG) // 2


def test_a_prefix_that_left_the_cache_comes_back_from_the_shelf(tiny_models: Mapping[str, Path]) -> None:
    texts = [f"{letter} {LONG}" for letter in "ABCD"]
    with Rig(tiny_models["chat"], prefixes=1, **ON_CPU) as rig:
        for text in texts:
            assert rig.cached(rig.ask(text)) < len(LONG) // 2
        again = rig.ask(texts[0] + "And?")
        assert rig.cached(again) > len(LONG) // 2
        assert distance(alone(tiny_models["chat"], texts[0] + "And?"), rig.tokens(again)) < CLOSE


def test_without_a_shelf_and_with_one_place_an_older_prefix_is_gone(tiny_models: Mapping[str, Path]) -> None:
    with Rig(tiny_models["chat"], prefixes=1, shelf_bytes=0) as rig:
        for letter in "ABA":
            assert rig.cached(rig.ask(f"{letter} {LONG}")) < len(LONG) // 2


def test_what_ended_goes_on_as_a_conversation_without_being_read_again(rig: Rig) -> None:
    first = rig.tokens(rig.ask(LONG, max_tokens=12))
    second = rig.ask(LONG, max_tokens=24)
    assert rig.cached(second) == rig.finished(second).usage.prompt_tokens - 1
    assert distance(first, rig.tokens(second)[:12]) < CLOSE


@pytest.mark.parametrize("name", ["recurrent", "windowed"])
def test_a_state_that_cannot_be_cut_is_used_whole_or_not_at_all(tiny_models: Mapping[str, Path], name: str) -> None:
    """An answer that ended is longer than what the next prompt begins with, unless the prompt holds the answer too."""
    path = tiny_models[name]
    with Rig(path) as rig:
        rig.tokens(rig.ask(LONG + "First?"))
        other = rig.ask(LONG + "Second?")
        assert rig.cached(other) == 0
        assert distance(alone(path, LONG + "Second?"), rig.tokens(other)) < CLOSE


@pytest.mark.parametrize("name", ["chat", "recurrent", "windowed"])
@pytest.mark.parametrize("between", [0, 2], ids=["from the cache", "from the shelf"])
def test_a_conversation_goes_on_from_the_state_in_which_its_answer_ended(
    tiny_models: Mapping[str, Path], name: str, between: int
) -> None:
    path = tiny_models[name]
    with Rig(path, prefixes=1, **ON_CPU if between else {}) as rig:
        first = rig.ask(LONG)
        usage, words = rig.finished(first).usage, rig.sink.text(first)
        for other in range(between):
            rig.sink.whole(rig.ask(f"{other} {LONG}", salt="another"))
        talk = (Message("user", LONG), Message("assistant", words), Message("user", "Why?"))
        second = rig.ask(talk)
        assert rig.cached(second) == usage.prompt_tokens + usage.completion_tokens - 1
        assert distance(alone(path, talk), rig.tokens(second)) < CLOSE
