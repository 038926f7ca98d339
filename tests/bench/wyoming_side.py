"""wyoming-piper's streaming server under the bench: a process of its own on loopback, asked with the protocol's own client."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import wyoming_piper
from child import Child
from http_side import HOST
from servers import LOG_TAIL_CHARS, LOOK_S, START_S, free_port
from wyoming.audio import AudioChunk
from wyoming.client import AsyncTcpClient
from wyoming.tts import SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeStopped

LONGEST_S: Final = 60.0
"""For one answer."""


@asynccontextmanager
async def server(voice: Path) -> AsyncIterator[int]:
    """Run the server as it starts by itself, with one voice; yields its port."""
    program, port = wyoming_piper.find_or_install(), free_port()
    place = ["--uri", f"tcp://{HOST}:{port}", "--data-dir", str(voice.parent), "--voice", voice.stem]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        command = [str(program), "-m", "wyoming_piper", *place, "--download-dir", folder]
        with Child("held_program.py", str(log), *command) as child:
            child.hear()
            await _await_answer(port, lambda: log.read_text(errors="replace")[-LOG_TAIL_CHARS:])
            yield port


async def first_sound_s(port: int, pieces: Sequence[str], gap_s: float) -> float:
    """Return how long after the first piece of a streamed text its first sound came; returns when all is spoken."""
    async with AsyncTcpClient(HOST, port) as client, asyncio.timeout(LONGEST_S):
        await client.write_event(SynthesizeStart().event())
        began_s = time.monotonic()
        feeding = asyncio.create_task(_feed(client, pieces, gap_s, began_s))
        first_s = 0.0
        while (event := await client.read_event()) and not SynthesizeStopped.is_type(event.type):
            if AudioChunk.is_type(event.type) and not first_s:
                first_s = time.monotonic()
        await feeding
    if not first_s:
        raise RuntimeError("the server said nothing")
    return first_s - began_s


async def _feed(client: AsyncTcpClient, pieces: Sequence[str], gap_s: float, began_s: float) -> None:
    for at, piece in enumerate(pieces):
        await asyncio.sleep(began_s + at * gap_s - time.monotonic())
        await client.write_event(SynthesizeChunk(piece).event())
    await client.write_event(SynthesizeStop().event())


async def _await_answer(port: int, told: Callable[[], str]) -> None:
    """Return when the server takes connections. Raises RuntimeError with its log when it does not."""
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s:
        try:
            _, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            await asyncio.sleep(LOOK_S)
        else:
            writer.close()
            return
    raise RuntimeError(f"no server within {START_S:g} s: {told()}")
