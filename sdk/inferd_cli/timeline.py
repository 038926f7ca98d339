"""Who worked when in a turn of a conversation by voice: bars and marks, from what the session told.

Covers: the record of a turn and its timeline. Does not cover drawing (`drawing`). Moments are seconds since the microphone's
first sound. Pure: times are passed in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from inferd.messages.events import AudioChunk
from inferd.uplink import SAMPLE_BYTES
from inferd.voice import (
    AgentStartedSpeaking,
    FinalTranscript,
    PartialTranscript,
    ReplyDelta,
    Turn,
    TurnEnded,
    UserStartedSpeaking,
    UserStoppedSpeaking,
    VoiceEvent,
)

LANES: Final = ("microphone", "VAD", "ear", "text", "voice", "playback")
"""From the first to hear to the last to be heard."""

Shade = Literal["full", "light"]


@dataclass(frozen=True, slots=True)
class Bar:
    """A span of time in which a part worked."""

    lane: str
    start_s: float
    end_s: float
    label: str = ""
    shade: Shade = "full"


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment at which a part said something."""

    lane: str
    at_s: float
    label: str = ""


@dataclass(frozen=True, slots=True)
class Timeline:
    """A turn as it can be drawn."""

    asked: str
    answered: str
    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...]
    endpoint_s: float | None
    """The turn was known to be over."""
    speech_end_s: float | None
    """The user's last sound."""
    first_sound_s: float | None
    """The answer's first sound was handed out."""
    end_s: float

    @property
    def response_s(self) -> float | None:
        """From the user's last sound to the answer's first: what a person feels."""
        known = self.first_sound_s is not None and self.speech_end_s is not None
        return (self.first_sound_s or 0.0) - (self.speech_end_s or 0.0) if known else None


@dataclass(slots=True)
class Record:
    """What happened in a turn, as it is told. `began_s`: the microphone's first sound, of the monotonic clock."""

    began_s: float
    question_s: float
    """How long the question's sound is."""
    turn: Turn | None = None
    sound: list[AudioChunk] = field(default_factory=list)
    _heard: list[tuple[float, VoiceEvent]] = field(default_factory=list)

    def add(self, event: VoiceEvent, now_s: float) -> None:
        """Take note of what the session told."""
        self._heard.append((now_s - self.began_s, event))
        match event:
            case AudioChunk():
                self.sound.append(event)
            case TurnEnded(turn):
                self.turn = turn

    def timeline(self) -> Timeline:
        """Return who worked when."""
        turn = self.turn or Turn(0)
        endpoint_s = self._since(turn.endpoint_s)
        silence_s = None if turn.silence_ms is None else turn.silence_ms / 1000
        speech_end_s = None if endpoint_s is None or silence_s is None else endpoint_s - silence_s
        bars = (*self._listening(speech_end_s), *self._answering(turn))
        return Timeline(
            asked=turn.user_text,
            answered=turn.agent_text,
            bars=bars,
            marks=self._marks(),
            endpoint_s=endpoint_s,
            speech_end_s=speech_end_s,
            first_sound_s=self._since(turn.first_audio_s),
            end_s=max((one.end_s for one in bars), default=0.0),
        )

    def _listening(self, speech_end_s: float | None) -> list[Bar]:
        bars = [Bar("microphone", 0.0, self.question_s, "the question")]
        spoke_s, stopped_s = self._first(UserStartedSpeaking), self._last(UserStoppedSpeaking)
        final_s = self._last(FinalTranscript)
        if spoke_s is not None and stopped_s is not None:
            bars.append(Bar("VAD", spoke_s, speech_end_s or stopped_s, "speech"))
            bars.append(Bar("VAD", speech_end_s or stopped_s, stopped_s, "silence", "light"))
        if spoke_s is not None and final_s is not None:
            middle_s = min(final_s, stopped_s or final_s)
            bars.append(Bar("ear", spoke_s, middle_s, "partials, and the final ahead", "light"))
            bars.append(Bar("ear", middle_s, final_s, "final"))
        return [one for one in bars if one.end_s > one.start_s]

    def _answering(self, turn: Turn) -> list[Bar]:
        asked_s, first_text_s = self._since(turn.reply_s), self._since(turn.first_text_s)
        last_text_s, sounds_s = self._last(ReplyDelta), self._first(AgentStartedSpeaking)
        bars = []
        if asked_s is not None and first_text_s is not None:
            bars.append(Bar("text", asked_s, first_text_s, "first token", "light"))
            bars.append(Bar("text", first_text_s, max(first_text_s, last_text_s or 0.0), "the answer is written"))
        given_s = self._first(ReplyDelta)
        if given_s is not None and sounds_s is not None:
            bars.append(Bar("voice", given_s, sounds_s, "first clause", "light"))
            bars.append(Bar("voice", sounds_s, max(sounds_s, self._last(AudioChunk) or 0.0), "the next clauses"))
            bars.append(Bar("playback", sounds_s, sounds_s + self.sound_s, "the answer is heard"))
        return [one for one in bars if one.end_s > one.start_s]

    @property
    def sound_s(self) -> float:
        """How long the answer's sound is."""
        return sum(len(one.pcm) / SAMPLE_BYTES / one.rate_hz for one in self.sound)

    def _marks(self) -> tuple[Mark, ...]:
        partials = [
            Mark("ear", at_s, f"{event.stable}{event.tentative}".strip())
            for at_s, event in self._heard
            if isinstance(event, PartialTranscript)
        ]
        pieces = [Mark("text", at_s) for at_s, event in self._heard if isinstance(event, ReplyDelta)]
        return (*partials, *pieces)

    def _since(self, moment_s: float | None) -> float | None:
        return None if moment_s is None else moment_s - self.began_s

    def _first(self, kind: type) -> float | None:
        return next((at_s for at_s, event in self._heard if isinstance(event, kind)), None)

    def _last(self, kind: type) -> float | None:
        return next((at_s for at_s, event in reversed(self._heard) if isinstance(event, kind)), None)
