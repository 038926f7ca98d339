"""What happens to a conversation beside what is heard, and what is to be done about it.

Covers: the happenings that `Turns` takes besides the events of `inferd.messages`, and the orders that it gives. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from inferd.errors import InferenceError
from inferd.messages.events import AudioChunk
from inferd.messages.operations import Message
from inferd.messages.speech import AudioStarted, Final, Partial, SpeechStarted, SpeechStopped, Word
from inferd.voice.events import VoiceEvent

# --- happenings


@dataclass(frozen=True, slots=True)
class Written:
    """The next piece of an attempt's text."""

    attempt: int
    text: str


@dataclass(frozen=True, slots=True)
class WrittenOut:
    """An attempt's text is complete; with `failure`: as far as it will ever be."""

    attempt: int
    failure: InferenceError | None = None
    warnings: tuple[str, ...] = ()
    """What the model did otherwise than asked."""


@dataclass(frozen=True, slots=True)
class SpokenOut:
    """All of an epoch's sound has come; with `failure`: as much as ever will."""

    epoch: int
    failure: InferenceError | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """The app knows how much of an epoch the loudspeaker has played; None: of the present one."""

    played_ms: int
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Hush:
    """The app wants the answer cut off."""


@dataclass(frozen=True, slots=True)
class Utter:
    """The app wants this said, if nobody is speaking and nothing is to be answered."""

    text: str


@dataclass(frozen=True, slots=True)
class Passed:
    """Time has passed."""


Happening = (
    SpeechStarted
    | Partial
    | SpeechStopped
    | Final
    | Written
    | WrittenOut
    | AudioStarted
    | AudioChunk
    | Word
    | SpokenOut
    | Told
    | Hush
    | Utter
    | Passed
)

# --- orders


@dataclass(frozen=True, slots=True)
class Write:
    """Begin an attempt at an answer."""

    attempt: int
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class StopWriting:
    """Nothing more of this attempt is wanted."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Speak:
    """Open the voice for an epoch."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Feed:
    """Give the voice the next piece of the text; None: that was all."""

    epoch: int
    text: str | None


@dataclass(frozen=True, slots=True)
class Hold:
    """Have the voice stop for now, and keep everything; or go on."""

    epoch: int
    held: bool


@dataclass(frozen=True, slots=True)
class Report:
    """Tell the voice how much has been played."""

    epoch: int
    played_ms: int


@dataclass(frozen=True, slots=True)
class StopSpeaking:
    """Nothing more of this epoch is wanted."""

    epoch: int
    played_ms: int


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the app."""

    event: VoiceEvent


Order = Write | StopWriting | Speak | Feed | Hold | Report | StopSpeaking | Tell
