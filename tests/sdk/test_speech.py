"""Speech through the blocking client, against a daemon that says what a test tells it to."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from scripted_daemon import ScriptedDaemon, answering

import inferd
from inferd import Client
from inferd.bulk import INLINE_BYTES
from inferd.messages import control, events, speech
from inferd.messages.bounds import Blob

TRANSCRIBED = speech.Transcribed("m", "en", 0.9, 2.0, 1.5, 0.3, warnings=("w",))
SPOKEN = speech.Spoken("joe", 0.4, 0.05)
SEGMENTS = (speech.TranscriptSegment(" Hello", 0, 500), speech.TranscriptSegment(" there.", 500, 900))
CHUNKS = tuple(events.AudioChunk(Blob(bytes([at, 0])), 22_050) for at in range(3))
WORDS = (speech.Word("Hello", 0, 100, 0, 5), speech.Word("there.", 100, 400, 6, 12))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


# --- transcribe


def test_a_short_sound_goes_inside_the_request_and_its_transcript_comes_back(path: Path, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    script = answering(events.Loading("m", 0.5), *SEGMENTS, TRANSCRIBED)
    with ScriptedDaemon(path, script=script) as daemon, Client("test", socket=path) as client:
        for audio in (tmp_path / "a.wav", str(tmp_path / "a.wav"), b"RIFF"):
            transcript = client.transcribe(audio, language="en", prompt="Ann", timestamps="word", model="m")
            assert daemon.request().request.body == {
                "audio": b"RIFF",
                "language": "en",
                "prompt": "Ann",
                "timestamps": "word",
            }
    assert transcript.text == " Hello there."
    assert transcript.segments == SEGMENTS
    assert (transcript.language, transcript.duration_s, transcript.warnings) == ("en", 2.0, ("w",))
    assert (transcript.trace_id, transcript.model) == ("trace-1", "m")
    assert transcript.latency_s >= (transcript.first_event_s or 0) > 0


def test_silence_is_an_empty_transcript(path: Path) -> None:
    script = answering(speech.Transcribed("m", duration_s=2.0))
    with ScriptedDaemon(path, script=script) as daemon, Client("test", socket=path) as client:
        transcript = client.transcribe(b"\0\0", 16_000)
        assert daemon.request().request.body["rate_hz"] == 16_000
    assert (transcript.text, transcript.segments, transcript.first_event_s) == ("", (), None)


def test_a_long_sound_is_fed_as_windows_open_while_its_segments_are_read(path: Path, tmp_path: Path) -> None:
    sound = os.urandom(3 * INLINE_BYTES + 1)
    (tmp_path / "long.flac").write_bytes(sound)
    with ScriptedDaemon(path) as daemon, Client("test", socket=path) as client, ThreadPoolExecutor() as pool:
        transcribing = pool.submit(client.transcribe, tmp_path / "long.flac")
        request = daemon.request().request
        assert "audio" not in request.body
        daemon.tell(request.id, events.Accepted("t"))
        fed, limit_bytes = b"", 0
        while len(fed) < len(sound):  # an engine that takes nothing more before its segments have been read
            limit_bytes += 100_000
            daemon.tell(request.id, events.Granted(99_999, limit_bytes), *[SEGMENTS[0]] * 40)
            while len(fed) < min(limit_bytes, len(sound)):
                piece = daemon.next(control.Feed)
                assert piece.offset == len(fed)
                fed += piece.data or b""
        assert fed == sound
        daemon.next(control.Finish)
        daemon.tell(request.id, TRANSCRIBED)
        assert len(transcribing.result().segments) == 40 * -(-len(sound) // 100_000)
        assert daemon.heard_no(control.Feed)
        assert daemon.heard_no(control.Finish)


def test_a_long_sound_can_be_watched_and_leaving_cancels(path: Path) -> None:
    with ScriptedDaemon(path) as daemon, Client("test", socket=path) as client:
        stream = client.transcription(bytes(INLINE_BYTES + 2), 16_000)
        daemon.tell(daemon.request().request.id, events.Accepted("t"), events.Queued(2), SEGMENTS[0])
        with stream:
            assert (next(stream), next(stream)) == (events.Queued(2), SEGMENTS[0])
        assert daemon.next(control.Cancel).request == stream.request_id
        with pytest.raises(inferd.Cancelled):
            stream.transcript()


def test_what_ends_a_fed_sound_early_is_raised_and_raised_again(path: Path) -> None:
    with ScriptedDaemon(path) as daemon, Client("test", socket=path) as client:
        stream = client.transcription(bytes(INLINE_BYTES + 2), 16_000)
        daemon.tell(daemon.request().request.id, events.Accepted("t"), events.Error("invalid_request", "no sound"))
        for _ in range(2):
            with pytest.raises(inferd.InvalidRequest, match="no sound"):
                stream.transcript()


def test_bad_input_is_refused_before_anything_is_sent(path: Path) -> None:
    calls: tuple[tuple[str, Callable[[Client], object]], ...] = (
        ("audio", lambda client: client.transcribe(path.parent / "none.wav")),
        ("rate_hz", lambda client: client.transcribe(b"\0\0", 7)),
        ("timestamps", lambda client: client.transcribe(b"x", timestamps="letter")),  # type: ignore[arg-type]
        ("rate_hz", lambda client: client.transcribe_stream(1_000)),
        ("vad_threshold", lambda client: client.transcribe_stream(vad_threshold=float("nan"))),
        ("endpoint_silence_ms", lambda client: client.transcribe_stream(endpoint_silence_ms=10**9)),
        ("text", lambda client: client.synthesize("")),
        ("text", lambda client: client.synthesize(" \n")),
        ("text", lambda client: client.synthesize("\ud800")),
        ("rate", lambda client: client.synthesize("hi", rate=0)),
        ("rate", lambda client: client.synthesize_stream(rate=float("inf"))),
        ("volume", lambda client: client.synthesize("hi", volume=-1.0)),
        ("model", lambda client: client.synthesize("hi", voice="")),
        ("epoch", lambda client: client.synthesize_stream(epoch=-1)),
        ("timeout_s", lambda client: client.synthesize_stream(timeout_s=0)),
    )
    with ScriptedDaemon(path) as daemon, Client("test", socket=path) as client:
        for field, call in calls:
            with pytest.raises(inferd.InvalidRequest) as refused:
                call(client)
            assert refused.value.details["field"] == field
        assert client.ping() > 0
        assert daemon.heard_no(control.Request)


# --- transcribe_stream


def test_sound_is_heard_live_and_the_finals_are_the_transcript(path: Path) -> None:
    said = (
        speech.SpeechStarted(1, 100),
        speech.Partial(1, "Hello", "the", 600),
        speech.SpeechStopped(1, 900),
        speech.Final(1, "Hello there.", 100, 900, "en"),
        speech.SpeechStarted(2, 1_500),
        speech.Final(2, "", 1_500, 1_600),
        speech.Final(3, "Bye.", 2_000, 2_400),
    )
    with ScriptedDaemon(path) as daemon, Client("test", socket=path) as client:
        stream = client.transcribe_stream(8_000, language="en", partials=False, endpoint_silence_ms=300, model="m")
        request = daemon.request().request
        assert request.body == {"rate_hz": 8_000, "language": "en", "partials": False, "endpoint_silence_ms": 300}
        daemon.tell(request.id, events.Accepted("t"), events.Granted(9, 99_999))
        stream.send(bytes(2_000))
        assert [len(daemon.next(control.Feed).data or b"") for _ in range(2)] == [1_600, 400]
        with pytest.raises(inferd.InvalidRequest, match="has not come to its end"):
            _ = stream.transcript
        stream.finish()
        daemon.next(control.Finish)
        daemon.tell(request.id, *said, TRANSCRIBED)
        assert tuple(stream) == said
        assert stream.transcript.text == "Hello there. Bye."
        assert [one.text for one in stream.transcript.segments] == ["Hello there.", " Bye."]
        with pytest.raises(inferd.InvalidRequest, match="this stream has ended"):
            stream.send(b"\0\0")


def test_leaving_a_live_stream_cancels_it(path: Path) -> None:
    with ScriptedDaemon(path, script=answering(events.Granted(1, 9))) as daemon, Client("test", socket=path) as client:
        with client.transcribe_stream() as stream:
            stream.send(b"\0\0")
        assert daemon.next(control.Cancel).request == stream.request_id


# --- synthesize


def test_a_text_is_spoken_whole(path: Path) -> None:
    script = answering(speech.AudioStarted(22_050, "7"), WORDS[0], *CHUNKS, WORDS[1], SPOKEN)
    with ScriptedDaemon(path, script=script) as daemon, Client("test", socket=path) as client:
        spoken = client.synthesize("Hello there.", "joe", 1.5, volume=0.5)
        request = daemon.request().request
    assert request.model == "joe"
    assert request.body == {"text": "Hello there.", "rate": 1.5, "volume": 0.5}
    assert (spoken.pcm, spoken.rate_hz, spoken.voice) == (b"\0\0\1\0\2\0", 22_050, "7")
    assert (spoken.words, spoken.duration_s, spoken.model, spoken.trace_id) == (WORDS, 0.4, "joe", "trace-1")
    assert spoken.latency_s >= (spoken.first_event_s or 0) > 0


def test_beside_a_model_the_voice_is_a_speaker_of_it(path: Path) -> None:
    with ScriptedDaemon(path, script=answering(SPOKEN)) as daemon, Client("test", socket=path) as client:
        client.synthesize("Hi", "anna", model="many")
        stream = client.synthesize_stream("anna", model="many", epoch=4, markdown=False)
        asked = [daemon.request().request for _ in range(2)]
        stream.close()
    assert [(one.model, one.body["voice"]) for one in asked] == [("many", "anna")] * 2
    assert asked[1].body == {"voice": "anna", "epoch": 4, "markdown": False}


def test_text_is_spoken_as_it_is_written(path: Path) -> None:
    with ScriptedDaemon(path) as daemon, Client("test", socket=path) as client, ThreadPoolExecutor() as pool:
        stream = client.synthesize_stream("joe")
        request = daemon.request().request.id
        daemon.tell(request, events.Accepted("t"), events.Granted(2, 9))
        sending = pool.submit(lambda: list(map(stream.send, ("Grüß", "", " Gott. 😀"))))
        fed = [daemon.next(control.Feed) for _ in range(2)]
        assert client.ping() > 0
        assert daemon.heard_no(control.Feed)
        daemon.tell(request, events.Granted(9, 999))
        fed.append(daemon.next(control.Feed))
        sending.result()
        assert "".join(piece.text or "" for piece in fed) == "Grüß Gott. 😀"
        assert [piece.offset for piece in fed] == [0, 4, 7]
        stream.pause()
        stream.resume()
        stream.played(250)
        stream.finish()
        assert daemon.next(control.Played) == control.Played(request, 0, 250)
        for kind in (control.Pause, control.Resume, control.Finish):
            daemon.next(kind)
        said: tuple[events.Content, ...] = (speech.AudioStarted(22_050), *CHUNKS, *WORDS)
        daemon.tell(request, *said, SPOKEN)
        assert tuple(stream) == said
        assert (stream.speech.pcm, stream.speech.words, stream.speech.model) == (b"", WORDS, "joe")
        with pytest.raises(inferd.InvalidRequest, match=r"^text: "):
            stream.send("\ud800")


def test_a_cancel_tells_what_was_heard_and_lets_nothing_stale_through(path: Path) -> None:
    with ScriptedDaemon(path) as daemon, Client("test", socket=path) as client:
        stream = client.synthesize_stream(epoch=2)
        request = daemon.request().request.id
        daemon.tell(request, events.Accepted("t"), events.Granted(9, 999))
        stream.send("Hello there. And more.")
        chunk = events.AudioChunk(Blob(b"\1\0"), 22_050, 2)
        words = [speech.Word(one.text, one.start_ms, one.end_ms, one.first_char, one.end_char, 2) for one in WORDS]
        daemon.tell(request, *words, chunk)
        assert [next(stream) for _ in range(3)] == [*words, chunk]
        assert stream.heard(99).text == ""
        assert stream.cancel(399) == speech.Heard("Hello", 5, 399)
        assert daemon.next(control.Played) == control.Played(request, 2, 399)
        assert daemon.next(control.Cancel).request == request
        daemon.tell(request, chunk, chunk, events.Cancelled("app", heard=speech.Heard("Hello", 5, 399)))
        with pytest.raises(inferd.Cancelled) as ended:
            next(stream)
        assert (ended.value.details["heard_text"], ended.value.details["heard_chars"]) == ("Hello", 5)


def test_a_cancel_before_the_first_sound_heard_nothing(path: Path) -> None:
    with ScriptedDaemon(path) as daemon, Client("test", socket=path) as client:
        stream = client.synthesize_stream()
        request = daemon.request().request.id
        assert stream.cancel() == speech.Heard("", 0, 0)
        assert daemon.next(control.Cancel).request == request
        daemon.tell(request, events.Accepted("t"), speech.AudioStarted(8_000), CHUNKS[0], events.Cancelled("app"))
        with pytest.raises(inferd.Cancelled):
            next(stream)
