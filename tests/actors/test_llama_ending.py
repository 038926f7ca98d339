"""How requests of the llama.cpp engine end, and wait, wherever they are: on a tiny model, the engine held between steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from engine_rig import CONTEXT_TOKENS, Rig, distance
from tiny_models import MARKS, MERGES

from inferd.messages.events import TERMINALS, Cancelled, Error, Parked, Resumed
from inferd_actors import engines
from inferd_actors.engine import StreamId

pytestmark = pytest.mark.skipif(
    bool(engines.missing("llama_cpp")), reason="llama-cpp-python or jinja2 is not installed"
)

END = 256 + len(MERGES) + MARKS.index("<|im_end|>")
"""Token that ends an answer: behind one for each byte."""
CLOSE = 0.1
"""As in `test_llama_batches`."""


@pytest.fixture
def rig(tiny_models: Mapping[str, Path]) -> Iterator[Rig]:
    with Rig(tiny_models["chat"], slots=1) as rig:
        yield rig
        assert rig.sink.whole(rig.ask("Is somebody there?"))
        rig.sink.sign()  # what was given up has left
        assert rig.engine.stats()["busy"] == 0


def cancelled(rig: Rig, stream: StreamId) -> Cancelled:
    """Return how a cancelled stream ended, once and for all."""
    rig.engine.cancel(stream, "app")
    rig.engine.cancel(stream, "shutdown")
    rig.sink.let_go()
    events = rig.sink.whole(stream)
    end = events[-1]
    assert isinstance(end, Cancelled)
    assert end.reason == "app"
    assert sum(isinstance(event, TERMINALS) for event in events) == 1
    return end


def test_a_cancel_while_it_is_written_tells_how_far_it_came(rig: Rig) -> None:
    stream = rig.begin("Hello", max_tokens=200, deltas=5)
    end = cancelled(rig, stream)
    assert end.usage.completion_tokens == 5
    assert end.usage.prompt_tokens > 0


def test_a_cancel_while_its_prompt_is_read(tiny_models: Mapping[str, Path]) -> None:
    with Rig(tiny_models["chat"], context_tokens=2_048) as rig:
        writing = rig.begin("Hello", max_tokens=400, deltas=2)
        long = rig.ask_meanwhile("word " * 350)
        rig.sink.hold()
        end = cancelled(rig, long)
        assert (0 < end.usage.prompt_tokens < 1_750, end.usage.completion_tokens) == (True, 0)
        cancelled(rig, writing)


def test_an_answer_that_ends_before_its_first_token_has_its_prompt_counted(rig: Rig) -> None:
    expected = rig.finished(rig.ask("Say nothing", max_tokens=1)).usage.prompt_tokens
    mute = rig.finished(rig.ask("Say nothing", logit_bias={str(END): 100.0}))
    assert mute.stop_reason == "stop"
    assert (mute.usage.prompt_tokens, mute.usage.completion_tokens) == (expected, 0)


def test_a_cancel_while_it_waits_for_a_seat(rig: Rig) -> None:
    writing = rig.begin("Hello", max_tokens=200, deltas=2)
    waiting = rig.ask_meanwhile("And I?")
    assert cancelled(rig, waiting).usage.completion_tokens == 0
    assert rig.finished(writing).stop_reason == "length"


def test_a_cancel_while_it_is_parked(rig: Rig) -> None:
    low = rig.begin("Hello", priority="batch", max_tokens=200, deltas=5)
    spoken = rig.ask_meanwhile("Listen", priority="voice", max_tokens=200)
    written = len(rig.sink.deltas(low, 5))
    rig.sink.hold([spoken], 3)
    assert rig.sink.events(low)[-1] == Parked()
    assert cancelled(rig, low).usage.completion_tokens == written
    assert rig.finished(spoken).stop_reason == "length"


def test_a_cancel_while_it_is_halted_and_another_has_its_seat(rig: Rig) -> None:
    halted = rig.begin("Hello", max_tokens=200, deltas=2)
    other = rig.ask_meanwhile("And I?", priority="background", max_tokens=200)
    rig.engine.grant(halted, may_produce=False)
    rig.sink.hold([other], 2)
    cancelled(rig, halted)
    assert rig.finished(other).stop_reason == "length"


@pytest.mark.parametrize("by_app", [False, True], ids=["its window is closed", "the app pauses it"])
def test_a_halted_request_gives_its_seat_to_others_and_goes_on_later(
    tiny_models: Mapping[str, Path], rig: Rig, *, by_app: bool
) -> None:
    halted = rig.begin("Hello", max_tokens=60, deltas=3)
    other = rig.ask_meanwhile("And I?", priority="background")
    if by_app:
        rig.engine.pause(halted)
    else:
        rig.engine.grant(halted, may_produce=False)
    rig.sink.let_go()
    assert rig.finished(other).stop_reason == "length"
    assert rig.sink.events(halted)[-1] == Parked()
    if by_app:
        rig.engine.resume(halted)
    else:
        rig.engine.grant(halted, may_produce=True)
    answer = rig.tokens(halted)
    assert [event for event in rig.sink.events(halted) if isinstance(event, Resumed)] == [Resumed()]
    with Rig(tiny_models["chat"], slots=1, prefixes=0, shelf_bytes=0) as lone:
        assert distance(lone.tokens(lone.ask("Hello", max_tokens=60)), answer) < CLOSE


def test_a_request_that_is_parked_without_a_shelf_is_read_again(tiny_models: Mapping[str, Path]) -> None:
    with Rig(tiny_models["chat"], slots=1, shelf_bytes=0) as rig:
        low = rig.begin("Hello", priority="background", max_tokens=60, deltas=10)
        spoken = rig.ask_meanwhile("Listen", priority="voice")
        rig.sink.let_go()
        rig.sink.whole(spoken)
        answer = rig.tokens(low)
        assert rig.finished(low).usage.completion_tokens == 60
        assert rig.engine.stats()["parked"] == 1
    with Rig(tiny_models["chat"], slots=1, prefixes=0) as lone:
        assert distance(lone.tokens(lone.ask("Hello", max_tokens=60)), answer) < CLOSE


def test_closing_ends_the_parked_and_the_halted_too(tiny_models: Mapping[str, Path]) -> None:
    with Rig(tiny_models["chat"], slots=1) as rig:
        low = rig.begin("Hello", priority="batch", max_tokens=200, deltas=2)
        spoken = rig.ask_meanwhile("Listen", priority="voice", max_tokens=200)
        rig.sink.hold([spoken], 2)
        rig.engine.pause(spoken)
    for stream in (low, spoken):
        *_, end = rig.sink.events(stream)
        assert isinstance(end, Cancelled)
        assert end.reason == "shutdown"


def test_a_prompt_with_one_token_too_many_is_refused_and_one_that_fits_is_answered(rig: Rig) -> None:
    frame = rig.finished(rig.ask("", max_tokens=1)).usage.prompt_tokens
    room = CONTEXT_TOKENS - frame
    fits = rig.finished(rig.ask("x" * (room - 1), max_tokens=None))
    assert (fits.usage.prompt_tokens, fits.usage.completion_tokens) == (CONTEXT_TOKENS - 1, 1)
    (error,) = rig.sink.whole(rig.ask("x" * room))
    assert isinstance(error, Error)
    assert dict(error.details or {}) == {"input_tokens": CONTEXT_TOKENS, "context_tokens": CONTEXT_TOKENS}
