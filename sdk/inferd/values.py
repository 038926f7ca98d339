"""Single values: what may stand in a field, and how an error names what was expected and found.

Covers: the leaves (numbers, strings, bytes, plain values, bounds) and their wording; wrong ones raise TypeError or ValueError.
Does not cover fields and their paths: that is `strict`. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sized
from types import NoneType
from typing import Any, Final

from inferd.messages.bounds import MAX_U53, Length, Range

MAX_INT_BITS: Final = 64
"""Widest integer of msgpack; writing out a local one of any width can fail by itself."""

MAX_DEPTH: Final = 64
"""Nesting of free-form values (schemas, tool parameters): llama.cpp's grammar compiler dies of 60,000 levels."""

SHOWN_CHARS: Final = 60
"""Longest value that an error repeats: enough to recognise it, too little to leak a prompt into a log."""

WANTED: Final[Mapping[type, str]] = {
    bool: "true or false",
    bytes: "bytes",
    NoneType: "nothing",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "a map",
}
"""How errors call what should have arrived."""


def shown(value: object) -> str:
    """Return a short scalar with its type; of everything else only type and size: what is nested inside has no bound."""
    name = type(value).__name__
    match value:
        case None:
            return "nothing"
        case int() if value.bit_length() > MAX_INT_BITS:
            return f"{name} of {value.bit_length()} bits"
        case bool() | float() | int():
            return f"{name} {value}"
        case str() | bytes() if len(value) <= SHOWN_CHARS:
            return f"{name} {value!r}"
        case Sized():
            return f"{name} of length {len(value)}"
    return name


def exactly(kind: type, value: object, _: object = None) -> object:
    """Return `value` if it is of this very type."""
    if type(value) is not kind:
        raise TypeError(f"expected {WANTED[kind]}, got {shown(value)}")
    return value


def number(value: Any, _: object = None) -> float:  # noqa: ANN401 - anything may arrive
    """Return a finite number as a float; an integer too large to be one exactly is refused."""
    if type(value) not in (float, int):
        raise TypeError(f"expected a number, got {shown(value)}")
    if type(value) is int and abs(value) > MAX_U53:
        raise ValueError(f"expected a number of at most 2^53 - 1, got {shown(value)}")
    if not math.isfinite(value):
        raise ValueError(f"expected a finite number, got {value}")
    return float(value)


def text(value: object, _: object = None) -> str:
    """Return a string that can be written as UTF-8."""
    if type(value) is not str:
        raise TypeError(f"expected a string, got {shown(value)}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as lone:
            raise ValueError(f"expected valid Unicode, got a lone surrogate at index {lone.start}") from None
    return value


def raw(value: Any, _: object = None) -> Any:  # noqa: ANN401 - anything may arrive
    """Return bytes, as they came: a blob is never copied."""
    if type(value) not in (bytes, bytearray, memoryview):
        raise TypeError(f"expected bytes, got {shown(value)}")
    return value


def plain(value: Any, depth: int = MAX_DEPTH) -> object:  # noqa: ANN401 - that is what is checked
    """Return a JSON-like value: what every client and every schema compiler can read."""
    kind = type(value)
    if kind is str:
        return text(value)
    if kind is int:
        if not -MAX_U53 <= value <= MAX_U53:
            raise ValueError(f"expected an integer of at most 2^53 - 1, got {shown(value)}")
        return value
    if kind is float:
        return number(value)
    if kind is bool or value is None:
        return value
    return _plain_container(value, depth - 1)


def _plain_container(value: Any, depth: int) -> object:  # noqa: ANN401 - that is what is checked
    if not isinstance(value, (list, tuple, Mapping)):
        raise TypeError(f"expected a plain value, got {shown(value)}")
    if depth < 0:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        return {text(key): plain(item, depth) for key, item in value.items()}
    return [plain(item, depth) for item in value]


def within(bound: object, value: Any) -> None:  # noqa: ANN401 - numbers and sized things alike
    """Raise ValueError, with both numbers, when a value passes a bound."""
    if isinstance(bound, Range):
        if not bound.low <= value <= bound.high:
            raise ValueError(f"expected {bound.low} to {bound.high}, got {shown(value)}")
    elif isinstance(bound, Length) and not bound.low <= len(value) <= bound.high:
        raise ValueError(f"expected a length of {bound.low} to {bound.high}, got {len(value)}")
