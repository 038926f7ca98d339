"""One spoken stream without a voice: a made-up one takes 100 ms for each phoneme, and each letter is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.errors import InvalidRequest
from inferd.messages.events import AudioChunk
from inferd.messages.speech import Spoken, Synthesize, SynthesizeStream, Word
from inferd_actors.engine import EngineEvent, StreamId, Submission
from inferd_actors.engines.piper.jobs import Manner, Timed
from inferd_actors.engines.piper.narration import IDLE_S, READY_MS, SLICE_CHARS, SLICES, Frame, Narration
from inferd_actors.engines.piper.words import words_of

RATE_HZ = 8_000
LETTER_MS = 100
LETTER_SAMPLES = RATE_HZ * LETTER_MS // 1000
TEXT = "Once **upon** a time, there was [a king](http://x.y) of the whole world. He had `three` daughters; they sang! 你好。"


def ends(text: str) -> list[int]:
    return [at + 1 for at, one in enumerate(text) if at and text[at - 1] in ".!?" and one == " "] + [len(text)]


def narration(operation: Synthesize | SynthesizeStream) -> Narration:
    submission = Submission(StreamId(1), "m", operation, "voice", "", 0.0, 0.0)
    return Narration(submission, operation, 1, Manner(0, (0.0, 1.0, 0.0), 1.0), Frame(RATE_HZ, 40), ends)


def speak(live: Narration, now_s: float) -> list[str]:
    """Compute what it wants; return the pieces."""
    spoken = []
    while live.wants_turn(now_s):
        piece = live.take()
        spoken.append(piece.text)
        timed, n_letters = [], 0
        for word in words_of(piece.text, piece.origins):
            begin, n_letters = n_letters, n_letters + len(word.text)
            timed.append(Timed(word, begin * LETTER_SAMPLES, n_letters * LETTER_SAMPLES, estimated=False))
        live.made(bytes(2 * LETTER_SAMPLES * n_letters), timed)
        live.spoken()
    return spoken


def whole(operation: Synthesize) -> tuple[Narration, list[EngineEvent]]:
    live, events = narration(operation), list[EngineEvent]()
    live.feed(operation.text, 0.0)
    live.finish()
    while not live.has_ended:
        speak(live, 0.0)
        events += live.due(0.0)
    return live, events


@given(st.integers(0, 12_000))
def test_what_was_heard_is_a_prefix_at_a_words_border_for_every_moment(played_ms: int) -> None:
    live, events = whole(Synthesize(TEXT))
    live.played(0, played_ms)
    heard = live.heard()
    assert heard is not None
    ended = [event for event in events if isinstance(event, Word) and event.end_ms <= played_ms]
    assert heard.text == TEXT[: heard.chars]
    assert heard.played_ms == played_ms
    assert bool(heard.text) == bool(ended)
    if ended:
        following = TEXT[heard.chars : heard.chars + 1]
        assert ended[-1].end_char <= heard.chars
        assert not following or following.isspace()


def test_all_that_was_played_was_heard() -> None:
    live, _ = whole(Synthesize(TEXT))
    live.played(0, 100_000)
    heard = live.heard()
    assert heard is not None
    assert heard.text == TEXT


@given(st.lists(st.tuples(st.sampled_from("frph"), st.integers(1, 900)), max_size=40))
def test_sound_is_never_more_than_a_second_ahead_and_waits_in_bounds(events: list[tuple[str, int]]) -> None:
    live = narration(SynthesizeStream())
    now_s, played_ms, sent_ms, fed = 0.0, 0, 0.0, 0
    live.played(0, 0)
    for what, number in events:
        match what:
            case "f":
                live.feed(TEXT[fed : fed + number], now_s)
                fed += number
            case "r":
                played_ms += number
                live.played(0, played_ms)
            case "p":
                now_s += number / 100
            case "h":
                live.hold(now_s, held=not live.held)
        speak(live, now_s)
        sent = [event for event in live.due(now_s) if isinstance(event, AudioChunk)]
        sent_ms += sum(1000 * len(event.pcm) / 2 / RATE_HZ for event in sent)
        assert not (sent and live.held)
        assert not sent or sent_ms <= played_ms + 1_000 + 40
        assert live.ahead_ms(now_s) <= 1_040 + READY_MS + 300 * LETTER_MS
        wait_s = live.wait_s(now_s)
        assert wait_s is None or wait_s >= 0


def test_the_clock_is_never_asked_again_for_what_it_has_done() -> None:
    """A loop that sleeps as long as it is told would otherwise never sleep."""
    live = narration(SynthesizeStream())
    live.feed("Wat", 0.0)
    assert speak(live, 0.1) == []
    assert live.wait_s(0.1) == pytest.approx(IDLE_S - 0.1)
    assert speak(live, IDLE_S) == []
    assert live.wait_s(IDLE_S) is None
    live.feed("er there", 5.0)
    assert speak(live, 5.0) == []
    assert live.wait_s(5.0) == pytest.approx(IDLE_S)
    assert speak(live, 5.0 + IDLE_S) == ["Water "]


def test_a_hungry_listener_gets_the_clause_that_there_is() -> None:
    live = narration(SynthesizeStream())
    live.feed("This is the first. And then we went home again, because it ", 0.0)
    assert speak(live, 0.0) == ["This is the first. "]
    assert list(live.due(0.0))
    assert list(live.due(1.0))
    assert speak(live, 1.0) == []
    live.feed("was ", 10.0)
    assert speak(live, 10.0) == ["And then we went home again,"]


def test_a_second_finish_and_an_end_without_text_are_one_end() -> None:
    live = narration(SynthesizeStream())
    live.finish()
    live.finish()
    (end,) = live.due(0.0)
    assert isinstance(end, Spoken)
    assert end.warnings


def test_too_much_text_is_refused_with_the_limit() -> None:
    live = narration(SynthesizeStream())
    live.feed("a" * (8 * 2**20), 0.0)
    with pytest.raises(InvalidRequest, match="8,388,608"):
        live.feed("b", 0.0)


@pytest.mark.parametrize("mute", ["\U0001f600", " ", "\n", "*"])
def test_much_text_without_words_is_read_a_little_at_a_time(mute: str) -> None:
    """The loop that reads it is that of all who speak."""
    live, size = narration(SynthesizeStream()), 200_000
    live.feed(mute * size, 0.0)
    live.finish()
    looks = 0
    while not live.has_ended:
        speak(live, 0.0)
        looks += 1
        ended = [event for event in live.due(0.0) if isinstance(event, Spoken)]
        assert ended or live.wait_s(0.0) == 0
    assert looks >= size / (2 * SLICES * SLICE_CHARS)


@given(st.binary(min_size=0, max_size=4_000).map(lambda one: one[: len(one) // 2 * 2]))
def test_chunks_together_are_the_sound_and_none_is_too_long(sound: bytes) -> None:
    chunks = Frame(RATE_HZ, 40).chunks(sound)
    assert b"".join(chunks) == sound
    assert all(0 < len(chunk) <= 2 * 320 for chunk in chunks)
    assert len(sound) < 2 * 320 or all(len(chunk) >= 2 * 160 for chunk in chunks)
