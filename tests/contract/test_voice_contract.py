"""What every engine promises, asked of the one that speaks: see `test_engine_contract` for those that write."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import speech_models
from voice_rig import VoiceRig, pcm, sounds, words

from inferd.errors import LoadFailed
from inferd.messages.bounds import Blob
from inferd.messages.control import Feed
from inferd.messages.events import TERMINALS, Cancelled, Error
from inferd.messages.operations import ListModels
from inferd.messages.speech import AudioStarted, Spoken
from inferd_actors import engines
from inferd_actors.engine import Engine, StreamId

TEXT = "Amber and birch. Cedar is next, then dahlia. Elder, fern and ginger."
LONG = "This is one of very many sentences that nobody will ever hear to the end. " * 40


@pytest.fixture(scope="module")
def joe() -> Path:
    if absent := engines.missing("piper"):
        pytest.skip(f"not installed: {', '.join(absent)}")
    try:
        return speech_models.joe()
    except OSError as reason:
        pytest.skip(f"no voice: {reason}")


@pytest.fixture(scope="module")
def rig(joe: Path) -> Iterator[VoiceRig]:
    """Yield one loaded voice for all cases that leave it as it was."""
    with VoiceRig(joe) as opened:
        yield opened


def test_a_load_reports_progress_and_what_it_offers(rig: VoiceRig) -> None:
    assert rig.capacity.slots == 8
    assert rig.capacity.memory_bytes > 60 * 2**20
    assert rig.progress
    assert all(0.0 <= done <= 1.0 for done, _ in rig.progress)


def test_a_speech_is_its_format_then_sound_and_words_then_one_end(rig: VoiceRig) -> None:
    stream = rig.say(TEXT, epoch=3)
    opening, *content, end = rig.sink.whole(stream)
    assert opening == AudioStarted(22_050, "", 3)
    assert {one.epoch for one in sounds(content)} == {one.epoch for one in words(content)} == {3}
    assert isinstance(end, Spoken)
    assert (end.model, end.queue_s, end.load_s, end.warnings) == ("me/voice:1", 0.25, 0.5, ())
    assert end.duration_s == pytest.approx(len(pcm(content)) / 2 / 22_050)
    assert end.compute_s > 0


def test_chunks_follow_each_other_without_a_gap_and_are_short(rig: VoiceRig) -> None:
    at = 0
    for chunk in sounds(rig.sink.whole(rig.say(TEXT))):
        assert chunk.first_sample == at
        assert 0.02 <= len(chunk.pcm) / 2 / chunk.rate_hz <= 0.1
        at += len(chunk.pcm) // 2


def test_text_that_is_fed_sounds_like_text_that_is_given(rig: VoiceRig) -> None:
    whole = rig.say(TEXT)
    fed = rig.open(*(TEXT[at : at + 3] for at in range(0, len(TEXT), 3)))
    rig.engine.finish(fed)
    assert pcm(rig.sink.whole(fed)) == pcm(rig.sink.whole(whole)) != b""


def test_the_uplink_is_opened_at_once_and_again_as_text_is_used(rig: VoiceRig) -> None:
    stream = rig.open()
    pieces, size_bytes = rig.sink.window(stream)
    assert pieces >= 1_000
    assert size_bytes >= 64 * 2**10
    rig.feed(stream, *["😀" for _ in range(pieces)])
    assert rig.sink.window(stream, pieces + 1)[0] > pieces
    rig.engine.cancel(stream, "app")
    rig.cancelled(stream)


def test_a_cancelled_stream_ends_once_and_says_nothing_more(rig: VoiceRig) -> None:
    stream = rig.say(LONG)
    rig.chunks(stream, 3)
    rig.engine.cancel(stream, "app")
    rig.engine.cancel(stream, "shutdown")
    events = rig.sink.whole(stream)
    assert isinstance(events[-1], Cancelled)
    assert events[-1].reason == "app"
    rig.spoken(rig.say("After it."))
    assert rig.sink.events(stream) == events


def test_a_stream_cancelled_before_its_first_sound_ends_too(rig: VoiceRig) -> None:
    working, waiting, silent = rig.say(LONG), rig.say(LONG), rig.open()
    for stream in (waiting, silent):
        rig.engine.cancel(stream, "disconnected")
        rig.cancelled(stream)
        assert not sounds(rig.sink.events(stream))
    rig.engine.cancel(working, "app")
    rig.cancelled(working)


def halted_by_window(engine: Engine, stream: StreamId, *, halted: bool) -> None:
    engine.grant(stream, may_produce=not halted)


def halted_by_app(engine: Engine, stream: StreamId, *, halted: bool) -> None:
    (engine.pause if halted else engine.resume)(stream)


Halt = Callable[..., None]
HALTS = pytest.mark.parametrize("halt", [halted_by_window, halted_by_app])


@HALTS
def test_a_halted_stream_is_silent_and_goes_on_where_it_was(rig: VoiceRig, halt: Halt) -> None:
    expected = pcm(rig.sink.whole(rig.say(TEXT)))
    stream = rig.say(TEXT)
    halt(rig.engine, stream, halted=True)
    for _ in range(3):
        rig.sink.sign()
    events = rig.sink.events(stream)
    rig.sink.sign()
    assert rig.sink.events(stream) == events
    assert len(sounds(events)) < len(expected) // 2 // 882
    halt(rig.engine, stream, halted=False)
    assert pcm(rig.sink.whole(stream)) == expected


@HALTS
def test_a_halted_stream_can_be_cancelled(rig: VoiceRig, halt: Halt) -> None:
    stream = rig.say(LONG)
    rig.chunks(stream)
    halt(rig.engine, stream, halted=True)
    rig.engine.cancel(stream, "slow_reader")
    assert rig.cancelled(stream).reason == "slow_reader"


def test_another_operation_is_refused(rig: VoiceRig) -> None:
    (error,) = rig.sink.whole(rig.submit(ListModels()))
    assert isinstance(error, Error)
    assert error.code == "unsupported_mode"


def test_words_about_unknown_streams_change_nothing(rig: VoiceRig) -> None:
    unknown = StreamId(10**9)
    rig.engine.cancel(unknown, "app")
    rig.engine.grant(unknown, may_produce=False)
    rig.engine.pause(unknown)
    rig.engine.resume(unknown)
    rig.engine.played(unknown, 0, 10)
    rig.engine.feed(unknown, Feed(1, 1, data=Blob(b"")))
    rig.engine.finish(unknown)
    rig.spoken(rig.say("One."))
    assert rig.sink.events(unknown) == []


def test_an_idle_loop_gives_signs_of_life(rig: VoiceRig) -> None:
    rig.sink.sign()
    rig.sink.sign()
    assert rig.engine.stats()["busy"] == 0


def test_the_counters_grow_with_the_work(rig: VoiceRig) -> None:
    before = dict(rig.engine.stats())
    end = rig.spoken(rig.say(TEXT))
    after = rig.engine.stats()
    assert after["steps"] - before["steps"] == 3
    assert after["characters"] - before["characters"] == len(TEXT)
    assert after["sound_s"] - before["sound_s"] == pytest.approx(end.duration_s)
    assert after["compute_s"] > before["compute_s"]


def test_closing_ends_what_lives_and_then_nothing_is_said(joe: Path) -> None:
    threads = set(threading.enumerate())
    rig = VoiceRig(joe)
    working, fed = rig.say(LONG), rig.open("A clause that is waiting, ")
    rig.chunks(working)
    late = rig.say(LONG)
    rig.engine.close()
    for stream in (working, fed, late):
        events = rig.sink.events(stream)
        assert sum(isinstance(event, TERMINALS) for event in events) == 1
        assert isinstance(events[-1], Cancelled)
        assert events[-1].reason == "shutdown"
    assert set(threading.enumerate()) <= threads
    assert not rig.sink.failures


@pytest.mark.parametrize("options", [{"no_such_option": 1}, {"slots": "8"}, {"threads": True}, {"chunk_ms": 5}])
def test_an_option_that_is_wrong_fails_the_load_by_name(joe: Path, options: dict[str, str | float | bool]) -> None:
    with pytest.raises(LoadFailed, match=next(iter(options))) as failed:
        VoiceRig(joe, **options)
    assert failed.value.details["cause"] == "engine"
