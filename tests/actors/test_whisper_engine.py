"""The faster-whisper engine over real recordings: files, streams, silence, and what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

np = pytest.importorskip("numpy")

from hearing_rig import RATE_HZ, HearingRig, music, noise, silence  # noqa: E402 - behind the question for numpy

from inferd import wer  # noqa: E402
from inferd.messages.control import Feed  # noqa: E402
from inferd.messages.events import Cancelled  # noqa: E402
from inferd.messages.speech import Final, Partial, SpeechStarted, SpeechStopped, TranscriptSegment  # noqa: E402
from inferd_actors.engines.faster_whisper.endpointing import FRAME_MS  # noqa: E402
from inferd_actors.engines.faster_whisper.engine import READERS  # noqa: E402
from inferd_actors.engines.faster_whisper.intake import AHEAD_S  # noqa: E402


@pytest.fixture(scope="module")
def rig(tiny_en: Path) -> Iterator[HearingRig]:
    with HearingRig(tiny_en) as opened:
        yield opened


def test_files_have_the_words_that_a_direct_call_finds(rig: HearingRig, spoken: ModuleType) -> None:
    """Novels read aloud and a telephone's prompts; the direct call has the same gate and the same care."""
    heard, direct = [], []
    for recording in (*spoken.librivox(), *spoken.prompts(8)):
        heard.append((recording.text, rig.words(rig.file(spoken.pcm(recording).tobytes(), rate_hz=RATE_HZ))))
        found, _ = rig.engine._ear.transcribe(spoken.samples(recording), vad_filter=True, temperature=(0.0, 0.4, 0.8))
        direct.append((recording.text, "".join(one.text for one in found)))
    assert wer.rate(heard) == wer.rate(direct)
    assert wer.rate(heard) < 0.06


def test_words_have_times_in_the_file(rig: HearingRig, spoken: ModuleType) -> None:
    first, second = (spoken.pcm(one) for one in spoken.librivox()[:2])
    gap_s = 4.0
    sound = np.concatenate([silence(gap_s), first, silence(gap_s), second])
    stream = rig.file(sound.tobytes(), rate_hz=RATE_HZ, timestamps="word")
    words = [word for segment in rig.of(stream, TranscriptSegment) for word in segment.words]
    assert len(words) > 20
    starts = [word.start_ms for word in words]
    assert starts == sorted(starts)
    assert all(word.start_ms <= word.end_ms for word in words)
    assert starts[0] >= gap_s * 1000 - 400
    behind = [word.text for word in words if word.start_ms > (2 * gap_s + len(first) / RATE_HZ - 0.5) * 1000]
    assert wer.rate([(spoken.librivox()[1].text, " ".join(behind))]) < 0.5
    assert rig.end(stream).duration_s == pytest.approx(len(sound) / RATE_HZ, abs=0.01)


def test_timestamps_are_given_as_asked(rig: HearingRig, spoken: ModuleType) -> None:
    audio = spoken.librivox()[1].path.read_bytes()
    texts = []
    for asked in ("none", "segment", "word"):
        segments = rig.of(rig.file(audio, timestamps=asked), TranscriptSegment)
        assert all(bool(one.words) is (asked == "word") for one in segments)
        texts.append("".join(one.text for one in segments))
    assert wer.words(texts[0]) == wer.words(texts[1]) == wer.words(texts[2]) != []
    assert texts[0] == texts[0].strip()


@pytest.mark.parametrize(
    "sound", [silence(8), noise(8, 0.02), noise(8, 0.3), music(8)], ids=["zeros", "hiss", "noise", "music"]
)
def test_what_is_no_speech_has_no_words(rig: HearingRig, sound: object) -> None:
    assert isinstance(sound, np.ndarray)
    whole = rig.file(sound.tobytes(), rate_hz=RATE_HZ)
    assert rig.words(whole) == ""
    assert rig.end(whole).language == ""
    stream = rig.stream()
    rig.feed(stream, sound)
    rig.finish(stream)
    assert rig.words(stream) == ""


def test_the_model_is_not_asked_about_zeros(rig: HearingRig) -> None:
    before = rig.engine.stats()["steps"]
    assert rig.words(rig.file(silence(70).tobytes(), rate_hz=RATE_HZ)) == ""
    assert rig.engine.stats()["steps"] == before


def test_a_long_file_is_heard_piece_by_piece(rig: HearingRig, spoken: ModuleType) -> None:
    said = [one for one in spoken.prompts(20) if len(one.text.split()) > 5][:6]
    sound = np.concatenate([part for one in said for part in (spoken.pcm(one), silence(15.0))])
    assert len(sound) > 90 * RATE_HZ, "one stretch is no test"
    stream = rig.file(None, rate_hz=RATE_HZ)
    rig.feed(stream, sound, 50_001)  # half a sample at each end
    rig.finish(stream)
    assert wer.rate([(" ".join(one.text for one in said), rig.words(stream))]) < 0.1
    starts = [one.start_ms for one in rig.of(stream, TranscriptSegment)]
    assert starts == sorted(starts)
    assert rig.of(stream, TranscriptSegment)[-1].end_ms > 90_000


def test_a_stream_has_the_words_of_its_utterances(rig: HearingRig, spoken: ModuleType) -> None:
    stream = rig.stream(timestamps="word")
    said = spoken.librivox()
    sound = np.concatenate([part for one in said for part in (spoken.pcm(one), silence(1.5))])
    rig.feed(stream, sound)
    rig.finish(stream)
    events = rig.sink.whole(stream)
    assert wer.rate([(" ".join(one.text for one in said), rig.words(stream))]) < 0.06
    numbers = {
        kind: [event.utterance for event in events if isinstance(event, kind)]
        for kind in (SpeechStarted, SpeechStopped, Final)
    }
    assert len(numbers[Final]) >= len(said)
    for found in numbers.values():
        assert found == list(range(1, len(found) + 1))
    for final in rig.of(stream, Final):
        assert final.start_ms < final.end_ms
        assert all(final.start_ms - 600 <= word.start_ms <= word.end_ms <= final.end_ms + 600 for word in final.words)
    assert rig.end(stream).duration_s == pytest.approx(len(sound) / RATE_HZ, abs=0.05)


def test_stable_text_only_grows_and_ends_like_the_final_one(rig: HearingRig, spoken: ModuleType) -> None:
    recording = spoken.librivox()[0]
    stream = rig.stream()
    for at in range(0, len(spoken.pcm(recording)), RATE_HZ):  # a second at a time, each heard before the next one comes
        rig.feed(stream, spoken.pcm(recording)[at : at + RATE_HZ])
        rig.sink.sign()
        rig.sink.sign()
        rig.sink.wait(lambda: not rig.engine._worker.is_busy)
    rig.feed(stream, silence(1))
    rig.finish(stream)
    partials = rig.of(stream, Partial)
    assert len(partials) >= 3
    for before, after in pairwise(partials):
        assert after.stable.startswith(before.stable)
        assert after.end_ms > before.end_ms
    (final,) = rig.of(stream, Final)
    last = partials[-1]
    assert wer.rate([(final.text, last.stable + last.tentative)]) < 0.35


def test_other_rates_give_the_same_words(rig: HearingRig, spoken: ModuleType) -> None:
    recording = spoken.librivox()[4]
    pcm = spoken.pcm(recording)
    doubled = np.repeat(pcm, 3)  # 48 kHz, with the images that a cheap sound card makes too
    expected = wer.words(rig.words(rig.file(pcm.tobytes(), rate_hz=RATE_HZ)))
    stream = rig.stream(rate_hz=48_000)
    rig.feed(stream, np.concatenate([doubled, np.zeros(48_000, np.int16)]), 9_598)
    rig.finish(stream)
    assert wer.words(rig.words(stream)) == expected
    assert wer.words(rig.words(rig.file(doubled.tobytes(), rate_hz=48_000))) == expected


def test_the_probability_of_speech_frame_by_frame_is_that_of_all_at_once(rig: HearingRig, spoken: ModuleType) -> None:
    sound = spoken.samples(spoken.librivox()[0])
    sound = sound[: len(sound) // 512 * 512]
    voice = rig.engine._vad.voice()
    single = np.concatenate([voice.probabilities(sound[at : at + 512]) for at in range(0, len(sound), 512)])
    assert np.abs(single - rig.engine._vad.voice().probabilities(sound)).max() < 5e-4


def test_what_is_fed_ahead_is_bounded(rig: HearingRig, spoken: ModuleType) -> None:
    pcm = np.concatenate([spoken.pcm(spoken.librivox()[0]), silence(1)])
    stream = rig.stream()
    rig.sink.window(stream)
    rig.engine.pause(stream)
    rig.sink.sign()
    rig.sink.sign()
    pieces, size_bytes = rig.sink.window(stream)
    assert size_bytes == AHEAD_S * RATE_HZ * 2
    rig.feed(stream, pcm)
    rig.sink.sign()
    assert rig.sink.window(stream) == (pieces, size_bytes)
    assert rig.sink.events(stream) == []
    rig.engine.resume(stream)
    rig.finish(stream)
    assert rig.of(stream, Final)


def test_a_stream_goes_before_a_file_of_a_lower_class(rig: HearingRig, spoken: ModuleType) -> None:
    sound = np.concatenate([part for one in spoken.prompts(30) for part in (spoken.pcm(one), silence(0.6))])
    file = rig.file(sound.tobytes(), "batch", rate_hz=RATE_HZ)
    rig.sink.wait(lambda: bool(rig.sink.events(file)))
    stream = rig.stream()
    rig.feed(stream, np.concatenate([spoken.pcm(spoken.librivox()[4]), silence(1)]))
    rig.finish(stream)
    rig.end(stream)
    told = len(rig.of_so_far(file))
    assert rig.end(file).duration_s > 60
    assert len(rig.of_so_far(file)) > told + 1


def test_a_cancelled_stream_ends_at_once_and_the_next_one_is_heard(rig: HearingRig, spoken: ModuleType) -> None:
    audio = spoken.librivox()[0].path.read_bytes()
    for stream in (rig.file(audio), rig.file(None), rig.stream()):
        rig.sink.sign()
        rig.engine.cancel(stream, "app")
        rig.engine.cancel(stream, "shutdown")
        end = rig.sink.whole(stream)[-1]
        assert isinstance(end, Cancelled)
        assert end.reason == "app"
    assert rig.words(rig.file(audio))


def test_speech_that_is_cut_off_by_the_end_of_the_feed_is_final(rig: HearingRig, spoken: ModuleType) -> None:
    pcm = spoken.pcm(spoken.librivox()[0])
    stream = rig.stream(partials=False)
    rig.feed(stream, pcm[: 3 * RATE_HZ])
    rig.finish(stream)
    kinds = [type(event) for event in rig.sink.whole(stream)]
    assert kinds[:3] == [SpeechStarted, SpeechStopped, Final]
    assert rig.of(stream, Final)[0].end_ms <= 3_000 + FRAME_MS


@pytest.mark.parametrize("piece", [b"\x00", b"\x00" * 641])
def test_half_a_sample_ends_a_stream_by_name(rig: HearingRig, piece: bytes) -> None:
    stream = rig.stream()
    rig.feed(stream, piece, len(piece))
    error = rig.refusal(stream)
    assert error.code == "invalid_request"
    assert dict(error.details or {})["field"] == "data"


def test_text_that_is_fed_as_sound_ends_a_file_by_name(rig: HearingRig) -> None:
    stream = rig.file(None)
    rig.engine.feed(stream, Feed(1, 1, text="words"))
    assert dict(rig.refusal(stream).details or {})["field"] == "data"


def test_a_wav_that_is_fed_has_the_words_of_one_that_is_not(rig: HearingRig, spoken: ModuleType) -> None:
    audio = spoken.librivox()[0].path.read_bytes()
    assert audio[:4] == b"RIFF"
    stream = rig.file(None)
    rig.feed(stream, audio[:100_000])
    rig.sink.sign()  # the decoder is at it before all has come
    rig.feed(stream, audio[100_000:], 64 * 1024)
    rig.finish(stream)
    assert rig.words(stream) == rig.words(rig.file(audio)) != ""


def test_files_that_nobody_feeds_or_wants_hold_up_no_other(rig: HearingRig, spoken: ModuleType) -> None:
    minutes = np.tile(spoken.pcm(spoken.librivox()[0]), 30).tobytes()
    assert len(minutes) > 120 * RATE_HZ * 2, "more than waits for the model"
    idle = [rig.file(None) for _ in range(READERS)] + [rig.file(minutes, rate_hz=RATE_HZ) for _ in range(READERS)]
    for stream in idle:
        rig.engine.pause(stream)
    assert rig.words(rig.file(spoken.librivox()[4].path.read_bytes()))
    for stream in idle:
        rig.engine.cancel(stream, "app")
        assert isinstance(rig.sink.whole(stream)[-1], Cancelled)


@pytest.mark.parametrize(
    ("audio", "rate_hz"),
    [
        (b"", None),
        (b"", 16_000),
        (b"\x00", 16_000),
        (b"RIFF\x00\x00", None),
        (b"\x00" * 4_000, None),
        (b"\xff" * 100_000, None),
    ],
)
def test_what_is_no_sound_is_refused_by_name(rig: HearingRig, audio: bytes, rate_hz: int | None) -> None:
    error = rig.refusal(rig.file(audio, rate_hz=rate_hz))
    assert error.code == "invalid_request"
    assert dict(error.details or {})["field"] == "body.audio"


def test_a_fed_file_of_nothing_is_refused_by_name(rig: HearingRig) -> None:
    for rate_hz in (None, RATE_HZ):
        stream = rig.file(None, rate_hz=rate_hz)
        rig.finish(stream)
        assert dict(rig.refusal(stream).details or {})["field"] == "body.audio"


def test_a_language_that_the_model_does_not_know_is_refused_by_name(rig: HearingRig) -> None:
    for stream in (rig.stream(language="de"), rig.file(silence(1).tobytes(), rate_hz=RATE_HZ, language="de")):
        error = rig.refusal(stream)
        assert error.code == "unsupported_mode"
        assert dict(error.details or {})["field"] == "body.language"


def test_a_prompt_of_any_length_is_taken(rig: HearingRig, spoken: ModuleType) -> None:
    audio = spoken.librivox()[4].path.read_bytes()
    assert rig.words(rig.file(audio, prompt="amiable " * 500))
    stream = rig.stream(prompt="amiable " * 500)
    rig.feed(stream, np.concatenate([spoken.pcm(spoken.librivox()[4]), silence(1)]))
    rig.finish(stream)
    assert rig.words(stream)


def test_several_streams_are_heard_beside_each_other(rig: HearingRig, spoken: ModuleType) -> None:
    said = spoken.librivox()[:3]
    streams = [rig.stream() for _ in said]
    sounds = [np.concatenate([spoken.pcm(one), silence(1)]) for one in said]
    for at in range(0, max(map(len, sounds)), 4_000):
        for stream, sound in zip(streams, sounds, strict=True):
            rig.feed(stream, sound[at : at + 4_000])
    for stream in streams:
        rig.finish(stream)
    assert wer.rate([(one.text, rig.words(stream)) for one, stream in zip(said, streams, strict=True)]) < 0.1
