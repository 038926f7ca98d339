"""The echo engine: what it says, how its faults look from outside, and its uplink."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from listening_sink import ListeningSink

from inferd.errors import LoadFailed
from inferd.messages.bounds import Blob
from inferd.messages.control import Feed, Priority
from inferd.messages.events import AudioChunk, Cancelled, Error, Finished, Parked, Resumed, TextDelta, Usage
from inferd.messages.operations import Generate, Loopback, Message, Operation
from inferd_actors.engine import Capacity, StreamId, Submission
from inferd_actors.engines.desk import ALIVE_S
from inferd_actors.engines.echo import make
from inferd_actors.engines.echo.engine import Echo
from inferd_actors.engines.echo.mirror import AHEAD_BYTES, AHEAD_PIECES
from inferd_actors.engines.echo.pace import Pace


class Rig:
    """An echo engine and its sink."""

    def __init__(self) -> None:
        self.sink = ListeningSink()
        self.engine = make(self.sink)

    def load(self, **options: str | float | bool) -> Capacity:
        return self.engine.load("", options, lambda done, phase: None)

    def submit(self, number: int, operation: Operation, priority: Priority = "interactive") -> StreamId:
        stream = StreamId(number)
        self.engine.submit(Submission(stream, "inferd/echo:default", operation, priority, "salt", 0.0, 0.0))
        return stream

    def say(self, number: int, text: str, *, priority: Priority = "interactive", **fields: Any) -> StreamId:  # noqa: ANN401
        asked = Generate((Message("system", "Echo."), Message("user", text)), **fields)
        return self.submit(number, asked, priority)


Open = Callable[..., Rig]


@pytest.fixture
def open_rig() -> Iterator[Open]:
    rigs: list[Rig] = []

    def begin(**options: str | float | bool) -> Rig:
        rigs.append(Rig())
        rigs[-1].load(**options)
        return rigs[-1]

    yield begin
    for rig in rigs:
        rig.engine.close()
        assert not rig.sink.failures


def test_the_words_of_the_last_user_message_come_back_once(open_rig: Open) -> None:
    rig = open_rig()
    stream = rig.say(1, "  one two\nthree ")
    usage = Usage(prompt_tokens=4, completion_tokens=3)
    assert rig.sink.whole(stream) == [
        TextDelta("one "),
        TextDelta("two "),
        TextDelta("three"),
        usage,
        Finished("inferd/echo:default", "stop", usage),
    ]


def test_max_tokens_cuts_the_words_or_begins_them_again(open_rig: Open) -> None:
    rig = open_rig()
    assert rig.sink.text(rig.say(1, "one two three", max_tokens=2)) == "one two"
    assert rig.sink.text(rig.say(2, "one two three", max_tokens=5)) == "one two three one two"


def test_an_empty_message_has_an_empty_answer(open_rig: Open) -> None:
    rig = open_rig()
    usage, end = rig.sink.whole(rig.say(1, "   ", max_tokens=3))
    assert isinstance(end, Finished)
    assert (usage, end.usage.completion_tokens) == (Usage(prompt_tokens=1), 0)


def test_a_step_of_all_streams_is_one_batch() -> None:
    rig = Rig()
    streams = [rig.say(number, "one two three four") for number in range(1, 501)]
    rig.load(tokens_per_s=100.0)
    for stream in streams:
        assert rig.sink.text(stream) == "one two three four"
    rig.engine.close()
    assert [len({key for key, _ in batch}) for batch in rig.sink.batches] == [len(streams)] * 4
    assert rig.engine.stats()["steps"] == 4


@given(st.lists(st.floats(0.0, 0.2), min_size=1, max_size=50))
def test_a_late_loop_keeps_its_pace(delays: list[float]) -> None:
    pace, now_s, steps = Pace(10.0), 100.0, 0
    for delay_s in delays:
        while pace.due(now_s):
            steps += 1
        now_s += (pace.left_s(now_s) or 0.0) + delay_s
    while pace.due(now_s):
        steps += 1
    assert steps == pytest.approx(1 + (now_s - 100.0) * 10.0, abs=1)


def test_what_a_long_sleep_missed_is_not_made_up_for() -> None:
    pace = Pace(10.0)
    assert pace.due(0.0)
    burst = 0
    while pace.due(1_000.0):
        burst += 1
    assert burst <= 4
    pace.rest()
    assert [pace.due(2_000.0), pace.due(2_000.0)] == [True, False]


def test_nothing_to_do_is_no_work(open_rig: Open) -> None:
    rig = open_rig()
    stream = rig.say(1, "word", max_tokens=1_000_000)
    rig.sink.deltas(stream, 1)
    rig.engine.pause(stream)
    rig.sink.sign()
    rig.sink.sign()
    steps = rig.engine.stats()["steps"]
    rig.sink.sign()
    assert rig.engine.stats()["steps"] == steps


def test_memory_is_really_taken_and_given_back() -> None:
    size_bytes = 64 * 2**20
    before = resident_bytes()
    rig = Rig()
    assert rig.load(memory_bytes=size_bytes).memory_bytes == size_bytes
    assert resident_bytes() - before > size_bytes * 0.9
    rig.engine.close()
    assert resident_bytes() - before < size_bytes * 0.5


def resident_bytes() -> int:
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("no /proc here")
    line = next(line for line in status.read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("cause", ["file_missing", "file_corrupt", "no_memory", "engine"])
def test_a_load_fails_as_told(cause: str) -> None:
    with pytest.raises(LoadFailed) as failed:
        Rig().load(load_fails=cause)
    assert failed.value.details["cause"] == cause


def test_a_load_is_given_up_by_closing() -> None:
    sink = ListeningSink()
    engine, loading = Echo(sink), threading.Event()
    failed: list[LoadFailed] = []

    def load() -> None:
        try:
            engine.load("", {"load_s": 3_600.0}, lambda done, phase: loading.set())
        except LoadFailed as reason:
            failed.append(reason)

    thread = threading.Thread(target=load)
    thread.start()
    assert loading.wait(30)
    engine.close()
    thread.join(30)
    assert [reason.details["cause"] for reason in failed] == ["engine"]


def test_a_hanging_engine_says_nothing_more_not_even_that_it_lives(open_rig: Open) -> None:
    rig = open_rig(hang_after_tokens=3, tokens_per_s=100.0)
    stream = rig.say(1, "word", max_tokens=1_000)
    rig.sink.deltas(stream, 3)
    while not rig.sink.is_silent(for_s=2 * ALIVE_S):
        assert rig.sink.deltas(stream, 3) == ["word "] * 3
    rig.engine.cancel(stream, "app")
    assert rig.sink.is_silent(for_s=0.05)
    assert rig.sink.events(stream) == [TextDelta("word ")] * 3
    rig.engine.close()
    assert isinstance(rig.sink.events(stream)[-1], Cancelled)


def test_a_stuck_engine_gives_signs_obeys_and_makes_no_step(open_rig: Open) -> None:
    rig = open_rig(stick_after_tokens=3, tokens_per_s=100.0)
    stream, other = rig.say(1, "word", max_tokens=1_000), rig.say(2, "word", max_tokens=1_000)
    rig.sink.deltas(stream, 3)
    rig.sink.sign()
    steps = rig.engine.stats()["steps"]
    rig.sink.sign()
    assert (rig.engine.stats()["steps"], rig.engine.stats()["due"]) == (steps, 2)
    for one in (stream, other):
        rig.engine.cancel(one, "app")
        assert isinstance(rig.sink.whole(one)[-1], Cancelled)
    assert rig.engine.stats()["due"] == 0


PRELUDE = """
import resource, sys
sys.path[:0] = {paths!r}
from inferd.errors import LoadFailed
from test_echo import Rig
rig = Rig()
"""


def run_alone(code: str) -> subprocess.CompletedProcess[str]:
    """Return how a process ended that makes a rig and does this."""
    here = Path(__file__).parent
    prelude = PRELUDE.format(paths=[str(here), str(here.parent / "fakes")])
    return subprocess.run(
        [sys.executable, "-c", prelude + code], capture_output=True, timeout=60, check=False, text=True
    )


def test_a_crash_ends_the_process_in_the_middle_of_a_stream() -> None:
    ended = run_alone("""
rig.load(crash_after_tokens=3, tokens_per_s=50.0)
stream = rig.say(1, "word", max_tokens=10)
rig.sink.deltas(stream, 3)
print("three", flush=True)
rig.sink.whole(stream)
""")
    assert (ended.stdout, ended.returncode) == ("three\n", -SIGKILL), ended.stderr


def test_memory_that_is_not_there_fails_the_load() -> None:
    ended = run_alone("""
resource.setrlimit(resource.RLIMIT_AS, (2 * 2**30, 2 * 2**30))
try:
    rig.load(memory_bytes=4 * 2**30)
except LoadFailed as failed:
    print(failed.details["cause"])
""")
    assert ended.stdout == "no_memory\n", ended.stderr


# --- slots


def test_without_parking_who_came_first_stays(open_rig: Open) -> None:
    rig = open_rig(slots=1, tokens_per_s=100.0)
    first = rig.say(1, "one two three four")
    rig.sink.deltas(first, 1)
    second = rig.say(2, "one", priority="voice")
    assert rig.sink.text(second) == "one"
    assert isinstance(rig.sink.events(first)[-1], Finished)
    assert Parked() not in rig.sink.events(first)


def test_with_parking_the_more_urgent_takes_the_slot_and_the_other_resumes(open_rig: Open) -> None:
    rig = open_rig(slots=1, can_park=True, tokens_per_s=100.0)
    slow = rig.say(1, "one two three four five six", priority="batch")
    rig.sink.deltas(slow, 2)
    urgent = rig.say(2, "now", priority="voice")
    assert rig.sink.text(urgent) == "now"
    assert rig.sink.text(slow) == "one two three four five six"
    kinds = [type(event) for event in rig.sink.events(slow) if isinstance(event, Parked | Resumed)]
    assert kinds == [Parked, Resumed]


# --- the uplink


def piece(seq: int, data: bytes = b"\1\0\2\0", offset: int = 0) -> Feed:
    return Feed(1, seq, offset, Blob(data))


def test_fed_sound_comes_back_as_it_was(open_rig: Open) -> None:
    rig = open_rig()
    stream = rig.submit(1, Loopback(24_000))
    assert rig.sink.window(stream) == (AHEAD_PIECES, AHEAD_BYTES)
    rig.engine.feed(stream, piece(1, b"\1\0\2\0"))
    rig.engine.feed(stream, piece(2, b"\3\0", offset=2))
    rig.engine.finish(stream)
    assert rig.sink.whole(stream) == [
        AudioChunk(Blob(b"\1\0\2\0"), 24_000, first_sample=0),
        AudioChunk(Blob(b"\3\0"), 24_000, first_sample=2),
        Usage(),
        Finished("inferd/echo:default"),
    ]


def test_the_window_moves_on_as_pieces_are_returned(open_rig: Open) -> None:
    rig = open_rig()
    stream = rig.submit(1, Loopback())
    limit_seq, _ = rig.sink.window(stream)
    for seq in range(1, 4 * limit_seq + 1):
        rig.sink.window(stream, at_least=seq)
        rig.engine.feed(stream, piece(seq))
    rig.engine.finish(stream)
    assert sum(isinstance(event, AudioChunk) for event in rig.sink.whole(stream)) == 4 * limit_seq


def test_a_halted_loopback_keeps_what_it_was_fed_and_opens_no_window(open_rig: Open) -> None:
    rig = open_rig()
    stream = rig.submit(1, Loopback())
    window = rig.sink.window(stream)
    rig.engine.grant(stream, may_produce=False)
    for seq in range(1, window[0] + 1):
        rig.engine.feed(stream, piece(seq))
    rig.engine.finish(stream)
    other = rig.say(2, "word")
    rig.sink.whole(other)
    assert rig.sink.events(stream) == []
    assert rig.sink.window(stream) == window
    rig.engine.grant(stream, may_produce=True)
    assert sum(isinstance(event, AudioChunk) for event in rig.sink.whole(stream)) == window[0]


@pytest.mark.parametrize("wrong", [Feed(1, 1, data=Blob(b"\1")), Feed(1, 1, text="words")])
def test_a_piece_that_is_no_sound_ends_the_stream(open_rig: Open, wrong: Feed) -> None:
    rig = open_rig()
    stream = rig.submit(1, Loopback())
    rig.engine.feed(stream, wrong)
    (error,) = rig.sink.whole(stream)
    assert isinstance(error, Error)
    assert (error.code, dict(error.details or {})["field"]) == ("invalid_request", "data")
