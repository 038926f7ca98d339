"""What `conversation` hears and what it orders: the words between one connection's decisions and its effects.

Covers: the classes. A job is one request to the daemon; jobs of a connection count from 1. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from wyoming.event import Event

from inferd.errors import InferenceError
from inferd.spoken import SpeechEvent
from inferd.transcript import TranscriptEvent
from inferd_bridges.wyoming.asked import Asked, Wish
from inferd_bridges.wyoming.offer import Offer

# --- what is heard, besides what the client says (`asked`)


@dataclass(frozen=True, slots=True)
class Wrong:
    """The client said something of this kind that cannot be used."""

    kind: str
    error: InferenceError


@dataclass(frozen=True, slots=True)
class Left:
    """The client has gone, or is to go."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What there is."""

    offer: Offer


@dataclass(frozen=True, slots=True)
class LookFailed:
    """The daemon did not say."""

    error: InferenceError


@dataclass(frozen=True, slots=True)
class Came:
    """An event of a job."""

    job: int
    event: TranscriptEvent | SpeechEvent


@dataclass(frozen=True, slots=True)
class Heard:
    """A job's whole transcript."""

    job: int
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """A job has said everything."""

    job: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A job has ended with an error."""

    job: int
    error: InferenceError


Happening = Asked | Wrong | Left | Looked | LookFailed | Came | Heard | Spoken | Failed

# --- what is ordered


@dataclass(frozen=True, slots=True)
class Say:
    """Write this to the client."""

    event: Event


@dataclass(frozen=True, slots=True)
class Look:
    """Ask the daemon what there is; Looked or LookFailed answers."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Begin a job that hears; `fed`: sound that has come by now."""

    job: int
    wish: Wish
    rate_hz: int
    prompt: str | None
    fed: tuple[bytes, ...] = ()
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Speak:
    """Begin a job that speaks; `fed`: text that has come by now."""

    job: int
    wish: Wish
    fed: tuple[str, ...] = ()
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Feed:
    """More for a job."""

    job: int
    piece: bytes | str


@dataclass(frozen=True, slots=True)
class Finish:
    """A job has got everything."""

    job: int


@dataclass(frozen=True, slots=True)
class Drop:
    """Cancel a job, if it still runs; what it says from now on changes nothing."""

    job: int


@dataclass(frozen=True, slots=True)
class Close:
    """End the connection once everything is written: not every client understands an error."""


Order = Say | Look | Listen | Speak | Feed | Finish | Drop | Close
