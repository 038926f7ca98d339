"""What an engine that speaks promises beside what `test_every_engine` asks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_kinds import HALTS, Halt
from listening_sink import PATIENCE_S
from voice_rig import VoiceRig, pcm, sounds, words

from inferd.errors import LoadFailed
from inferd.messages.events import TERMINALS, Cancelled
from inferd.messages.speech import AudioStarted, Spoken

TEXT = "Amber and birch. Cedar is next, then dahlia. Elder, fern and ginger."
LONG = "This is one of very many sentences that nobody will ever hear to the end. " * 40


@pytest.fixture(scope="module")
def rig(joe: Path) -> Iterator[VoiceRig]:
    """Yield one loaded voice for all cases that leave it as it was."""
    with VoiceRig(joe) as opened:
        yield opened


def test_a_load_tells_what_it_offers(rig: VoiceRig) -> None:
    assert rig.capacity.slots == 8
    assert rig.capacity.memory_bytes > 60 * 2**20


def test_a_speech_is_its_format_then_sound_and_words_then_one_end(rig: VoiceRig) -> None:
    stream = rig.say(TEXT, epoch=3)
    opening, *content, end = rig.sink.whole(stream)
    assert opening == AudioStarted(22_050, "", 3)
    assert {one.epoch for one in sounds(content)} == {one.epoch for one in words(content)} == {3}
    assert isinstance(end, Spoken)
    assert (end.model, end.queue_s, end.load_s, end.warnings) == ("me/model:1", 0.25, 0.5, ())
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


def test_the_counters_grow_with_the_work(rig: VoiceRig) -> None:
    before = dict(rig.engine.stats())
    end = rig.spoken(rig.say(TEXT))
    after = rig.engine.stats()
    assert after["steps"] - before["steps"] == 3
    assert after["characters"] - before["characters"] == len(TEXT)
    assert after["sound_s"] - before["sound_s"] == pytest.approx(end.duration_s)
    assert after["compute_s"] > before["compute_s"]


def test_a_sentence_without_end_is_due(rig: VoiceRig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.spoken(rig.say("One."))
    assert rig.engine.stats()["due"] == 0
    begun, goes = threading.Event(), threading.Event()
    run = rig.engine._voice.run

    def hanging(*asked: Any) -> object:  # noqa: ANN401 - passed on as it is
        begun.set()
        goes.wait()
        return run(*asked)

    monkeypatch.setattr(rig.engine._voice, "run", hanging)
    stream = rig.say("Two.")
    try:
        assert begun.wait(PATIENCE_S)
        rig.sink.sign()
        rig.sink.sign()
        assert rig.engine.stats()["due"] == 1
    finally:
        goes.set()
    rig.spoken(stream)
    assert rig.engine.stats()["due"] == 0


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
