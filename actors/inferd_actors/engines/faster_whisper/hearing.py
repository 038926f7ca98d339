"""What the model is asked to hear, and what it heard: the nouns between the loop and the one who computes.

Covers: a pass and its result, and how a sound is refused. Pure. See also: `line` (whose turn it is), `library.Ear` (who hears).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inferd.errors import InvalidRequest

Samples = NDArray[np.float32]
"""From -1 to 1, shape (n_samples,), mono, 16 kHz."""

Care = Literal["quick", "clean", "file"]
"""quick: a hearing that another one will follow; clean: the words of an utterance; file: as `clean`, and a second and third try
at sound that is hard to understand."""

RATE_HZ = 16_000
"""What Whisper and Silero were trained on."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Sound to be heard once: at most one window of the model, 30 s, is the rule; more takes longer."""

    sound: Samples
    care: Care
    language: str | None
    """None: to be detected."""
    prompt: str = ""
    """What is likely to come, then what was said just before."""
    with_words: bool = False
    """The times of words are wanted."""

    @property
    def sound_s(self) -> float:
        """How long it is."""
        return len(self.sound) / RATE_HZ


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word, with the blank in front of it, and its time within the pass."""

    text: str
    start_s: float
    end_s: float
    probability: float


@dataclass(frozen=True, slots=True)
class HeardSegment:
    """A phrase as the model cuts them, and its time within the pass."""

    text: str
    start_s: float
    end_s: float
    words: tuple[HeardWord, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """What a pass brought; nobody's words are not among it."""

    segments: tuple[HeardSegment, ...]
    language: str
    language_probability: float
    began_s: float
    """By the clock that the loop uses."""
    pass_s: float
    """How long it took."""

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(segment.text for segment in self.segments)


def unreadable(problem: str) -> InvalidRequest:
    """Return the refusal of a sound."""
    return InvalidRequest(f"body.audio: {problem}", details={"field": "body.audio"})
