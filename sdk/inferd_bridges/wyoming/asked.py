"""What a client may say, as values that have been checked.

Covers: reading an event's fields, with the field named in the error. Does not cover answering: `conversation`. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from inferd.errors import InvalidRequest, UnsupportedMode

if TYPE_CHECKING:
    from wyoming.event import Event

WIDTHS: Final = range(1, 5)
CHANNELS: Final = range(1, 9)
RATES_HZ: Final = range(8_000, 192_001)
"""As on inferd's own wire."""
BIASED_CHARS: Final = 4_096
"""Of all words that are likely to come; as long as a `prompt` may be."""


@dataclass(frozen=True, slots=True)
class Format:
    """How sound comes: whole little-endian integers of `width` bytes, the channels of a moment together."""

    rate_hz: int
    width: int
    channels: int


@dataclass(frozen=True, slots=True)
class Wish:
    """Who is to hear or speak; None: whoever fits the rest."""

    name: str | None = None
    language: str | None = None
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class Describe:
    """Tell what there is."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Answer this."""

    text: str | None


@dataclass(frozen=True, slots=True)
class Transcribe:
    """Sound follows; its words are wanted."""

    wish: Wish = Wish()
    prompt: str | None = None
    """Words that are likely to come."""


@dataclass(frozen=True, slots=True)
class AudioStart:
    """Sound begins."""

    format: Format


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """More of it."""

    format: Format
    pcm: bytes


@dataclass(frozen=True, slots=True)
class AudioStop:
    """That was all."""


@dataclass(frozen=True, slots=True)
class Synthesize:
    """Speak this."""

    wish: Wish
    text: str


@dataclass(frozen=True, slots=True)
class SynthesizeStart:
    """Speak what follows."""

    wish: Wish


@dataclass(frozen=True, slots=True)
class SynthesizeChunk:
    """More of it, cut anywhere."""

    text: str


@dataclass(frozen=True, slots=True)
class SynthesizeStop:
    """That was all."""


Asked = (
    Describe
    | Ping
    | Transcribe
    | AudioStart
    | AudioChunk
    | AudioStop
    | Synthesize
    | SynthesizeStart
    | SynthesizeChunk
    | SynthesizeStop
)


def read(event: Event) -> Asked | None:  # noqa: PLR0911 - one arm for each kind
    """Return what an event says; None for kinds that are not known here. Raises InvalidRequest, UnsupportedMode."""
    said = _Fields(event.type, event.data)
    match event.type:
        case "describe":
            return Describe()
        case "ping":
            return Ping(said.text("text"))
        case "transcribe":
            return Transcribe(Wish(said.text("name"), said.text("language")), _bias(said))
        case "audio-start":
            return AudioStart(_format(said))
        case "audio-chunk":
            return AudioChunk(_format(said), event.payload or b"")
        case "audio-stop":
            return AudioStop()
        case "synthesize":
            return Synthesize(_voice(said), said.needed("text"))
        case "synthesize-start":
            return SynthesizeStart(_voice(said))
        case "synthesize-chunk":
            return SynthesizeChunk(said.needed("text"))
        case "synthesize-stop":
            return SynthesizeStop()
        case _:
            return None


@dataclass(frozen=True, slots=True)
class _Fields:
    """The fields of one event."""

    where: str
    data: Mapping[str, object]

    def text(self, field: str) -> str | None:
        """Return an optional text; an empty one is none."""
        found = self.data.get(field)
        if found is not None and not isinstance(found, str):
            raise self.wrong(field, "a string", found)
        return found or None

    def needed(self, field: str) -> str:
        """Return a text that must be there."""
        found = self.data.get(field)
        if not isinstance(found, str):
            raise self.wrong(field, "a string", found)
        return found

    def number(self, field: str, allowed: range) -> int:
        """Return a number that must be there."""
        found = self.data.get(field)
        if not isinstance(found, int) or isinstance(found, bool) or found not in allowed:
            raise self.wrong(field, f"{allowed[0]:,} to {allowed[-1]:,}", found)
        return found

    def texts(self, field: str) -> list[str]:
        """Return a list of texts; none where the field is absent."""
        found = self.data.get(field) or []
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise self.wrong(field, "a list of strings", found)
        return cast("list[str]", found)

    def wrong(self, field: str, expected: str, found: object) -> InvalidRequest:
        """Return the error of a field."""
        shown = ascii(found)[:80]
        return InvalidRequest(f"{self.where}.{field}: expected {expected}, got {shown}", details={"field": field})


def _format(said: _Fields) -> Format:
    return Format(said.number("rate", RATES_HZ), said.number("width", WIDTHS), said.number("channels", CHANNELS))


def _bias(said: _Fields) -> str | None:
    likely = [*said.texts("transcript_names"), *said.texts("transcript_terms")]
    return ", ".join(likely)[:BIASED_CHARS] or None


def _voice(said: _Fields) -> Wish:
    written = said.text("text_format")
    if written not in (None, "text"):
        raise UnsupportedMode(f"{said.where}.text_format: text is spoken, {ascii(written)[:80]} is not")
    found = said.data.get("voice") or {}
    if not isinstance(found, dict):
        raise said.wrong("voice", "an object", found)
    voice = _Fields(f"{said.where}.voice", found)
    return Wish(voice.text("name"), voice.text("language"), voice.text("speaker"))
