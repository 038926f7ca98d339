"""The Wyoming bridge by the whole service: a real daemon, models that are really trained, the library's own client."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import speech_models
from daemon_process import DaemonProcess, running
from waiting import until
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop
from wyoming_rig import answer, send, types

import inferd
from inferd_actors import engines

TINY = "test/whisper-tiny.en:int8"
JOE = "test/joe:f32"
TEXT = "Please turn on the lights in the kitchen and in the living room, and then close all the windows."
LONG = "This is one of very many sentences that nobody will ever hear to the end. " * 100
ROW = """
[models."{id}"]
engine = "{engine}"
capabilities = ["{capability}"]
languages = ["en"]
files = [{files}]
"""
LOAD_S = 300.0
"""For a first answer: two models are loaded, beside whatever else this machine does."""
pytestmark = pytest.mark.timeout(600)


@dataclass
class Running:
    """The daemon and the bridge before it."""

    daemon: DaemonProcess
    process: subprocess.Popen[str]
    told: dict[str, list[str]]

    def client(self) -> AsyncClient:
        """Return a Wyoming client that is not connected yet."""
        return AsyncClient.from_uri(self.told["uris"][0], read_timeout=LOAD_S)


def row(name: str, engine: str, capability: str, paths: list[Path]) -> str:
    files = ", ".join(f'{{ name = "{path.name}", file = "{path}" }}' for path in paths)
    return ROW.format(id=name, engine=engine, capability=capability, files=files)


@pytest.fixture(scope="module")
def config() -> str:
    if absent := {*engines.missing("piper"), *engines.missing("faster_whisper")}:
        pytest.skip(f"not installed: {', '.join(sorted(absent))}")
    try:
        tiny, joe = speech_models.tiny_en(), speech_models.joe()
    except OSError as reason:
        pytest.skip(f"no packages of models here: {reason}")
    return row(TINY, "faster_whisper", "transcribe", sorted(one for one in tiny.iterdir() if one.is_file())) + row(
        JOE, "piper", "synthesize", [joe, joe.with_suffix(".onnx.json")]
    )


@pytest.fixture(scope="module")
def service(config: str) -> Iterator[Running]:
    with tempfile.TemporaryDirectory(prefix="ifd-") as folder, serving(config, Path(folder)) as daemon:
        command = [sys.executable, "-m", "inferd_cli", "wyoming", "--json", "--socket", str(daemon.socket)]
        command += ["--uri", "tcp://127.0.0.1:0", "--uri", f"unix://{folder}/w", "--stt", TINY, "--tts", JOE]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            yield Running(daemon, process, json.loads(process.stdout.readline()))
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        assert not Path(folder, "w").exists()


@contextmanager
def serving(config: str, folder: Path) -> Iterator[DaemonProcess]:
    """Run a daemon that has both models."""
    with running(config, environment={"INFERD_MODELS_DIR": str(folder / "models")}) as daemon:
        with daemon.client() as client:
            for name in (TINY, JOE):
                assert isinstance(list(client.models.pull(name))[-1], inferd.Pulled)
        yield daemon


async def spoken(client: AsyncClient, text: str) -> list[AudioChunk]:
    await send(client, Synthesize(text))
    found = await answer(client, "audio-stop")
    assert types(found) == ["audio-start", "audio-chunk", "audio-stop"], found[-1]

    return [AudioChunk.from_event(one) for one in found[1:-1]]


def test_the_command_tells_what_it_serves_and_info_tells_clients(service: Running) -> None:
    assert (service.told["transcribe"], service.told["synthesize"], service.told["warnings"]) == ([TINY], [JOE], [])

    async def main() -> None:
        async with service.client() as client:
            await send(client, Describe())
            told = Info.from_event((await answer(client, "info"))[-1])
            assert [one.name for one in told.asr[0].models] == [TINY]
            assert [one.name for one in told.tts[0].voices] == [JOE]

    asyncio.run(main())


def test_a_text_is_spoken_whole_and_as_it_is_written(service: Running) -> None:
    async def main() -> None:
        async with service.client() as client:
            whole = await spoken(client, TEXT)
            assert {one.rate for one in whole} == {22_050}
            assert {one.samples for one in whole[:-1]} == {1_024}
            assert 3 < sum(one.seconds for one in whole) < 12
            await send(
                client, SynthesizeStart(), *(SynthesizeChunk(TEXT[at : at + 7]) for at in range(0, len(TEXT), 7))
            )
            begun = await answer(client, "audio-chunk")  # before anybody said that this is all
            await send(client, Synthesize(TEXT), SynthesizeStop())
            rest = await answer(client, "synthesize-stopped")
        assert types([*begun, *rest]) == ["audio-start", "audio-chunk", "audio-stop", "synthesize-stopped"]
        sounds = [AudioChunk.from_event(one) for one in (*begun, *rest) if one.type == "audio-chunk"]
        assert 3 < sum(one.seconds for one in sounds) < 12  # once, not twice

    asyncio.run(main())


def test_words_come_while_somebody_speaks_and_the_whole_text_afterwards(service: Running) -> None:
    async def main() -> None:
        async with service.client() as client:
            sound = await spoken(client, TEXT)
        async with service.client() as client:
            await send(client, Transcribe(language="en"), AudioStart(22_050, 2, 1))
            words = asyncio.ensure_future(answer(client, "transcript-chunk"))
            at = 0
            while not words.done() or at % len(sound):  # a microphone, until words come and the sentence is over
                await send(client, sound[at % len(sound)])
                await asyncio.sleep(sound[0].seconds)
                at += 1
            await send(client, AudioStop())
            found = [*await words, *await answer(client, "transcript-stop")]
        assert found[-1].type == "transcript-stop", found
        said = [one.data["text"] for one in found if one.type == "transcript"]
        assert len(said) == 1
        assert "lights in the kitchen" in said[0]

    asyncio.run(main())


def test_a_microphone_that_stops_without_a_word_is_told_and_its_slot_is_free(service: Running) -> None:
    async def main() -> list[Event]:
        async with service.client() as client:
            await send(client, Transcribe(language="en"), AudioStart(16_000, 2, 1))
            await send(client, AudioChunk(16_000, 2, 1, bytes(32_000)))
            ended = await answer(client, "transcript")
            assert await client.read_event() is None
            return ended

    (failed,) = asyncio.run(main())
    assert (failed.type, failed.data["code"]) == ("error", "cancelled")
    assert "audio-stop" in failed.data["text"]
    assert service.daemon.model(TINY).busy == 0


def test_who_leaves_in_the_middle_of_a_reply_frees_its_slot(service: Running) -> None:
    async def main() -> list[Event]:
        async with service.client() as client:
            await send(client, Synthesize(LONG))
            begun = await answer(client, "audio-chunk")
            assert service.daemon.model(JOE).busy == 1
            return begun

    assert types(asyncio.run(main())) == ["audio-start", "audio-chunk"]
    until(lambda: service.daemon.model(JOE).busy == 0, "the slot is free")
