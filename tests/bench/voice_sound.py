"""A voice: first sound after a clause against piper called directly on that clause, and how soon a cancel ends the sound.

Both with the same number of threads and a session that does not spin, in turn. The engine is called as its process calls it,
without a daemon: `bench_spine` shows what the line adds.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import onnxruntime
import speech_models
from listening_sink import ListeningSink
from measure import Goal, Row, alternate, difference_row, percentile, single_row
from piper import PiperVoice

from inferd.messages.control import Feed
from inferd.messages.events import AudioChunk
from inferd.messages.speech import Synthesize, SynthesizeStream
from inferd_actors import engines
from inferd_actors.engine import Engine, EngineEvent, StreamId, Submission

CLAUSE: Final = "I would like to tell you a short story,"
STORY: Final = "Once upon a time there was a king who had three daughters, and all of them were clever. " * 20
THREADS: Final = 1
CANCELS: Final = 60
FIRST_SOUND_GOAL: Final = Goal(15.0)
CANCEL_GOAL: Final = Goal(60.0)


class Stopwatch(ListeningSink):
    """A sink that knows when each stream's first and last sound came."""

    def __init__(self) -> None:
        super().__init__()
        self.first_s: dict[StreamId, float] = {}
        self.last_s: dict[StreamId, float] = {}

    def emit(self, batch: Sequence[tuple[StreamId, EngineEvent]]) -> None:
        now_s = time.perf_counter()
        for stream, event in batch:
            if isinstance(event, AudioChunk):
                self.first_s.setdefault(stream, now_s)
                self.last_s[stream] = now_s
        super().emit(batch)


class Voice:
    """The engine under test."""

    def __init__(self, path: Path) -> None:
        self.sink = Stopwatch()
        self.engine: Engine = engines.factory("piper")(self.sink)
        self.engine.load(str(path), {"threads": THREADS}, lambda done, phase: None)
        self._n_asked = 0

    def open(self, operation: Synthesize | SynthesizeStream) -> StreamId:
        self._n_asked += 1
        stream = StreamId(self._n_asked)
        self.engine.submit(Submission(stream, "m", operation, "voice", "", 0.0, 0.0))
        self.sink.wait(lambda: bool(self.sink.events(stream)))
        return stream

    def first_sound_ms(self) -> float:
        stream = self.open(SynthesizeStream())
        asked_s = time.perf_counter()
        self.engine.feed(stream, Feed(1, 1, text=CLAUSE))
        self.sink.wait(lambda: stream in self.sink.first_s)
        self.engine.cancel(stream, "app")
        self.sink.whole(stream)
        return 1000 * (self.sink.first_s[stream] - asked_s)

    def cancel_ms(self, after_s: float) -> tuple[float, float]:
        """Return how long after a cancel the last sound left, and the end came."""
        stream = self.open(Synthesize(STORY))
        time.sleep(after_s)
        asked_s = time.perf_counter()
        self.engine.cancel(stream, "app")
        self.sink.whole(stream)
        ended_s = time.perf_counter()
        return max(0.0, 1000 * (self.sink.last_s.get(stream, asked_s) - asked_s)), 1000 * (ended_s - asked_s)


def directly(path: Path) -> PiperVoice:
    """Return piper as it is, but for its session."""
    voice = PiperVoice.load(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    voice.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return voice


def direct_ms(voice: PiperVoice) -> float:
    """Return how long piper takes to the sound of the clause."""
    asked_s = time.perf_counter()
    _ = next(iter(voice.synthesize(CLAUSE))).audio_int16_bytes
    return 1000 * (time.perf_counter() - asked_s)


def run(pairs: int) -> tuple[list[Row], list[str]]:
    """Return the rows and notes of this bench."""
    path = speech_models.joe()
    voice, piper = Voice(path), directly(path)
    try:
        direct_ms(piper), voice.first_sound_ms()
        taken = alternate(lambda _: voice.first_sound_ms(), lambda _: direct_ms(piper), pairs)
        moments = random.Random(7)  # noqa: S311 - moments, not secrets
        cancels = [voice.cancel_ms(moments.random()) for _ in range(CANCELS)]
    finally:
        voice.engine.close()
    rows = [
        difference_row("first sound of a nine-word clause", "ms", taken, FIRST_SOUND_GOAL),
        single_row("cancel to last sound, p95", "ms", percentile([last for last, _ in cancels], 0.95), CANCEL_GOAL),
        single_row("cancel to the end, p95", "ms", percentile([end for _, end in cancels], 0.95), CANCEL_GOAL),
    ]
    return rows, [f"voice: {THREADS} thread, {pairs} pairs, {CANCELS} cancels at random moments within a second"]
