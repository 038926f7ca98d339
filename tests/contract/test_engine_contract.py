"""What every engine that writes promises, asked of the fake and of the real one alike; see also `test_every_engine`."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from engine_kinds import CONTEXT_TOKENS, HALTS, PROMPT, WRITERS, Halt, Kind, ask, halted_by_window, writer
from loaded_engine import LoadedEngine

from inferd.errors import LoadFailed
from inferd.messages.bounds import Blob
from inferd.messages.events import TERMINALS, Cancelled, Error, Finished, TextDelta, Usage
from inferd.messages.operations import Generate, ImageBlock, Message, TextBlock
from inferd_actors.engine import Engine

Bench = LoadedEngine[Engine]


@pytest.fixture(scope="module", params=WRITERS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return writer(request.param, request)


@pytest.fixture
def exact(kind: Kind) -> None:
    """Skip a test that compares two texts of one request where these may differ."""
    if not kind.is_exact:
        pytest.skip("on a GPU a text depends on what else is in the step")


@pytest.fixture(scope="module")
def shared(kind: Kind) -> Iterator[Bench]:
    """Yield one loaded engine for all cases that leave it as it was."""
    with kind.open() as bench:
        yield bench


def test_a_load_tells_what_it_offers(shared: Bench) -> None:
    assert shared.capacity.slots >= 1
    assert shared.capacity.context_tokens == CONTEXT_TOKENS


def test_an_answer_is_deltas_then_usage_then_one_end(shared: Bench) -> None:
    stream = shared.submit(ask())
    *deltas, usage, end = shared.sink.whole(stream)
    assert deltas
    assert all(isinstance(delta, TextDelta) and delta.text for delta in deltas)
    assert isinstance(usage, Usage)
    assert usage.prompt_tokens > 0
    assert 0 < usage.completion_tokens <= 24
    assert isinstance(end, Finished)
    assert (end.model, end.usage, end.queue_s, end.load_s) == ("me/model:1", usage, 0.25, 0.5)


def test_tokens_are_delivered_one_by_one(shared: Bench) -> None:
    stream = shared.submit(ask())
    shared.sink.whole(stream)
    of_stream = [[event for key, event in batch if key == stream] for batch in shared.sink.batches]
    assert max(sum(isinstance(event, TextDelta) for event in batch) for batch in of_stream) == 1


def test_max_tokens_ends_the_answer_with_length(shared: Bench) -> None:
    end = shared.sink.whole(shared.submit(ask(max_tokens=5)))[-1]
    assert isinstance(end, Finished)
    assert (end.stop_reason, end.usage.completion_tokens) == ("length", 5)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("sampling", [{"temperature": 0.0}, {"temperature": 1.0, "seed": 7}, {"seed": 2**32 - 1}])
def test_the_same_seed_gives_the_same_text(shared: Bench, sampling: Mapping[str, Any]) -> None:
    first, second = (shared.submit(ask(**{"temperature": None, **sampling})) for _ in range(2))
    assert shared.sink.text(first) == shared.sink.text(second) != ""


def test_a_cancelled_stream_ends_once_and_says_nothing_more(shared: Bench) -> None:
    stream = shared.submit(ask(max_tokens=400))
    shared.sink.deltas(stream, 3)
    shared.engine.cancel(stream, "app")
    shared.engine.cancel(stream, "shutdown")
    events = shared.sink.whole(stream)
    assert isinstance(events[-1], Cancelled)
    assert events[-1].reason == "app"
    assert events[-1].usage.completion_tokens < 400
    after = shared.submit(ask(max_tokens=3))
    shared.sink.whole(after)
    assert shared.sink.events(stream) == events


def test_a_stream_cancelled_before_its_first_step_ends_too(shared: Bench) -> None:
    working, waiting = shared.submit(ask(max_tokens=400)), shared.submit(ask(max_tokens=400))
    shared.engine.cancel(waiting, "disconnected")
    assert isinstance(shared.sink.whole(waiting)[-1], Cancelled)
    shared.engine.cancel(working, "app")
    shared.sink.whole(working)


def rounds_of(bench: Bench, number: int) -> None:
    """Return when the engine's loop has gone round so often; a halt ordered before is then obeyed after two."""
    for _ in range(number):
        bench.sink.sign()


@pytest.mark.usefixtures("exact")
@HALTS
def test_a_halted_stream_is_silent_and_goes_on_where_it_was(shared: Bench, halt: Halt) -> None:
    expected = shared.sink.text(shared.submit(ask()))
    stream = shared.submit(ask())
    shared.sink.deltas(stream, 2)
    halt(shared.engine, stream, halted=True)
    rounds_of(shared, 2)
    events = shared.sink.events(stream)
    rounds_of(shared, 1)
    assert shared.sink.events(stream) == events
    halt(shared.engine, stream, halted=False)
    assert shared.sink.text(stream) == expected


@pytest.mark.usefixtures("exact")
def test_a_stop_sequence_ends_the_answer_and_is_not_shown(shared: Bench) -> None:
    whole = shared.sink.text(shared.submit(ask(max_tokens=40)))
    middle = len(whole) // 2
    stop = whole[middle : middle + 7]  # some characters across tokens
    stream = shared.submit(ask(max_tokens=40, stop=(stop, "never to be found")))
    assert shared.sink.text(stream) == whole[: whole.index(stop)]
    end = shared.sink.whole(stream)[-1]
    assert isinstance(end, Finished)
    assert end.stop_reason == "stop_sequence"


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("tools", {"tools": ({"name": "look"},)}),
        ("response_format", {"response_format": {"type": "json_object"}}),
        ("thinking", {"thinking": "on"}),
        ("thinking_budget", {"thinking_budget": 10}),
    ],
)
def test_what_is_not_done_is_refused_by_name(shared: Bench, field: str, fields: Mapping[str, Any]) -> None:
    (error,) = shared.sink.whole(shared.submit(ask(**fields)))
    assert isinstance(error, Error)
    assert error.code == "unsupported_mode"
    assert dict(error.details or {})["field"] == f"body.{field}"


def test_a_conversation_that_does_not_fit_is_cut_with_a_warning_where_that_is_done(shared: Bench) -> None:
    asked, answered = Message("user", "one two three " * (CONTEXT_TOKENS // 10)), Message("assistant", "four")
    talk = Generate((asked, answered) * 8 + (Message("user", "Go on."),), max_tokens=4, truncate="oldest")
    end = shared.sink.whole(shared.submit(talk))[-1]
    if isinstance(end, Error):
        assert (end.code, dict(end.details or {})["field"]) == ("unsupported_mode", "body.truncate")
    else:
        assert isinstance(end, Finished)
        assert [one for one in end.warnings if one.startswith("truncate: the oldest ")]


def test_an_image_is_refused_by_its_place(shared: Bench) -> None:
    content = (TextBlock("What is this?"), ImageBlock(Blob(b"\x89PNG")))
    (error,) = shared.sink.whole(shared.submit(Generate((Message("user", content),))))
    assert isinstance(error, Error)
    assert dict(error.details or {})["field"] == "body.messages[0].content[1]"


def test_a_prompt_that_does_not_fit_is_refused_with_both_numbers(shared: Bench) -> None:
    (error,) = shared.sink.whole(shared.submit(ask("one two three " * CONTEXT_TOKENS)))
    assert isinstance(error, Error)
    details = dict(error.details or {})
    assert error.code == "context_overflow"
    assert details["context_tokens"] == CONTEXT_TOKENS
    assert isinstance(details["input_tokens"], int)
    assert details["input_tokens"] > CONTEXT_TOKENS


@pytest.mark.usefixtures("exact")
def test_text_blocks_are_one_text(shared: Bench) -> None:
    whole = shared.submit(ask())
    blocks = tuple(TextBlock(piece) for piece in (PROMPT[:20], PROMPT[20:]))
    pieces = shared.submit(Generate((Message("user", blocks),), max_tokens=24, temperature=0.0))
    assert shared.sink.text(pieces) == shared.sink.text(whole)


def test_the_counters_grow_with_the_work(shared: Bench) -> None:
    before = dict(shared.engine.stats())
    end = shared.sink.whole(shared.submit(ask(max_tokens=6)))[-1]
    assert isinstance(end, Finished)
    after = shared.engine.stats()
    assert after["completion_tokens"] - before["completion_tokens"] == end.usage.completion_tokens
    read = end.usage.prompt_tokens - end.usage.cached_tokens
    assert after["prompt_tokens"] - before["prompt_tokens"] == read
    assert after["steps"] > before["steps"]


def test_what_waits_for_the_engine_is_due_and_what_waits_for_its_app_is_not(shared: Bench) -> None:
    assert shared.engine.stats()["due"] == 0
    stream = shared.submit(ask(max_tokens=400))
    assert shared.engine.stats()["due"] >= 1
    shared.sink.deltas(stream, 2)
    halted_by_window(shared.engine, stream, halted=True)
    rounds_of(shared, 2)
    assert shared.engine.stats()["due"] == 0
    halted_by_window(shared.engine, stream, halted=False)
    assert shared.engine.stats()["due"] >= 1
    shared.engine.cancel(stream, "app")
    shared.sink.whole(stream)


def test_closing_ends_what_lives_and_then_nothing_is_said(kind: Kind) -> None:
    threads = set(threading.enumerate())
    bench = kind.open()
    working, waiting = (bench.submit(ask(max_tokens=400)) for _ in range(2))
    bench.sink.deltas(working, 2)
    late = bench.submit(ask())
    bench.engine.close()
    for stream in (working, waiting, late):
        events = bench.sink.events(stream)
        assert sum(isinstance(event, TERMINALS) for event in events) == 1
        assert isinstance(events[-1], Cancelled)
        assert events[-1].reason == "shutdown"
    assert set(threading.enumerate()) <= threads
    assert not bench.sink.failures


@pytest.mark.parametrize("options", [{"no_such_option": 1}, {"context_tokens": "512"}, {"context_tokens": True}])
def test_an_option_that_is_wrong_fails_the_load_by_name(kind: Kind, options: dict[str, str | float | bool]) -> None:
    with pytest.raises(LoadFailed, match=next(iter(options))) as failed:
        kind.open(**options)
    assert failed.value.details["cause"] == "engine"
