"""How far stable words lag behind the speaker, and whether that grows: people reading aloud without an end.

They read the same again and again, and the last round is compared with the first: lags differ between texts by more than they
could grow.

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


@dataclass(frozen=True)
class Reading:
    """What is read aloud, over and over."""

    round_: Sound
    words: Sequence[Timed]
    """Of one round."""
    rounds: int

    @property
    def round_s(self) -> float:
        """How long one takes."""
        return len(self.round_) / RATE_HZ

    @property
    def sound(self) -> Sound:
        """Return all of it, and a second of silence."""
        return np.concatenate([*[self.round_] * self.rounds, quiet(1.0)])

    @property
    def spoken(self) -> list[Timed]:
        """Return the words of all rounds."""
        starts_s = (number * self.round_s for number in range(self.rounds))
        return [(word, start_s + ended_s) for start_s in starts_s for word, ended_s in self.words]


@dataclass
class Listener:
    """One stream's words as they became stable."""

    spoken: Sequence[Timed]
    lags_s: list[tuple[float, float]] = field(default_factory=list)
    """When each word had ended, seconds of the sound, and its lag; in the order of time."""
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
                ended_s = spoken[block.a + at][1]
                self.lags_s.append((ended_s, heard[block.b + at][1] - ended_s))


def run(pairs: int, minutes: float) -> tuple[list[Row], list[str]]:
    """Return the rows and notes of this bench; each number of streams goes on for so many minutes."""
    reading = _reading(Hearing(path_of(EAR)), minutes)
    rows, notes = list[Row](), list[str]()
    with service(EAR) as daemon:
        for streams in STREAMS:
            listeners = asyncio.run(_listen(str(daemon.socket), reading, streams))
            rows += _rows(listeners, streams, reading)
            words, late = sum(one.words for one in listeners), sum(one.late for one in listeners)
            found = sum(len(one.lags_s) for one in listeners)
            asked = f"{streams} x {reading.rounds} x {reading.round_s:.0f} s"
            notes.append(f"partials: {asked}: {words} words, {late} of finals only, {found} timed")
    return rows, notes


def _reading(ear: Hearing, minutes: float) -> Reading:
    """Return people reading aloud for so long: whole rounds, two at least."""
    parts = [recordings.pcm(one) for one in (*recordings.librivox(), *recordings.prompts(PROMPTS))]
    round_, at, timed = np.concatenate(parts), 0, list[Timed]()
    for part in parts:
        words = ear.words(part.astype(np.float32) / np.float32(32_768))
        timed += [(word, at / RATE_HZ + end_s) for text, end_s in words for word in wer.words(text)]
        at += len(part)
    return Reading(round_, timed, max(2, round(minutes * 60 * RATE_HZ / len(round_))))


async def _listen(socket: str, reading: Reading, streams: int) -> list[Listener]:
    async with AsyncClient("partials", socket=socket) as client, asyncio.TaskGroup() as group:
        tasks = [group.create_task(_stream(client, reading)) for _ in range(streams)]
    return [task.result() for task in tasks]


async def _stream(client: AsyncClient, reading: Reading) -> Listener:
    listener = Listener(reading.spoken)
    async with client.transcribe_stream(model=EAR, language="en", priority="voice") as stream:
        began_s = time.monotonic()

        async def feed() -> None:
            await microphone(stream.send, reading.sound)
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


def _rows(listeners: Sequence[Listener], streams: int, reading: Reading) -> list[Row]:
    lags_ms = [(ended_s // reading.round_s, 1000 * lag_s) for one in listeners for ended_s, lag_s in one.lags_s]
    every = [lag for _, lag in lags_ms]
    first, *_, last = (
        statistics.median(lag for round_, lag in lags_ms if round_ == number) for number in range(reading.rounds)
    )
    name = f"{streams} stream{'s' * (streams > 1)}"
    lasted = f"{reading.rounds * reading.round_s / 60:.1f} min"
    return [
        single_row(f"lag of stable words, {name}: p50", "ms", statistics.median(every)),
        single_row(f"lag of stable words, {name}: p95", "ms", percentile(every, 0.95)),
        single_row(f"growth of that p50 over {lasted}, {name}", "ms", last - first, GROWTH_GOAL),
    ]
