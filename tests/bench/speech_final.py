"""The final transcript after the endpoint, against one clean pass of faster-whisper over that utterance.

The utterance is fed as a microphone would; ours counts from `SpeechStopped` to `Final`, as the app sees them. How long after
the end of the speech itself the final comes, the silence that is waited for included, is told beside it.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Final

import numpy as np
import recordings
from measure import Goal, Row, alternate_awaited, difference_row, single_row
from recordings import RATE_HZ
from speech_daemon import EAR, Sound, microphone, path_of, quiet, service
from speech_direct import CLEAN, Hearing

from inferd import AsyncClient
from inferd.messages.speech import Final as FinalText
from inferd.messages.speech import SpeechStopped

GOAL: Final = Goal(150.0)
SILENCE_S: Final = 4.0
"""Longer than what ends an utterance that looks unfinished."""


def run(pairs: int) -> tuple[list[Row], list[str]]:
    """Return the row and notes of this bench."""
    with service(EAR) as daemon:
        return asyncio.run(_run(str(daemon.socket), pairs))


async def _run(socket: str, pairs: int) -> tuple[list[Row], list[str]]:
    direct = Hearing(path_of(EAR))
    sounds = [recordings.pcm(one) for one in recordings.librivox()]
    spans: dict[int, Sound] = {}
    after_speech = list[float]()
    async with AsyncClient("final", socket=socket) as client:

        async def ours(number: int) -> float:
            sound = sounds[number % len(sounds)]
            took_ms, since_speech_ms, final = await utterance(client, sound)
            after_speech.append(since_speech_ms)
            first, end = (one * RATE_HZ // 1000 for one in (final.start_ms, final.end_ms))
            spans[number % len(sounds)] = sound[first:end]
            return took_ms

        async def theirs(number: int) -> float:
            samples = spans[number % len(sounds)].astype(np.float32) / np.float32(32_768)
            began_s = time.monotonic()
            await asyncio.to_thread(direct.text, samples, CLEAN)
            return 1000 * (time.monotonic() - began_s)

        for number in range(len(sounds)):
            await ours(number)
        await theirs(0)
        taken = await alternate_awaited(ours, theirs, pairs)
    return [
        difference_row("endpoint to final transcript / one clean pass", "ms", taken, GOAL),
        single_row("end of speech to final transcript: p50", "ms", statistics.median(after_speech)),
    ], []


async def utterance(client: AsyncClient, sound: Sound) -> tuple[float, float, FinalText]:
    """Return how long after the first endpoint its final came, how long after the end of its speech, in ms, and the final."""
    async with client.transcribe_stream(model=EAR, language="en", priority="voice") as stream:
        began_s = stopped_s = time.monotonic()
        feeding = asyncio.create_task(microphone(stream.send, np.concatenate([sound, quiet(SILENCE_S)])))
        try:
            async for event in stream:
                now_s = time.monotonic()
                match event:
                    case SpeechStopped():
                        stopped_s = now_s
                    case FinalText():
                        return 1000 * (now_s - stopped_s), 1000 * (now_s - began_s) - event.end_ms, event
        finally:
            feeding.cancel()
            await asyncio.wait({feeding})
    raise RuntimeError("the stream ended without a final")
