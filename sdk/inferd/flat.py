"""The quick look at messages whose every field is one value: pings, windows, cancels, orders about a stream, pieces of text.

Covers: which fields are flat, and a structure hook for messages that have no others. Does not cover errors: it only says
no, and the locating look of `strict` finds the field. Why beside cattrs: half of the time of a ping was spent in its layers of
hooks, right after a wake-up, when every line of Python costs three to nine times its usual price (measured). Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from inferd import values
from inferd.messages.bounds import Length, Range

T = TypeVar("T")

Check = Callable[[Any], object]
"""Raises for a value that may not stand in its field."""

Structure = Callable[[Any, Any], Any]
"""What cattrs calls: (value, type) → checked value."""


def hook(kind: type[T], hints: Mapping[str, Any], whole: Callable[[], Structure]) -> Structure:
    """Return what makes a message; `whole()` makes those that have a field of several values, or an unknown one.

    `hints`: name → annotation.
    """
    checks = {name: _check(hint) for name, hint in hints.items()}
    known = {name: check for name, check in checks.items() if check is not None}

    def made(fields: Any, _: Any) -> T:  # noqa: ANN401 - whatever msgpack held
        if type(fields) is not dict or not fields.keys() <= known.keys():
            found: T = whole()(fields, kind)
            return found
        for name, value in fields.items():
            known[name](value)
        return kind(**fields)

    return made


def _check(hint: Any) -> Check | None:  # noqa: ANN401 - an annotation, of any kind
    if get_origin(hint) in (Union, UnionType):
        members = [one for one in get_args(hint) if one is not NoneType]
        inner = _check(members[0]) if len(members) == 1 else None
        return inner and _or_nothing(inner)
    base, *bounds = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    match base, bounds:
        case _ if base is bool and not bounds:
            return _truth
        case _, [Range(low, high)] if base is int:
            return _integer(low, high)
        case _, [Length(low, high)] if base is str:
            return _text(int(low), int(high))
    return None


def _or_nothing(inner: Check) -> Check:
    return lambda value: None if value is None else inner(value)


def _truth(value: object) -> None:
    if type(value) is not bool:
        raise TypeError("expected true or false")


def _integer(low: float, high: float) -> Check:
    def check(value: Any) -> None:  # noqa: ANN401 - whatever msgpack held
        if type(value) is not int or not low <= value <= high:
            raise ValueError("expected another integer")

    return check


def _text(low: int, high: int) -> Check:
    def check(value: object) -> None:
        if not low <= len(values.text(value)) <= high:
            raise ValueError("expected another length")

    return check
