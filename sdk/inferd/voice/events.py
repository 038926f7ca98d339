"""What a voice session tells the app, besides the sound itself (`AudioChunk`).

Covers: the events and `Turn`, the account of one. Moments are seconds of the monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from inferd.errors import InferenceError
from inferd.messages.events import AudioChunk


@dataclass(frozen=True, slots=True)
class UserStartedSpeaking:
    """Somebody began to speak. Utterances count from 1."""

    utterance: int


@dataclass(frozen=True, slots=True)
class UserStoppedSpeaking:
    """The utterance is over; its `FinalTranscript` follows."""

    utterance: int


@dataclass(frozen=True, slots=True)
class PartialTranscript:
    """What has been understood so far. `stable` only grows; `tentative` follows it and may change."""

    utterance: int
    stable: str
    tentative: str


@dataclass(frozen=True, slots=True)
class FinalTranscript:
    """What was said. Empty: it was no speech. `ignored`: it did not interrupt the answer, and is not answered."""

    utterance: int
    text: str
    ignored: bool = False


@dataclass(frozen=True, slots=True)
class Thinking:
    """Nothing has been heard of the answer for `waited_ms`: time to play something."""

    turn: int
    waited_ms: int


@dataclass(frozen=True, slots=True)
class ReplyDelta:
    """The next piece of the answer's text, on its way to the voice."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class AgentStartedSpeaking:
    """The first sound of the answer is here. Sound of an older epoch than this is stale."""

    turn: int
    epoch: int


@dataclass(frozen=True, slots=True)
class AgentPaused:
    """Somebody spoke into the answer: it stands still until it is known whether they said anything."""

    turn: int


@dataclass(frozen=True, slots=True)
class AgentResumed:
    """It was nothing: the answer goes on where it was."""

    turn: int


@dataclass(frozen=True, slots=True)
class AgentStoppedSpeaking:
    """The answer has been played, or was cut off."""

    turn: int


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The user cut the answer off. Whatever of its sound has not been played yet is to be thrown away."""

    turn: int
    heard_text: str
    """What stands in the conversation in place of the whole answer."""
    played_ms: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A part of this turn failed; the session goes on. What had come of the answer is played."""

    turn: int
    stage: Literal["reply", "speech"]
    error: InferenceError


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn, and where its time went. A moment that never came is None."""

    number: int
    user_text: str = ""
    agent_text: str = ""
    """What was heard of the answer."""
    interrupted: bool = False
    silence_ms: int | None = None
    """Between the end of the user's speech and the moment at which the turn was known to be over."""
    endpoint_s: float | None = None
    """The turn was over."""
    transcript_s: float | None = None
    """The final text was there."""
    reply_s: float | None = None
    """The text that was spoken was asked for; before `endpoint_s` if that was done ahead."""
    first_text_s: float | None = None
    first_audio_s: float | None = None
    """The first sound was handed out."""
    ended_s: float | None = None
    warnings: tuple[str, ...] = ()
    """What the model did otherwise than asked: which of the oldest turns it was not given, say."""

    @property
    def first_audio_ms(self) -> int | None:
        """From the endpoint to the first sound."""
        return _between_ms(self.endpoint_s, self.first_audio_s)

    @property
    def response_ms(self) -> int | None:
        """From the end of the user's speech to the first sound: what a person feels."""
        audio_ms = self.first_audio_ms
        return None if audio_ms is None or self.silence_ms is None else audio_ms + self.silence_ms

    @property
    def stages_ms(self) -> dict[str, int | None]:
        """How long each stage took on the way from the endpoint to the first sound; negative: it had begun ahead."""
        return {
            "transcript": _between_ms(self.endpoint_s, self.transcript_s),
            "reply": _between_ms(self.endpoint_s, self.reply_s),
            "first_text": _between_ms(self.reply_s, self.first_text_s),
            "first_audio": _between_ms(
                max((one for one in (self.transcript_s, self.first_text_s) if one is not None), default=None),
                self.first_audio_s,
            ),
        }


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """A turn is over, answered or interrupted."""

    turn: Turn


VoiceEvent = (
    UserStartedSpeaking
    | UserStoppedSpeaking
    | PartialTranscript
    | FinalTranscript
    | Thinking
    | ReplyDelta
    | AgentStartedSpeaking
    | AgentPaused
    | AgentResumed
    | AgentStoppedSpeaking
    | Interrupted
    | Failed
    | TurnEnded
    | AudioChunk
)
"""What iterating a session yields."""


def _between_ms(from_s: float | None, to_s: float | None) -> int | None:
    return None if from_s is None or to_s is None else round((to_s - from_s) * 1000)
