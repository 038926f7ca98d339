"""A whole turn, from the endpoint to the first sound, against the script that does one thing after the other.

The script has the same utterance from the same endpoint on: it transcribes all of it, has the whole answer written by the same
text model, and synthesizes the whole answer, with faster-whisper and piper called directly. The answer's words are fixed.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import numpy as np
from measure import Goal, Row, alternate_awaited, ratio_row
from service import STARTER
from speech_daemon import EAR, VOICE, path_of, service
from speech_direct import CLEAN, Hearing, Speaking
from speech_talk import answer, first_sound_ms, questions

from inferd import AsyncClient

QUESTIONS: Final = 6
GOAL: Final = Goal(0.6)


def run(pairs: int) -> tuple[list[Row], list[str]]:
    """Return the row and notes of this bench."""
    with service(EAR, VOICE, STARTER) as daemon:
        return asyncio.run(_run(str(daemon.socket), pairs))


async def _run(socket: str, pairs: int) -> tuple[list[Row], list[str]]:
    hearing, speaking, asked = Hearing(path_of(EAR)), Speaking(path_of(VOICE)), questions(QUESTIONS)
    parts = list[tuple[float, float, float]]()
    async with AsyncClient("turn", socket=socket) as client:

        async def ours(number: int) -> float:
            return await first_sound_ms(client, asked[number % len(asked)], f"ours {number}")

        async def script(number: int) -> float:
            samples = asked[number % len(asked)].sound.astype(np.float32) / np.float32(32_768)
            moments = [time.monotonic()]
            await asyncio.to_thread(hearing.text, samples, CLEAN)
            moments.append(time.monotonic())
            text = "".join([piece async for piece in answer(client, f"script {number}")])
            moments.append(time.monotonic())
            await asyncio.to_thread(speaking.sound, text)
            moments.append(time.monotonic())
            parts.append((moments[1] - moments[0], moments[2] - moments[1], moments[3] - moments[2]))
            return 1000 * (moments[-1] - moments[0])

        await ours(pairs)
        await script(pairs)
        taken = await alternate_awaited(ours, script, pairs)
    hear_s, write_s, speak_s = (sorted(part)[len(part) // 2] for part in zip(*parts, strict=True))
    return [ratio_row("endpoint to first sound / one thing after the other", "ms", taken, GOAL)], [
        f"turn: the script's medians: {hear_s:.2f} s to hear, {write_s:.2f} s to write, {speak_s:.2f} s to speak"
    ]
