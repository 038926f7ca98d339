"""One answer on its way: the text as it is written, the sound as it comes, and what of it has been heard.

Covers: what belongs to an attempt and to an epoch, and when their moments were. Does not cover turn taking: `turns`. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from inferd.messages.speech import Heard
from inferd.spoken import Script
from inferd.voice.playback import Playback


@dataclass(slots=True)
class Attempt:
    """An answer's text, asked for with certain words of the user's; several may be begun before one is spoken."""

    number: int
    asked: str
    began_s: float
    pieces: list[str] = field(default_factory=list)
    complete: bool = False
    first_text_s: float | None = None

    def write(self, text: str, now_s: float) -> None:
        """Add the next piece."""
        self.pieces.append(text)
        if self.first_text_s is None:
            self.first_text_s = now_s


@dataclass(slots=True)
class Utterance:
    """What the user is saying."""

    number: int
    started_s: float
    text: str = ""
    """As far as it has been understood."""
    into_answer: bool = False
    """It began while an answer was being played."""
    ended_s: float | None = None
    silence_ms: int | None = None
    """How long nobody had spoken by then."""


class Answer:
    """An attempt that is spoken, as one epoch of sound."""

    def __init__(self, turn: int, attempt: Attempt, playback: Playback, began_s: float) -> None:
        self.turn = turn
        self.attempt = attempt
        self.playback = playback
        self.script = Script()
        self.sounding_s: float | None = None
        """When its first sound was handed out."""
        self.held_s: float | None = None
        """Since when it stands still because somebody speaks into it."""
        self.silent_s = began_s
        """Since when nothing of it has been heard."""
        self.thinking = False
        """The app has been told of this silence."""
        self.reported_ms = 0
        """What the voice has been told of how much was played."""

    @property
    def epoch(self) -> int:
        """The epoch of its sound."""
        return self.playback.epoch

    def heard(self, now_s: float) -> Heard:
        """Return what has been heard of it."""
        return self.script.heard(self.playback.played_ms(now_s))
