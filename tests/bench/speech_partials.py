"""How far stable words lag behind the speaker, and whether that grows: people reading aloud without an end.

One stream, and as many as a machine of two cores has no time for. A word's lag is counted from its end in the sound, as
faster-whisper times the words of the recordings alone, to the event that made it stable; words that no partial had count when
the final brings them.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import cycle
from typing import Final

import numpy as np
import recordings
from measure import Goal, Row, percentile, single_row
from recordings import RATE_HZ
from speech_daemon import EAR, Sound, microphone, path_of, quiet, service
from speech_direct import Hearing

from inferd import AsyncClient, wer
from inferd.messages.speech import Final as FinalText
from inferd.messages.speech import Partial

PROMPTS: Final = 15
STREAMS: Final = (1, 4)
GROWTH_GOAL: Final = Goal(500.0)
MARGIN_S: Final = 0.5
"""Around an utterance, in which its words are looked for."""

Timed = tuple[str, float]
"""A word, and when it ended: seconds of the sound."""


@dataclass
class Listener:
    """One stream's words as they became stable."""

    spoken: Sequence[Timed]
    lags_s: list[Timed] = field(default_factory=list)
    """Each word's lag, in the order of time."""
    words: int = 0
    late: int = 0
    """Words that only the final brought."""
    _utterance: list[tuple[str, float]] = field(default_factory=list)
    """Words of the present utterance, and when each was stable: seconds since the sound began."""

    def partial(self, event: Partial, now_s: float) -> None:
        """Take the words that are stable now."""
        self._utterance += [(word, now_s) for word in wer.words(event.stable)[len(self._utterance) :]]

    def final(self, event: FinalText, now_s: float) -> None:
        """Take the rest of the utterance, and find its words among those that were spoken."""
        rest = wer.words(event.text)[len(self._utterance) :]
        self.words, self.late = self.words + len(self._utterance) + len(rest), self.late + len(rest)
        heard = [*self._utterance, *((word, now_s) for word in rest)]
        self._utterance = []
        first_s, end_s = event.start_ms / 1000 - MARGIN_S, event.end_ms / 1000 + MARGIN_S
        spoken = [one for one in self.spoken if first_s <= one[1] <= end_s]
        matcher = SequenceMatcher(None, [word for word, _ in spoken], [word for word, _ in heard], autojunk=False)
        for block in matcher.get_matching_blocks():
            for at in range(block.size):
                word, ended_s = spoken[block.a + at]
                self.lags_s.append((word, heard[block.b + at][1] - ended_s))


def run(pairs: int, minutes: float) -> tuple[list[Row], list[str]]:
    """Return the rows and notes of this bench; each number of streams goes on for so many minutes."""
    sound, spoken = _reading(Hearing(path_of(EAR)), minutes)
    rows, notes = list[Row](), list[str]()
    with service(EAR) as daemon:
        for streams in STREAMS:
            listeners = asyncio.run(_listen(str(daemon.socket), sound, spoken, streams))
            rows += _rows(listeners, streams, minutes)
            words, late = sum(one.words for one in listeners), sum(one.late for one in listeners)
            found = sum(len(one.lags_s) for one in listeners)
            notes.append(f"partials: {streams} x {minutes:g} min: {words} words, {late} of finals only, {found} timed")
    return rows, notes


def _reading(ear: Hearing, minutes: float) -> tuple[Sound, list[Timed]]:
    """Return people reading aloud for so long, and their words."""
    parts = [recordings.pcm(one) for one in (*recordings.librivox(), *recordings.prompts(PROMPTS))]
    timed = [ear.words(part.astype(np.float32) / np.float32(32_768)) for part in parts]
    wanted, pieces, spoken, length = minutes * 60 * RATE_HZ, list[Sound](), list[Timed](), 0
    for part, words in cycle(zip(parts, timed, strict=True)):
        if length >= wanted:
            break
        spoken += [(word, length / RATE_HZ + end_s) for text, end_s in words for word in wer.words(text)]
        pieces.append(part)
        length += len(part)
    return np.concatenate(pieces), spoken


async def _listen(socket: str, sound: Sound, spoken: Sequence[Timed], streams: int) -> list[Listener]:
    async with AsyncClient("partials", socket=socket) as client, asyncio.TaskGroup() as group:
        tasks = [group.create_task(_stream(client, sound, spoken)) for _ in range(streams)]
    return [task.result() for task in tasks]


async def _stream(client: AsyncClient, sound: Sound, spoken: Sequence[Timed]) -> Listener:
    listener = Listener(spoken)
    async with client.transcribe_stream(model=EAR, language="en", priority="voice") as stream:
        began_s = time.monotonic()

        async def feed() -> None:
            await microphone(stream.send, np.concatenate([sound, quiet(1.0)]))
            await stream.finish()

        feeding = asyncio.create_task(feed())
        async for event in stream:
            match event:
                case Partial():
                    listener.partial(event, time.monotonic() - began_s)
                case FinalText():
                    listener.final(event, time.monotonic() - began_s)
        await feeding
    return listener


def _rows(listeners: Sequence[Listener], streams: int, minutes: float) -> list[Row]:
    lags_ms = [[1000 * lag_s for _, lag_s in one.lags_s] for one in listeners]
    every = [lag for one in lags_ms for lag in one]
    early = [lag for one in lags_ms for lag in one[: len(one) // 3]]
    late = [lag for one in lags_ms for lag in one[-(len(one) // 3) :]]
    name = f"{streams} stream{'s' * (streams > 1)}"
    growth = statistics.median(late) - statistics.median(early)
    return [
        single_row(f"lag of stable words, {name}: p50", "ms", statistics.median(every)),
        single_row(f"lag of stable words, {name}: p95", "ms", percentile(every, 0.95)),
        single_row(f"growth of that p50 over {minutes:g} min, {name}", "ms", growth, GROWTH_GOAL),
    ]
