"""The loop of the piper engine: text in, sound out, by the clock.

Covers: orders, who is computed for, what is sent when. Does not cover computing (`worker`), a stream (`narration`), whose turn
it is (`turns`).

Two threads: this loop never waits for the network, so a cancel, a pause or a first clause is acted upon at once, while a
sentence is being computed; the worker is told to stop in the middle of it, which takes milliseconds.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, assert_never

from inferd.errors import InferenceError, QueueFull
from inferd.messages.control import PRIORITIES
from inferd.messages.events import CancelReason
from inferd.messages.speech import Synthesize
from inferd_actors.engine import Capacity, EngineEvent, OnProgress, Sink, StreamId, Submission
from inferd_actors.engines import cores
from inferd_actors.engines import options as settings
from inferd_actors.engines.aside import VOICE
from inferd_actors.engines.desk import ALIVE_S, Begin, Desk, Drop, Flow, Hear, Hold, Order, Take, TakeNoMore
from inferd_actors.engines.piper import request, turns
from inferd_actors.engines.piper.jobs import Job, Made, Over, Result, Told
from inferd_actors.engines.piper.narration import SAMPLE_BYTES, Frame, Narration
from inferd_actors.engines.piper.options import Options
from inferd_actors.refusals import as_event

if TYPE_CHECKING:
    from inferd_actors.engines.piper.library import Voice

WAITING: Final = 256
"""Streams that may be here at once; the daemon keeps its own queue and sends a few for each slot and class."""
MOST_THREADS: Final = 4
WARM_UP: Final = ("Yes.", "The quick brown fox jumps over the lazy dog.")
"""Spoken to nobody: the first runs take twice as long, and the last one tells how loud the voice is."""
PEAK: Final = 0.7
"""What that one is brought to. The sentences of a voice differ by about 3 dB either way, so few are clipped."""
GAINS: Final = (0.25, 4.0)
"""Beyond these the file is broken, not quiet."""


class Piper(Desk):
    """The piper engine. See the engine contract for its methods."""

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self._options = Options()
        self._streams: dict[StreamId, Narration] = {}
        self._orderly = itertools.count(1)
        self._results: deque[Result] = deque()
        self._working: Job | None = None
        """What the worker has."""
        self._is_stopping = False
        """It has been told to put that off."""
        self._batch: list[tuple[StreamId, EngineEvent]] = []
        self._counters = dict.fromkeys(("steps", "characters", "sound_s", "compute_s", "put_off"), 0.0)

    # --- loading

    def load(self, path: str, options: Mapping[str, str | int | float | bool], on_progress: OnProgress) -> Capacity:
        """Open the voice at `path`, a folder or an .onnx with its .onnx.json beside it, and have it speak once."""
        self._options = chosen = settings.read(options, Options)
        on_progress(0.0, "importing")
        from inferd_actors.engines.piper import library, sentences
        from inferd_actors.engines.piper.worker import Worker

        on_progress(0.3, "weights")
        threads = chosen.threads or min(MOST_THREADS, cores.count())
        self._voice = voice = library.Voice(library.onnx_file(Path(path)), threads)
        on_progress(0.8, "warming up")
        self._gain = _gain(voice)
        self._sentences = partial(sentences.ends, voice.language)
        self._frame = Frame(voice.rate_hz, chosen.chunk_ms)
        self._worker = Worker(voice, self._deliver)
        self._begin(self._live, "piper")
        on_progress(1.0, "ready")
        return Capacity(chosen.slots, can_park=True, context_tokens=0, memory_bytes=voice.memory_bytes)

    def stats(self) -> Mapping[str, float]:
        """Return the counters."""
        due = self._untaken + (self._working is not None)
        return {**self._counters, "busy": float(len(self._streams)), "due": float(due)}

    def played(self, stream: StreamId, epoch: int, played_ms: int) -> None:
        """Tell how far the listener is."""
        self._put(Hear(stream, epoch, played_ms))

    # --- the loop

    def _live(self) -> None:
        computing = threading.Thread(target=self._guard, args=(self._worker.run,), name="voice", daemon=True)
        computing.start()
        try:
            self._loop()
        finally:
            if self._working is not None:
                self._working.stop()
            self._worker.close()
            computing.join()

    def _deliver(self, result: Result) -> None:
        """Take what the worker has made; called there."""
        self._results.append(result)
        self._bell.set()

    def _loop(self) -> None:
        while not self._closing.is_set():
            self._attend()
            now_s = time.monotonic()
            self._send(now_s)
            self._hand_out(now_s)
            self._tell_urgent(is_urgent=self._is_urgent_work(now_s))
            self._sink.alive()
            self._rest(self._patience_s(time.monotonic()))
        self._attend()
        for stream in tuple(self._streams):
            self._cancel(stream, "shutdown")
        self._emit()

    def _rest(self, timeout_s: float) -> None:
        if not self._results:
            super()._rest(timeout_s)

    def _patience_s(self, now_s: float) -> float:
        waits = (live.wait_s(now_s) for live in self._streams.values())
        return min((one for one in (*waits, self._aside.wait_s(now_s) or None) if one is not None), default=ALIVE_S)

    def _attend(self) -> None:
        for order in self._taken():
            self._obey(order)
        while self._results:
            self._book(self._results.popleft())

    def _send(self, now_s: float) -> None:
        """Send what is due, and let go of those whose end was among it."""
        for stream, live in tuple(self._streams.items()):
            self._batch += ((stream, event) for event in live.due(now_s))
            if live.has_ended:
                del self._streams[stream]
        self._emit()

    def _emit(self) -> None:
        if self._batch:
            batch, self._batch = self._batch, []
            self._sink.emit(batch)

    # --- computing

    def _hand_out(self, now_s: float) -> None:
        """Give the worker the next piece, or have it put off what it has for a more urgent one."""
        claims = [
            self._claim(live, now_s)
            for live in self._streams.values()
            if (live.job is None or live.job is not self._working) and live.wants_turn(now_s)
        ]
        may_all = self._aside.may_compute(now_s)
        waiting = turns.first(claim for claim in claims if may_all or not turns.can_wait(claim))
        for stream, live in self._streams.items():
            if window := live.window():
                self._sink.grant(stream, *window)
        if waiting is None:
            return
        if self._working is None:
            self._begin_job(self._streams[waiting.stream])
        elif (speaking := self._streams.get(self._working.stream)) and not self._is_stopping:
            self._is_stopping = turns.makes_way(self._claim(speaking, now_s), waiting)
            if self._is_stopping:
                self._working.stop()
                self._counters["put_off"] += 1

    def _is_urgent_work(self, now_s: float) -> bool:
        speaking = self._streams.get(self._working.stream) if self._working else None
        claim = self._claim(speaking, now_s) if speaking else None
        return claim is not None and claim.rank == VOICE and not turns.can_wait(claim)

    def _begin_job(self, live: Narration) -> None:
        if live.job is None:
            live.job = Job(live.submission.stream, live.take(), live.manner, is_first=live.is_silent)
        self._working = live.job
        self._worker.begin(live.job)

    def _claim(self, live: Narration, now_s: float) -> turns.Claim:
        asked = live.submission
        return turns.Claim(PRIORITIES.index(asked.priority), live.ahead_ms(now_s), live.order, asked.stream)

    def _book(self, result: Result) -> None:
        """Take note of what the worker says; of a stream that has ended only that the worker is free."""
        live = self._streams.get(result.job.stream)
        match result:
            case Made(_, pcm, words):
                self._counters["steps"] += 1
                self._counters["sound_s"] += self._frame.ms(len(pcm) // SAMPLE_BYTES) / 1000
                if live:
                    live.made(pcm, words or ())
            case Told(_, words):
                if live:
                    live.told(words)
            case Over(job, is_whole, failure):
                self._working, self._is_stopping = None, False
                if is_whole:
                    self._counters["characters"] += len(job.piece.text)
                    self._counters["compute_s"] += job.compute_s
                if live and turns.can_wait(self._claim(live, now_s := time.monotonic())):
                    self._aside.computed(job.compute_s, now_s)
                if live and failure:
                    self._refuse(job.stream, failure)
                elif live and is_whole:
                    live.spoken()
            case _:
                assert_never(result)

    # --- orders

    def _obey(self, order: Order) -> None:
        if isinstance(order, Begin):
            self._admit(order.submission)
            return
        live = self._streams.get(order.stream)
        if live is None:
            return
        match order:
            case Take(stream, piece):
                try:
                    live.feed(piece.text, time.monotonic())
                except InferenceError as refused:
                    self._refuse(stream, refused)
            case TakeNoMore():
                live.finish()
            case Flow(_, may_produce):
                live.may_produce = may_produce
            case Hold(_, held):
                live.hold(time.monotonic(), held=held)
            case Hear(_, epoch, played_ms):
                live.played(epoch, played_ms)
            case Drop(stream, reason):
                self._cancel(stream, reason)
            case _:
                assert_never(order)

    def _admit(self, submission: Submission) -> None:
        try:
            live = self._accepted(submission)
        except InferenceError as refused:
            self._batch.append((submission.stream, as_event(refused)))
            return
        self._streams[submission.stream] = live
        speaker = self._voice.speakers.name(live.manner.speaker)
        self._batch.append((submission.stream, live.opening(speaker)))

    def _accepted(self, submission: Submission) -> Narration:
        operation = request.asked(submission)
        if len(self._streams) >= WAITING:
            raise QueueFull(f"{WAITING} streams speak inside {submission.model}", details={"limit": WAITING})
        voice = self._voice
        manner = request.manner(operation, voice.speakers, voice.scales, self._gain, self._options)
        order, code = next(self._orderly), self._options.code
        live = Narration(submission, operation, order, manner, self._frame, self._sentences, code)
        if isinstance(operation, Synthesize):
            live.feed(operation.text, time.monotonic(), "body.text")
            live.finish()
        return live

    def _refuse(self, stream: StreamId, reason: InferenceError) -> None:
        self._batch.append((stream, as_event(reason)))
        self._forget(stream)

    def _cancel(self, stream: StreamId, reason: CancelReason) -> None:
        if live := self._streams.get(stream):
            self._batch.append((stream, live.cancelled(reason)))
            self._forget(stream)

    def _forget(self, stream: StreamId) -> None:
        live = self._streams.pop(stream)
        if live.job is not None and live.job is self._working:
            live.job.stop()


def _gain(voice: Voice) -> float:
    """Return what brings the voice to its usual loudness, whatever it says. Blocks for about a second."""
    from inferd_actors.engines.piper import library

    found = 0.0
    for text in WARM_UP:
        for utterance in voice.utterances(text):
            sound = voice.run(utterance, library.Run(), (0.0, voice.scales[1], 0.0), voice.speakers.first)
            found = library.peak(sound.samples)
    low, high = GAINS
    return min(high, max(low, PEAK / found)) if found else 1.0
