"""`inferd transcribe` and `inferd say`: what they ask, what they print, where the sound goes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import wave
from pathlib import Path

import pytest
from scripted_client import ECHO, ScriptedClient
from scripted_daemon import Heard, ScriptedDaemon, answering
from typer.testing import CliRunner, Result

from inferd import (
    AudioChunk,
    AudioStarted,
    Blob,
    Final,
    Loading,
    ModelFailed,
    Partial,
    Queued,
    SpeechStarted,
    SpeechStopped,
    SpokenWord,
    Transcript,
    TranscriptSegment,
    Word,
)
from inferd.messages import control, events, speech
from inferd_cli import amounts
from inferd_cli.app import app

WORDS = (SpokenWord(" Hello", 1_200, 1_500), SpokenWord(" sea\x1b[2J.", 1_500, 63_400))
SEGMENTS = (TranscriptSegment(" Hello sea\x1b[2J.", 1_200, 63_400, WORDS), TranscriptSegment(" Bye.", 63_400, 63_900))
SOUND = (AudioStarted(8_000), AudioChunk(Blob(b"\1\0"), 8_000), Word("a", 0, 1, 0, 1), AudioChunk(Blob(b"\2\0"), 8_000))


def invoke(client: ScriptedClient, *args: str, stdin: str | bytes | None = None) -> Result:
    result = CliRunner().invoke(app, args, obj=client.connect, input=stdin)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def run(socket: Path, *args: str, piped: bytes = b"", path: str | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run the real command against a daemon at `socket`."""
    return subprocess.run(
        [sys.executable, "-m", "inferd_cli", *args, "--socket", str(socket)],
        input=piped,
        capture_output=True,
        check=False,
        timeout=60,
        env={**os.environ, **({"PATH": path} if path is not None else {})},
    )


# --- transcribe


def test_the_words_alone_go_to_a_pipe() -> None:
    client = ScriptedClient(
        sounding=[Queued(2), Loading(ECHO.id, 0.5), *SEGMENTS], heard=Transcript("", warnings=("w",))
    )
    result = invoke(client, "transcribe", "a.wav", "--language", "en", "--prompt", "Ann", "--model", ECHO.id)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "Hello sea[2J. Bye.\n", "warning: w\n")
    options = {"language": "en", "prompt": "Ann", "timestamps": "segment", "model": ECHO.id}
    assert client.spoken_of == [("a.wav", None, options)]
    assert client.closed


@pytest.mark.parametrize(
    ("stamps", "lines"),
    [
        ("segment", ["[0:01.20 - 1:03.40] Hello sea[2J.", "[1:03.40 - 1:03.90] Bye."]),
        ("word", ["[0:01.20 - 0:01.50] Hello", "[0:01.50 - 1:03.40] sea[2J.", "[1:03.40 - 1:03.90] Bye."]),
    ],
)
def test_times_stand_in_front_when_asked_for(stamps: str, lines: list[str]) -> None:
    client = ScriptedClient(sounding=SEGMENTS)
    assert invoke(client, "transcribe", "a.wav", "--timestamps", stamps).stdout.splitlines() == lines
    assert client.spoken_of[0][2] == {"language": None, "prompt": None, "timestamps": stamps, "model": None}


def test_json_is_a_document_per_event_and_the_transcript_last() -> None:
    client = ScriptedClient(sounding=SEGMENTS[1:], heard=Transcript(" Bye.", language="en"))
    segment, whole = map(json.loads, invoke(client, "transcribe", "a.wav", "--json").stdout.splitlines())
    assert (segment["event"], segment["text"], segment["start_ms"]) == ("transcript_segment", " Bye.", 63_400)
    assert (whole["event"], whole["text"], whole["language"]) == ("transcript", " Bye.", "en")


def test_silence_prints_nothing_and_a_failure_ends_the_line() -> None:
    assert invoke(ScriptedClient(), "transcribe", "a.wav").stdout == ""
    result = invoke(ScriptedClient(sounding=[SEGMENTS[1], ModelFailed("it died")]), "transcribe", "a.wav")
    assert (result.exit_code, result.stdout) == (1, "Bye.\n")
    assert "error: it died" in result.stderr


def test_a_file_may_come_through_a_pipe() -> None:
    client = ScriptedClient()
    invoke(client, "transcribe", "-", "--rate", "8000", stdin=b"\0\0")
    assert client.spoken_of[0][:2] == (b"\0\0", 8_000)


def test_a_live_stream_needs_a_pipe() -> None:
    assert invoke(ScriptedClient(), "transcribe", "--stream", "a.pcm").exit_code == 2


def test_what_is_piped_in_is_heard_live(tmp_path: Path) -> None:
    said = (
        SpeechStarted(1, 0),
        Partial(1, "Hello", "", 500),
        SpeechStopped(1, 900),
        Final(1, "Hello.", 0, 900),
        Final(2, "", 950, 990),
        Final(3, "Bye.", 1_000, 1_400),
    )
    with ScriptedDaemon(tmp_path / "s", script=answering(events.Granted(99, 99_999))) as daemon:
        process = subprocess.Popen(
            [sys.executable, "-m", "inferd_cli", "transcribe", "--stream", "-", "--socket", str(tmp_path / "s")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        request = daemon.request().request
        assert process.stdin is not None
        process.stdin.write(b"\1\0\2")
        process.stdin.flush()
        assert daemon.next(control.Feed).data == b"\1\0"
        daemon.tell(request.id, *said)
        process.stdin.write(b"\0\3")
        process.stdin.close()
        assert daemon.next(control.Feed).data == b"\2\0"
        daemon.next(control.Finish)
        daemon.tell(request.id, speech.Transcribed("m"))
        assert process.stdout is not None
        with process.stdout:
            assert process.stdout.read() == b"Hello.\nBye.\n"
        assert process.wait() == 0


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with ScriptedDaemon(tmp_path / "s"):
        result = run(tmp_path / "s", "transcribe", str(tmp_path / "none.wav"))
    assert result.returncode == 2
    assert b"none.wav': no such file" in result.stderr


# --- say


def test_speech_goes_into_a_wav_file(tmp_path: Path) -> None:
    client = ScriptedClient(sounding=SOUND)
    invoke(client, "say", "two", "words", "-o", f"{tmp_path}/a.wav", "--voice", ECHO.id, "--rate", "1.5")
    assert client.spoken_of == [("two words", ECHO.id, 1.5, None)]
    with wave.open(f"{tmp_path}/a.wav") as file:
        assert (file.getframerate(), file.getnchannels(), file.readframes(9)) == (8_000, 1, b"\1\0\2\0")


def test_what_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    result = invoke(ScriptedClient(sounding=[*SOUND, ModelFailed("it died")]), "say", "hi", "-o", f"{tmp_path}/a.wav")
    assert result.exit_code == 1
    assert not (tmp_path / "a.wav").exists()


def test_a_file_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    result = invoke(ScriptedClient(sounding=SOUND), "say", "hi", "-o", f"{tmp_path}/no/a.wav")
    assert result.exit_code == 2
    assert "cannot be written: No such file" in result.stderr


def test_json_tells_the_events_beside_the_file(tmp_path: Path) -> None:
    result = invoke(ScriptedClient(sounding=SOUND), "say", "hi", "--json", "-o", f"{tmp_path}/a.wav")
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["event"] for one in told] == ["audio_started", "audio_chunk", "word", "audio_chunk"]
    assert told[1]["pcm"] == {"bytes": 2}
    assert invoke(ScriptedClient(sounding=SOUND), "say", "hi", "--json", "-o", "-").exit_code == 2


def test_text_may_come_through_a_pipe_as_it_is_written(tmp_path: Path) -> None:
    def script(daemon: ScriptedDaemon, heard: Heard) -> None:
        daemon.tell(heard.request.id, events.Accepted("t"), events.Granted(9, 999), *SOUND, peer=heard.peer)

    with ScriptedDaemon(tmp_path / "s", script=script) as daemon:
        process = subprocess.Popen(
            [sys.executable, "-m", "inferd_cli", "say", "-o", "-", "--socket", str(tmp_path / "s")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        request = daemon.request().request
        assert process.stdin is not None
        process.stdin.write("Grü".encode()[:-1])
        process.stdin.flush()
        assert daemon.next(control.Feed).text == "Gr"
        process.stdin.write("Grü".encode()[-1:])
        process.stdin.close()
        assert daemon.next(control.Feed).text == "ü"
        daemon.next(control.Finish)
        daemon.tell(request.id, speech.Spoken("joe"))
        assert process.stdout is not None
        with process.stdout, wave.open(io.BytesIO(process.stdout.read())) as file:
            assert file.readframes(9) == b"\1\0\2\0"
        assert process.wait() == 0


def test_what_is_piped_in_and_no_text_is_said_so_and_cancels(tmp_path: Path) -> None:
    with ScriptedDaemon(tmp_path / "s") as daemon:
        process = subprocess.Popen(
            [sys.executable, "-m", "inferd_cli", "say", "-o", "-", "--socket", str(tmp_path / "s")],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        request = daemon.request().request
        daemon.tell(request.id, events.Accepted("t"), events.Granted(9, 999))
        assert process.stdin is not None
        process.stdin.write(b"\xff")
        process.stdin.close()
        assert daemon.next(control.Cancel).request == request.id
        daemon.tell(request.id, events.Cancelled("app"))
        assert process.stderr is not None
        with process.stderr:
            assert b"stdin: not text" in process.stderr.read()
        assert process.wait() == 2


def player(folder: Path, does: str) -> str:
    """Return a search path on which there is a player that does this."""
    (folder / "bin").mkdir()
    (folder / "bin" / "aplay").write_text(f"#!/bin/sh\n{does}\n")
    (folder / "bin" / "aplay").chmod(0o755)
    return f"{folder}/bin"


def test_without_a_file_it_is_played(tmp_path: Path) -> None:
    path = player(tmp_path, f'echo "$@" > {tmp_path}/args; exec /bin/cat > {tmp_path}/heard')
    with ScriptedDaemon(tmp_path / "s", script=answering(*SOUND, speech.Spoken("joe"))):
        result = run(tmp_path / "s", "say", "hi", path=path)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    assert (tmp_path / "heard").read_bytes() == b"\1\0\2\0"
    assert (tmp_path / "args").read_text() == "-q -t raw -f S16_LE -r 8000 -c 1 -\n"


def test_a_player_that_ends_at_once_is_an_error_and_without_one_a_file_is_asked_for(tmp_path: Path) -> None:
    loud = AudioChunk(Blob(bytes(200_000)), 8_000)
    with ScriptedDaemon(tmp_path / "s", script=answering(*[loud] * 3, speech.Spoken("joe"))):
        ended = run(tmp_path / "s", "say", "hi", path=player(tmp_path, "exit 1"))
        none = run(tmp_path / "s", "say", "hi", path=f"{tmp_path}/nowhere")
    assert ended.returncode == none.returncode == 2
    assert b"the player ended" in ended.stderr
    assert b"no player is installed (paplay, aplay, afplay): give -o FILE" in none.stderr


@pytest.mark.parametrize(
    ("time_ms", "shown"), [(0, "0:00.00"), (1_209, "0:01.20"), (3_599_999, "59:59.99"), (3_600_000, "1:00:00.00")]
)
def test_moments_are_minutes_and_seconds(time_ms: int, shown: str) -> None:
    assert amounts.moment(time_ms) == shown
