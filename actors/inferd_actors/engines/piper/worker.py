"""The thread that computes: one piece at a time, handed back utterance by utterance.

Covers: running a job, stopping it in the middle, going on with it later. Does not cover whose turn it is: `turns`.
The first sound of a stream is handed over before its words are looked for, because somebody waits for it.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Sequence
from itertools import accumulate

from inferd.errors import InferenceError, ModelFailed
from inferd_actors.engines.piper import library
from inferd_actors.engines.piper.jobs import Job, Made, Over, Result, Timed, Told
from inferd_actors.engines.piper.words import Placed, place, words_of


class Worker:
    """Whoever calls `run` is the worker, until `close`; `deliver` is called in that thread."""

    def __init__(self, voice: library.Voice, deliver: Callable[[Result], None]) -> None:
        self._voice = voice
        self._deliver = deliver
        self._jobs: queue.SimpleQueue[tuple[Job, library.Run] | None] = queue.SimpleQueue()

    def begin(self, job: Job) -> None:
        """Compute this once what was begun before is over, from where it was stopped; from any thread."""
        job.running = run = library.Run()
        self._jobs.put((job, run))

    def close(self) -> None:
        """Have `run` return after what was begun; from any thread."""
        self._jobs.put(None)

    def run(self) -> None:
        """Compute jobs. Blocks until `close`."""
        while (begun := self._jobs.get()) is not None:
            job, run = begun
            try:
                self._speak(job, run)
            except library.Stopped:
                self._deliver(Over(job, is_whole=False))
            except InferenceError as failure:
                self._deliver(Over(job, is_whole=False, failure=failure))
            except Exception as wrong:  # noqa: BLE001 - a library's fault over one text is this stream's alone
                failed = ModelFailed(f"the voice cannot speak this: {type(wrong).__name__}: {wrong}")
                self._deliver(Over(job, is_whole=False, failure=failed))
            else:
                self._deliver(Over(job, is_whole=True))

    def _speak(self, job: Job, run: library.Run) -> None:
        if job.utterances is None:
            job.utterances = self._voice.utterances(job.piece.text)
        while job.n_spoken < len(job.utterances):
            sound = self._sound(job, run)
            pcm = library.pcm(sound.samples, job.manner.gain)
            if job.is_first and not job.n_spoken:
                self._deliver(Made(job, pcm))
                self._deliver(Told(job, self._timed(job, sound)))
            else:
                self._deliver(Made(job, pcm, self._timed(job, sound)))
            job.n_spoken += 1

    def _sound(self, job: Job, run: library.Run) -> library.Sound:
        utterance = (job.utterances or ())[job.n_spoken]
        began_s = time.monotonic()
        try:
            return self._voice.run(utterance, run, job.manner.scales, job.manner.speaker)
        finally:
            job.compute_s += time.monotonic() - began_s

    def _timed(self, job: Job, sound: library.Sound) -> list[Timed]:
        """Return the words that begin in the utterance that has just been spoken."""
        starts = [0, *accumulate(len(utterance.phonemes) + 1 for utterance in job.utterances or ())]
        begin, end = starts[job.n_spoken], starts[job.n_spoken + 1]
        n_samples = len(sound.samples)
        borders = [0, *(sound.ends or evenly(end - begin - 1, n_samples)), n_samples]
        return [
            Timed(
                one.word,
                borders[one.begin - begin],
                borders[min(one.end, end) - begin],
                estimated=one.shared or sound.ends is None,
            )
            for one in self._placed(job)
            if begin <= one.begin < end
        ]

    def _placed(self, job: Job) -> Sequence[Placed]:
        if job.placed is None:
            phonemes = [one for utterance in job.utterances or () for one in (*utterance.phonemes, " ")]
            job.placed = place(words_of(job.piece.text, job.piece.origins), phonemes, self._voice.alone)
        return job.placed


def evenly(n_phonemes: int, n_samples: int) -> list[int]:
    """Return where each phoneme ends if all take as long."""
    return [n_samples * (at + 1) // n_phonemes for at in range(n_phonemes)]
