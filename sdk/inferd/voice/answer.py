"""One answer on its way: the text as it is written, the sound as it comes, and what of it has been heard.

Covers: what belongs to an attempt and to an epoch, and when their moments were. Does not cover turn taking: `turns`. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from inferd.messages.speech import Heard
from inferd.spoken import Script
from inferd.voice.events import AgentPaused, AgentResumed, AgentStartedSpeaking, Thinking
from inferd.voice.orders import Hold, Order, Report, Tell
from inferd.voice.playback import Playback

REPORT_MS: Final = 200
"""How often the voice is told what has been played: it works a second ahead of it."""


@dataclass(slots=True)
class Attempt:
    """An answer's text, asked for with certain words of the user's; several may be begun before one is spoken."""

    number: int
    asked: str
    began_s: float
    pieces: list[str] = field(default_factory=list)
    complete: bool = False
    first_text_s: float | None = None
    warnings: tuple[str, ...] = ()

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
    heard_ms: int = 0
    """Up to where the microphone's sound was listened to for that."""
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

    def hold(self, now_s: float) -> Iterator[Order]:
        """Let it stand still: somebody speaks into it. Again it does nothing."""
        if self.held_s is None:
            self.held_s, self.playback.held = now_s, True
            yield Hold(self.epoch, held=True)
            if self.sounding_s is not None:
                yield Tell(AgentPaused(self.turn))

    def resume(self, now_s: float) -> Iterator[Order]:
        """Let it go on, if it is held."""
        if self.held_s is not None:
            self.held_s, self.playback.held, self.silent_s = None, False, now_s
            yield Hold(self.epoch, held=False)
            if self.sounding_s is not None:
                yield Tell(AgentResumed(self.turn))

    def play(self, now_s: float, thinking_after_ms: int) -> Iterator[Order]:
        """Hand out the sound whose time has come, and notice when none comes."""
        frames = self.playback.due(now_s)
        if frames and self.sounding_s is None:
            self.sounding_s = now_s
            yield Tell(AgentStartedSpeaking(self.turn, self.epoch))
        yield from map(Tell, frames)
        if frames:
            self.silent_s, self.thinking = now_s, False
            yield from self._report(now_s)
        elif self.held_s is None and not self.playback.complete and not self.thinking:
            waited_ms = round((now_s - self.silent_s) * 1000)
            if waited_ms >= thinking_after_ms:
                self.thinking = True
                yield Tell(Thinking(self.turn, waited_ms))

    def _report(self, now_s: float) -> Iterator[Order]:
        played_ms = self.playback.played_ms(now_s)
        if played_ms >= self.reported_ms + REPORT_MS:
            self.reported_ms = played_ms
            yield Report(self.epoch, played_ms)
