"""Speech through the asyncio client, against a daemon that says what a test tells it to; on asyncio's loop and on uvloop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvloop
from scripted_daemon import Script, ScriptedDaemon, answering

import inferd
from inferd import AsyncClient
from inferd.bulk import INLINE_BYTES
from inferd.messages import control, events, speech
from inferd.messages.bounds import Blob

TRANSCRIBED = speech.Transcribed("m", "en")
SPOKEN = speech.Spoken("joe", 0.4)
SEGMENT = speech.TranscriptSegment(" Hello.", 0, 500)
CHUNK = events.AudioChunk(Blob(b"\1\0"), 22_050)
WORD = speech.Word("Hello", 0, 100, 0, 5)
Run = Callable[[Coroutine[Any, Any, None]], None]
M = TypeVar("M")


@pytest.fixture(params=[None, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Return what runs a test's coroutine to its end."""

    def to_end(test: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(test)

    return to_end


class Watched:
    """The daemon, waited for without holding up the loop."""

    def __init__(self, daemon: ScriptedDaemon) -> None:
        self.tell = daemon.tell
        self.heard_no = daemon.heard_no
        self._daemon = daemon

    async def request(self) -> control.Request:
        return (await asyncio.to_thread(self._daemon.request)).request

    async def next(self, kind: type[M]) -> M:
        return await asyncio.to_thread(self._daemon.next, kind)


@asynccontextmanager
async def connected(tmp_path: Path, script: Script | None = None) -> AsyncIterator[tuple[Watched, AsyncClient]]:
    """A daemon and a client of it."""
    with ScriptedDaemon(tmp_path / "s", script=script) as daemon:
        async with AsyncClient("test", socket=tmp_path / "s") as client:
            yield Watched(daemon), client


def test_a_short_sound_is_transcribed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")

    async def test() -> None:
        async with connected(tmp_path, answering(SEGMENT, TRANSCRIBED)) as (daemon, client):
            assert (await client.transcribe(tmp_path / "a.wav", model="m")).text == " Hello."
            assert (await daemon.request()).body == {"audio": b"RIFF"}
            with pytest.raises(inferd.InvalidRequest, match="no such file"):
                await client.transcribe(tmp_path / "none.wav")

    run(test())


def test_a_long_file_is_fed_while_its_segments_are_read_and_an_interrupted_wait_loses_nothing(
    run: Run, tmp_path: Path
) -> None:
    sound = os.urandom(2 * INLINE_BYTES + 1)
    (tmp_path / "a.wav").write_bytes(sound)

    async def answer(daemon: Watched) -> bytes:
        request, fed = (await daemon.request()).id, b""
        daemon.tell(request, events.Accepted("t"))
        for limit_bytes in range(50_000, len(sound) + 50_000, 50_000):
            daemon.tell(request, events.Granted(9_999, limit_bytes))
            while len(fed) < min(limit_bytes, len(sound)):
                fed += (await daemon.next(control.Feed)).data or b""
        await daemon.next(control.Finish)
        daemon.tell(request, SEGMENT, TRANSCRIBED)
        return fed

    async def test() -> None:
        async with connected(tmp_path) as (daemon, client), asyncio.TaskGroup() as group:
            answering = group.create_task(answer(daemon))
            stream = await client.transcription(tmp_path / "a.wav")
            shown: inferd.TranscriptionEvent | None = None
            while shown is None:
                try:
                    shown = await asyncio.wait_for(anext(stream), 0.002)
                except TimeoutError:
                    continue
            assert shown == SEGMENT
            assert (await stream.transcript()).text == " Hello."
            assert await answering == sound

    run(test())


def test_sound_is_heard_live(run: Run, tmp_path: Path) -> None:
    said = (speech.SpeechStarted(1, 100), speech.Partial(1, "Hello", "the", 400), speech.Final(1, "Hello.", 100, 900))

    async def test() -> None:
        async with connected(tmp_path) as (daemon, client):
            stream = client.transcribe_stream(16_000, language="en")
            request = await daemon.request()
            daemon.tell(request.id, events.Accepted("t"), events.Granted(9, 99_999))
            await stream.send(b"\0\0" * 1_600)
            await stream.finish()
            await daemon.next(control.Feed)
            await daemon.next(control.Finish)
            daemon.tell(request.id, *said, TRANSCRIBED)
            assert tuple([event async for event in stream]) == said
            assert stream.transcript.text == "Hello."

    run(test())


def test_a_text_is_spoken_whole_and_as_it_is_written(run: Run, tmp_path: Path) -> None:
    said = (speech.AudioStarted(22_050), CHUNK, WORD)

    async def test() -> None:
        async with connected(tmp_path, answering(events.Granted(9, 999), *said, SPOKEN)) as (daemon, client):
            spoken = await client.synthesize("Hello", "joe")
            assert (spoken.pcm, spoken.rate_hz, spoken.words) == (b"\1\0", 22_050, (WORD,))
            await daemon.request()
            stream = client.synthesize_stream("joe", 1.2)
            request = await daemon.request()
            assert request.model == "joe"
            assert request.body == {"rate": 1.2}
            assert tuple([event async for event in stream]) == said
            assert stream.speech.words == (WORD,)

    run(test())


def test_a_cancel_tells_what_was_heard_and_lets_nothing_stale_through(run: Run, tmp_path: Path) -> None:
    async def test() -> None:
        async with connected(tmp_path) as (daemon, client):
            stream = client.synthesize_stream()
            request = (await daemon.request()).id
            daemon.tell(request, events.Accepted("t"), events.Granted(9, 999))
            await stream.send("Hello there.")
            await stream.pause()
            await stream.resume()
            await stream.played(100)
            daemon.tell(request, WORD)
            assert await anext(stream) == WORD
            assert stream.heard(99).text == ""
            assert stream.cancel() == speech.Heard("Hello", 5, 100)
            assert (await daemon.next(control.Cancel)).request == request
            daemon.tell(request, CHUNK, events.Cancelled("app"))
            with pytest.raises(inferd.Cancelled):
                await anext(stream)

    run(test())


def test_a_transcribe_whose_task_is_cancelled_is_cancelled_at_the_daemon(run: Run, tmp_path: Path) -> None:
    async def test() -> None:
        async with connected(tmp_path) as (daemon, client):
            task = asyncio.create_task(client.transcribe(bytes(INLINE_BYTES + 2), 16_000))
            request = await daemon.request()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await daemon.next(control.Cancel)).request == request.id

    run(test())
