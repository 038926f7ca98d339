"""The first sound of an answer that is spoken while it is written, against wyoming-piper's streaming server.

Three sentences, word by word, as fast as a small text model writes beside a voice; and all words at once, told only. Both with
the same voice; the server as it starts by itself, with all cores.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import Final

from measure import Goal, Row, alternate_awaited, ratio_row
from speech_daemon import VOICE, path_of, service
from wyoming_side import first_sound_s, server

from inferd import AsyncClient, Cancelled
from inferd.messages.events import AudioChunk

ANSWER: Final = (
    "The museum is open until six today, and the last visitors are let in at half past five. "
    "Tickets are twelve euros for adults, while children and students go in for free. "
    "If you come by tram, get off at the old harbour and follow the signs along the water."
)
PIECES: Final = tuple(re.findall(r"\S+\s*", ANSWER))
WORDS_PER_S: Final = 25.0
"""As SmolLM2 writes on two cores with little to spare: 30 to 35 tokens/s."""
GOAL: Final = Goal(0.6)


def run(pairs: int) -> tuple[list[Row], list[str]]:
    """Return the rows and notes of this bench."""
    with service(VOICE) as daemon:
        return asyncio.run(_run(str(daemon.socket), pairs))


async def _run(socket: str, pairs: int) -> tuple[list[Row], list[str]]:
    rows = list[Row]()
    async with AsyncClient("streamed", socket=socket) as client, server(path_of(VOICE)) as port:
        for name, gap_s, goal in (("word by word", 1 / WORDS_PER_S, GOAL), ("all words at once", 0.0, None)):

            async def ours(_: int, gap_s: float = gap_s) -> float:
                return 1000 * await _first_sound_s(client, gap_s)

            async def theirs(_: int, gap_s: float = gap_s) -> float:
                return 1000 * await first_sound_s(port, PIECES, gap_s)

            await ours(0)
            await theirs(0)
            taken = await alternate_awaited(ours, theirs, pairs)
            rows.append(ratio_row(f"first sound, {name} / wyoming-piper", "ms", taken, goal))
    return rows, [f"streamed: {len(PIECES)} words, {WORDS_PER_S:g} per second; from the first word sent"]


async def _first_sound_s(client: AsyncClient, gap_s: float) -> float:
    async with client.synthesize_stream(VOICE, priority="voice") as stream:
        began_s = time.monotonic()

        async def feed() -> None:
            for at, piece in enumerate(PIECES):
                await asyncio.sleep(began_s + at * gap_s - time.monotonic())
                await stream.send(piece)
            await stream.finish()

        feeding = asyncio.create_task(feed())
        try:
            async for event in stream:
                if isinstance(event, AudioChunk):
                    return time.monotonic() - began_s
        finally:
            feeding.cancel()
            await asyncio.wait({feeding})
    raise Cancelled("the voice said nothing")
