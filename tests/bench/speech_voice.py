"""A voice: first sound after a clause against piper called directly on that clause, and how soon a cancel ends the sound.

Both with the same number of threads and a session that does not spin, in turn; ours through the daemon, from `.send` to the
chunk in the app's hands. For cancels the engine is called as its process calls it: the moment counts at which sound leaves it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from listening_sink import ListeningSink
from measure import Goal, Row, alternate_awaited, difference_row, percentile, single_row
from speech_daemon import THREADS, VOICE, path_of, service
from speech_direct import Speaking

from inferd import AsyncClient
from inferd.messages.events import AudioChunk
from inferd.messages.speech import AudioStarted, Synthesize
from inferd_actors import engines
from inferd_actors.engine import Engine, EngineEvent, StreamId, Submission

CLAUSE: Final = "I would like to tell you a short story,"
STORY: Final = "Once upon a time there was a king who had three daughters, and all of them were clever. " * 20
CANCELS: Final = 60
FIRST_SOUND_GOAL: Final = Goal(15.0)
CANCEL_GOAL: Final = Goal(60.0)


class Stopwatch(ListeningSink):
    """A sink that knows when each stream's last sound came."""

    def __init__(self) -> None:
        super().__init__()
        self.last_s: dict[StreamId, float] = {}

    def emit(self, batch: Sequence[tuple[StreamId, EngineEvent]]) -> None:
        now_s = time.perf_counter()
        for stream, event in batch:
            if isinstance(event, AudioChunk):
                self.last_s[stream] = now_s
        super().emit(batch)


class Voice:
    """The engine under test."""

    def __init__(self, path: Path) -> None:
        self.sink = Stopwatch()
        self.engine: Engine = engines.factory("piper")(self.sink)
        self.engine.load(str(path), {"threads": THREADS}, lambda done, phase: None)
        self._n_asked = 0

    def open(self, operation: Synthesize) -> StreamId:
        self._n_asked += 1
        stream = StreamId(self._n_asked)
        self.engine.submit(Submission(stream, "m", operation, "voice", "", 0.0, 0.0))
        self.sink.wait(lambda: bool(self.sink.events(stream)))
        return stream

    def cancel_ms(self, after_s: float) -> tuple[float, float]:
        """Return how long after a cancel the last sound left, and the end came."""
        stream = self.open(Synthesize(STORY))
        time.sleep(after_s)
        asked_s = time.perf_counter()
        self.engine.cancel(stream, "app")
        self.sink.whole(stream)
        ended_s = time.perf_counter()
        return max(0.0, 1000 * (self.sink.last_s.get(stream, asked_s) - asked_s)), 1000 * (ended_s - asked_s)


async def first_sounds(socket: str, direct: Speaking, pairs: int) -> list[tuple[float, float]]:
    """Return how long the clause's first sound took through the daemon and directly, pair by pair, in ms."""
    async with AsyncClient("voice", socket=socket) as client:

        async def ours(_: int) -> float:
            async with client.synthesize_stream(VOICE, priority="voice") as stream:
                async for event in stream:
                    if isinstance(event, AudioStarted):
                        asked_s = time.perf_counter()
                        await stream.send(CLAUSE)
                    if isinstance(event, AudioChunk):
                        return 1000 * (time.perf_counter() - asked_s)
            raise RuntimeError("the voice said nothing")

        async def theirs(_: int) -> float:
            return await asyncio.to_thread(direct.first_ms, CLAUSE)

        await ours(0)
        await theirs(0)
        return await alternate_awaited(ours, theirs, pairs)


def run(pairs: int) -> tuple[list[Row], list[str]]:
    """Return the rows and notes of this bench."""
    path = path_of(VOICE)
    with service(VOICE) as daemon:
        taken = asyncio.run(first_sounds(str(daemon.socket), Speaking(path), pairs))
    voice = Voice(path)
    try:
        moments = random.Random(7)  # noqa: S311 - moments, not secrets
        cancels = [voice.cancel_ms(moments.random()) for _ in range(CANCELS)]
    finally:
        voice.engine.close()
    rows = [
        difference_row("first sound of a nine-word clause / piper directly", "ms", taken, FIRST_SOUND_GOAL),
        single_row("cancel to last sound, p95", "ms", percentile([last for last, _ in cancels], 0.95), CANCEL_GOAL),
        single_row("cancel to the end, p95", "ms", percentile([end for _, end in cancels], 0.95)),
    ]
    return rows, [f"voice: {THREADS} threads, {CANCELS} cancels at random moments within a second"]
