"""The piper engine with a real voice: interruptions, what was heard, loudness, several streams, input that is wrong."""

from __future__ import annotations

import random
import time
from array import array
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from voice_rig import VoiceRig, pcm, sounds

from inferd.errors import LoadFailed
from inferd.messages.bounds import Blob
from inferd.messages.control import Feed
from inferd.messages.events import TERMINALS, Error
from inferd.messages.speech import AudioStarted, Heard
from inferd_actors.engine import StreamId

CLAUSE = "I would like to tell you a short story,"
STORY = (
    "Once upon a time there was a **king** who had [three daughters](http://x.y), and all of them were clever. "
    "The first one could count to 2024 without a pause. The second one knew the names of the stars. "
    "The third one, who was the youngest, asked why.\n\n"
) * 6
SHORT = "Yes, of course."
DESCRIPTION = b"""{"num_symbols": 1, "num_speakers": 1, "audio": {"sample_rate": %b},
    "espeak": {"voice": %b}, "phoneme_id_map": %b}"""
WORDS = ("The", "king", "had", "three", "daughters", "in", "2024,", "and", "all", "of", "them", "laughed.")
MS_SAMPLES = 22.05


@pytest.fixture(scope="module")
def rig(joe: Path) -> Iterator[VoiceRig]:
    with VoiceRig(joe) as opened:
        yield opened


def samples(sound: bytes) -> array[int]:
    return array("h", sound)


def peak(sound: bytes) -> int:
    return max(map(abs, samples(sound)))


def refused(rig: VoiceRig, stream: StreamId) -> Error:
    error = rig.sink.whole(stream)[-1]
    assert isinstance(error, Error), error
    return error


# --- early


def test_the_format_is_said_before_there_is_any_text(rig: VoiceRig) -> None:
    stream = rig.open(epoch=7)
    rig.sink.wait(lambda: bool(rig.sink.events(stream)))
    assert rig.sink.events(stream) == [AudioStarted(22_050, "", 7)]
    rig.engine.cancel(stream, "app")
    rig.cancelled(stream)


def test_the_first_clause_sounds_before_the_second_is_written(rig: VoiceRig) -> None:
    stream = rig.open("I would like to tell", " you a short story,")
    assert rig.chunks(stream)
    rig.engine.cancel(stream, "app")
    rig.cancelled(stream)


def test_text_that_stops_in_a_sentence_is_spoken_up_to_its_last_whole_word(rig: VoiceRig) -> None:
    stream = rig.open("Let me th", "ink about th")
    assert [word.text for word in rig.words(stream, 4)] == ["Let", "me", "think", "about"]
    rig.feed(stream, "is.")
    rig.engine.finish(stream)
    rig.spoken(stream)
    assert [word.text for word in rig.words(stream)][4:] == ["this."]


# --- words


def test_words_have_times_in_order_and_places_in_the_source(rig: VoiceRig) -> None:
    source = "The **king** had [three daughters](http://x.y) in 2024, and  `all_of` them laughed."
    stream = rig.say(source)
    duration_ms = 1000 * rig.spoken(stream).duration_s
    found = rig.words(stream)
    assert [word.text for word in found] == list(WORDS)
    assert [source[word.first_char : word.end_char] for word in found[:7]] == list(WORDS[:7])
    assert all(one.start_ms <= one.end_ms <= two.start_ms + 1 for one, two in pairwise(found))
    assert found[-1].end_ms <= duration_ms
    assert sum(word.estimated for word in found) <= 4


def test_a_word_sounds_when_it_is_said_to_sound(rig: VoiceRig) -> None:
    """Before the first word and behind the last one the voice is silent; in each of them it is not."""
    stream = rig.say("Amber. Birch. Cedar.")
    sound = samples(pcm(rig.sink.whole(stream)))
    loudest = peak(sound.tobytes())
    found = rig.words(stream)
    for word in found:
        assert max(map(abs, sound[int(word.start_ms * MS_SAMPLES) : int(word.end_ms * MS_SAMPLES)])) > 0.2 * loudest
    for one, two in pairwise(found):
        middle = int((one.end_ms + two.start_ms) / 2 * MS_SAMPLES)
        assert max(map(abs, sound[middle - 100 : middle + 100])) < 0.1 * loudest


# --- interruption


def test_a_cancel_at_any_moment_ends_the_stream_and_harms_nobody(rig: VoiceRig) -> None:
    """The next request and another stream on the same voice sound as they would alone, though a run was stopped for each."""
    expected = pcm(rig.sink.whole(rig.say(SHORT)))
    alone = pcm(rig.sink.whole(rig.say(STORY[:330])))
    bystander = rig.say(STORY[:330], "batch")
    moments = random.Random(3)  # noqa: S311 - moments, not secrets
    for _ in range(6):
        stream = rig.say(STORY, "voice")
        if moments.random() < 0.5:
            rig.chunks(stream, moments.randrange(1, 60))
        else:
            time.sleep(moments.random() / 20)  # the moment itself is the case; nothing is waited for
        rig.engine.cancel(stream, "app")
        events = rig.sink.whole(stream)
        assert rig.cancelled(stream).reason == "app"
        assert pcm(rig.sink.whole(rig.say(SHORT, "voice"))) == expected
        assert rig.sink.events(stream) == events
    assert pcm(rig.sink.whole(bystander)) == alone


def test_a_cancel_before_the_first_sound_leaves_the_next_request_unharmed(rig: VoiceRig) -> None:
    stream = rig.say(STORY, "voice")
    rig.engine.cancel(stream, "app")
    rig.cancelled(stream)
    assert not sounds(rig.sink.events(stream))
    assert pcm(rig.sink.whole(rig.say(CLAUSE)))


def test_what_was_heard_ends_with_the_last_word_that_was_played(rig: VoiceRig) -> None:
    stream = rig.open(STORY[:200], epoch=1)
    rig.engine.played(stream, 1, 0)
    rig.words(stream, 4)
    third = rig.words(stream)[2]
    rig.engine.played(stream, 1, third.end_ms)
    rig.engine.played(stream, 1, third.start_ms)  # late news
    rig.engine.cancel(stream, "app")
    heard = rig.cancelled(stream).heard
    assert heard == Heard(STORY[: third.end_char], third.end_char, third.end_ms)


def test_without_a_report_nobody_claims_to_know_what_was_heard(rig: VoiceRig) -> None:
    stream = rig.open(STORY[:200], epoch=2)
    rig.chunks(stream, 4)
    rig.engine.played(stream, 1, 500)  # of another epoch
    rig.engine.cancel(stream, "app")
    assert rig.cancelled(stream).heard is None


def test_a_player_that_reports_is_kept_about_a_second_ahead(rig: VoiceRig) -> None:
    stream = rig.open(STORY)
    for played_ms in (0, 700, 2_000):
        rig.engine.played(stream, 0, played_ms)
        rig.sink.wait(lambda ms=played_ms: length_ms(rig, stream) >= ms + 1_000)  # type: ignore[misc]
        rig.sink.sign()
        assert length_ms(rig, stream) <= played_ms + 1_100
    rig.engine.cancel(stream, "app")
    rig.cancelled(stream)


def length_ms(rig: VoiceRig, stream: StreamId) -> float:
    return len(pcm(rig.sink.events(stream))) / 2 / MS_SAMPLES


# --- loudness


def test_sentences_are_as_loud_apart_as_together(rig: VoiceRig) -> None:
    """Within 3 dB, as it is with one gain for all: a voice that were normalised would be equally loud everywhere."""
    sentences = (
        "The river runs quietly to the sea.",
        "Who opened the big window?",
        "Nobody had seen anything like it!",
    )
    apart = [peak(pcm(rig.sink.whole(rig.say(one)))) for one in sentences]
    together = peak(pcm(rig.sink.whole(rig.say(" ".join(sentences)))))
    assert all(together / 2**0.5 <= one <= together * 2**0.5 for one in apart), (apart, together)
    assert max(apart) == pytest.approx(together, rel=0.01)
    assert 0.35 * 32_767 < together < 32_767


def test_volume_and_rate_are_obeyed(rig: VoiceRig) -> None:
    streams = rig.say(CLAUSE), rig.say(CLAUSE, volume=0.5), rig.say(CLAUSE, rate=2.0)
    plain, quiet, fast = map(rig.sink.whole, streams)
    assert peak(pcm(quiet)) == pytest.approx(peak(pcm(plain)) / 2, rel=0.01)
    assert len(pcm(fast)) < 0.75 * len(pcm(plain))
    assert peak(pcm(rig.sink.whole(rig.say(CLAUSE, volume=0.0)))) == 0


# --- several streams


def test_a_voice_turn_is_spoken_while_a_long_text_of_a_lower_class_still_is(rig: VoiceRig) -> None:
    batch = rig.say(STORY, "batch")
    rig.chunks(batch)
    rig.spoken(rig.say(SHORT, "voice"))
    assert not isinstance(rig.sink.events(batch)[-1], TERMINALS)
    rig.engine.cancel(batch, "app")
    rig.cancelled(batch)


def test_streams_of_one_class_speak_at_the_same_time(rig: VoiceRig) -> None:
    streams = [rig.open(STORY) for _ in range(3)]
    for stream in streams:
        rig.chunks(stream, 10)
    rig.engine.cancel(streams[0], "app")
    rig.cancelled(streams[0])
    for stream in streams[1:]:
        rig.chunks(stream, 20)
        rig.engine.cancel(stream, "app")
        rig.cancelled(stream)


# --- input that is wrong


@pytest.mark.parametrize("text", ["😀", "**", "```\nx = 1\n```", "---\n", "—"])
def test_a_text_without_words_is_spoken_as_nothing_and_says_so(rig: VoiceRig, text: str) -> None:
    for stream in (rig.say(text), rig.open(text)):
        rig.engine.finish(stream)
        end = rig.spoken(stream)
        assert (end.duration_s, end.warnings) == (0.0, ("nothing of the text can be spoken",))


def test_a_stream_that_is_finished_without_text_ends(rig: VoiceRig) -> None:
    stream = rig.open()
    rig.engine.finish(stream)
    assert rig.spoken(stream).duration_s == 0


def test_an_empty_text_and_half_characters_are_refused_by_name(rig: VoiceRig) -> None:
    for stream, field in (
        (rig.say(""), "body.text"),
        (rig.say("a \ud800 b"), "body.text"),
        (rig.open("a", "\udfff"), "text"),
    ):
        error = refused(rig, stream)
        assert error.code == "invalid_request"
        assert dict(error.details or {})["field"] == field


def test_a_piece_without_text_is_refused(rig: VoiceRig) -> None:
    stream = rig.open()
    rig.engine.feed(stream, Feed(1, 1, data=Blob(b"\0\0")))
    assert refused(rig, stream).code == "invalid_request"


def test_a_text_past_the_limit_is_refused_with_both_numbers_and_others_go_on(rig: VoiceRig) -> None:
    other = rig.open(CLAUSE)
    error = refused(rig, rig.say("word " * (20 * 2**20)))
    assert error.code == "invalid_request"
    assert "8,388,608" in error.message
    assert rig.chunks(other)
    rig.engine.cancel(other, "app")
    rig.cancelled(other)


def test_the_largest_text_is_spoken_from_its_beginning_at_once(rig: VoiceRig) -> None:
    stream = rig.say("A word. " * 2**20)
    rig.chunks(stream, 5)
    rig.engine.cancel(stream, "app")
    rig.cancelled(stream)


@pytest.mark.parametrize(
    "text", ["[[ həloʊ ]] there", "x" * 700, "a\0b\x1b[31m", "." * 3_000, "你好。再见。", "1" * 90, "\u202e abc", "ﷺ ௵"]
)
def test_strange_text_harms_nobody(rig: VoiceRig, text: str) -> None:
    for markdown in (True, False):
        stream = rig.say(text, markdown=markdown)
        rig.spoken(stream)
    assert pcm(rig.sink.whole(rig.say("Still here.")))


def test_a_speaker_whom_the_voice_does_not_have_is_refused(rig: VoiceRig) -> None:
    error = refused(rig, rig.open(voice="Anna"))
    assert dict(error.details or {})["field"] == "body.voice"
    rig.spoken(rig.say("One.", voice="0"))


def fails(path: Path) -> str:
    with pytest.raises(LoadFailed) as failed:
        VoiceRig(path)
    return str(failed.value.details["cause"])


def copied(joe: Path, folder: Path, size_bytes: int | None = None) -> Path:
    """Return a copy of the voice, cut off behind so many bytes."""
    copy = folder / joe.name
    copy.write_bytes(joe.read_bytes()[:size_bytes])
    copy.with_name(f"{joe.name}.json").write_bytes(joe.with_name(f"{joe.name}.json").read_bytes())
    return copy


def test_a_folder_with_a_voice_is_one(joe: Path) -> None:
    with VoiceRig(joe.parent) as rig:
        rig.spoken(rig.say("One."))


def test_a_voice_that_is_not_there_is_missing(tmp_path: Path) -> None:
    assert fails(tmp_path) == fails(tmp_path / "voice.onnx") == "file_missing"


def test_a_voice_without_its_description_is_missing_a_file(joe: Path, tmp_path: Path) -> None:
    copied(joe, tmp_path).with_name(f"{joe.name}.json").unlink()
    assert fails(tmp_path) == "file_missing"


@pytest.mark.parametrize("size_bytes", [0, 100, 1_000_000])
def test_a_voice_that_is_cut_off_is_corrupt(joe: Path, tmp_path: Path, size_bytes: int) -> None:
    assert fails(copied(joe, tmp_path, size_bytes)) == "file_corrupt"


def test_a_folder_with_two_voices_is_refused(joe: Path, tmp_path: Path) -> None:
    copied(joe, tmp_path, 10)
    (tmp_path / "other.onnx").write_bytes(b"")
    assert fails(tmp_path) == "file_corrupt"


@pytest.mark.parametrize(
    "description",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        b"\xff",
        DESCRIPTION % (b"1e99", b'"en"', b"{}"),
        DESCRIPTION % (b"22050", b"3", b"[]"),
        b" " * 2**21,
    ],
)
def test_a_description_of_no_voice_is_corrupt(joe: Path, tmp_path: Path, description: bytes) -> None:
    copied(joe, tmp_path, 10).with_name(f"{joe.name}.json").write_bytes(description)
    assert fails(tmp_path) == "file_corrupt"
