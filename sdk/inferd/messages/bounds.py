"""What a value on the wire may be: bounds as types, read by the codec on both ends.

Covers: the annotations and the named types made of them. Does not cover checking: `wire` does that, table-driven.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, NewType

Blob = NewType("Blob", bytes)
"""Raw bytes that travel as a frame of their own (audio, images, vectors); in the header stands the frame's index."""


Unread = NewType("Unread", Mapping[str, object])
"""A map that the next reader decodes: the envelope's codec does not look into it."""


@dataclass(frozen=True, slots=True)
class Range:
    """A number is accepted from `low` to `high`, both included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Length:
    """A string, bytes, list or map is accepted with `low` to `high` items (characters, bytes, entries)."""

    low: int
    high: int


MAX_U53 = 2**53 - 1
"""Largest integer that every language's float-based JSON and msgpack readers hold exactly."""

MAX_TEXT_CHARS = 8 * 2**20
"""A header is at most 8 MiB, so no text in it can be longer."""

Count = Annotated[int, Range(0, MAX_U53)]
Positive = Annotated[int, Range(1, MAX_U53)]
Bytes = Annotated[int, Range(0, MAX_U53)]
Milliseconds = Annotated[int, Range(0, 7 * 24 * 3600 * 1000)]
"""At most a week: longer is a mistake of units."""

Seconds = Annotated[float, Range(0.0, MAX_U53)]
HoldSeconds = Annotated[float, Range(0.1, 86_400.0)]
"""At most a day: an app that lives longer renews its hold."""
Fraction = Annotated[float, Range(0.0, 1.0)]
RequestId = Annotated[int, Range(1, MAX_U53)]
Seq = Annotated[int, Range(0, MAX_U53)]
Text = Annotated[str, Length(0, MAX_TEXT_CHARS)]
Name = Annotated[str, Length(1, 256)]
ShortText = Annotated[str, Length(0, 4096)]
Token = Annotated[str, Length(8, 128)]
"""A random id or secret in hex."""

RateHz = Annotated[int, Range(8_000, 192_000)]
"""Sampling rates outside 8 to 192 kHz are refused (no engine or sound card here uses them)."""
