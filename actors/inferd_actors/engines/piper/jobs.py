"""What the engine's loop and its worker tell each other: a piece to be spoken, and what has become of it.

Covers: the nouns. Nothing here needs a library; the network's own ones stay behind `library`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from inferd.errors import InferenceError
from inferd_actors.engine import StreamId
from inferd_actors.engines.piper.segmenting import Piece
from inferd_actors.engines.piper.words import Placed, SourceWord


@dataclass(frozen=True, slots=True)
class Manner:
    """How a stream's text is spoken."""

    speaker: int
    scales: tuple[float, float, float]
    """Noise, length, noise of the widths, as the network takes them."""
    gain: float


@dataclass(frozen=True, slots=True)
class Utterance:
    """A sentence as espeak understands it: what the network takes at a time."""

    phonemes: Sequence[str]
    ids: Sequence[int]
    spans: Sequence[tuple[int, int]]
    """Of each phoneme, its part of `ids`, the pause behind it included."""


class Running(Protocol):
    """A computation that another thread may stop."""

    def stop(self) -> None:
        """End it within milliseconds; before it begins, too."""


@dataclass(slots=True, eq=False)
class Job:
    """A piece on its way to sound; belongs to the worker from `begin` to `Over`, but for `running`."""

    stream: StreamId
    piece: Piece
    manner: Manner
    is_first: bool
    """Its stream has no sound yet."""
    running: Running | None = None
    compute_s: float = 0.0
    utterances: Sequence[Utterance] | None = None
    n_spoken: int = 0
    """Of the utterances."""
    placed: Sequence[Placed] | None = None

    def stop(self) -> None:
        """End the computation; what has been spoken is not spoken again when it goes on."""
        if self.running is not None:
            self.running.stop()


@dataclass(frozen=True, slots=True)
class Timed:
    """A word and the samples of its utterance in which it is said."""

    word: SourceWord
    first_sample: int
    end_sample: int
    estimated: bool


@dataclass(frozen=True, slots=True)
class Made:
    """The sound of an utterance: int16, little-endian; and its words, None: they are told behind it."""

    job: Job
    pcm: bytes
    words: Sequence[Timed] | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """The words of the utterance that was made last."""

    job: Job
    words: Sequence[Timed]


@dataclass(frozen=True, slots=True)
class Over:
    """The worker is free; `is_whole`: the piece has been spoken, else it was stopped and can be gone on with, or failed."""

    job: Job
    is_whole: bool
    failure: InferenceError | None = None


Result = Made | Told | Over
