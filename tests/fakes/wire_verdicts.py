"""Plain values for every annotation of the messages, right and wrong, and a verdict on each.

Covers: one valid sample, the pool of values to try, both sides of every bound, and what PROTOCOL.md §2 says of a value. The
verdict is written apart from the codec that it judges.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from wire_values import hints, is_required

from inferd.messages import operations
from inferd.messages.bounds import MAX_U53, Blob, Length, Range, Unread

LONGEST_BUILT: Final = 10 * 2**20
"""Longest string or list that a bound is tried with."""


def sample_fields(kind: type) -> dict[str, Any]:
    """Return plain values for all fields of a class."""
    annotations = hints(kind)
    return {field.name: sample(annotations[field.name]) for field in fields(kind)}


def sample(kind: Any, size: int | None = None) -> Any:  # noqa: ANN401 - a type, of any kind; a value of it
    """Return a valid plain value; `size`: with this many characters or items, allowed or not."""
    simple: dict[Any, Any] = {int: 1, float: 0.5, bool: True, NoneType: None, object: 1, Blob: b"\1\2", Unread: {}}
    if kind in simple:
        return simple[kind]
    if kind is str:
        return "a" * (1 if size is None else size)
    if is_dataclass(kind):
        made = sample_fields(kind)  # type: ignore[arg-type]  # annotations hold classes, not instances
        tags = [name for name, block in operations.BLOCKS.items() if block is kind]
        return {"type": tags[0], **made} if tags else made
    return _composed_sample(kind, size)


def _composed_sample(kind: Any, size: int | None) -> Any:  # noqa: ANN401 - a type, of any kind; a value of it
    first, *others = get_args(kind)
    origin = get_origin(kind)
    if origin is Annotated:
        bound = others[0]
        if isinstance(bound, Range):
            return type(sample(first))(bound.low)
        return sample(first, max(bound.low, 1) if size is None else size)
    if origin is Literal:
        return first
    if origin in (Union, UnionType):
        return sample(first, size)
    length = 1 if size is None else size
    if origin is tuple:
        return [sample(first)] * length
    return {f"k{index}": sample(others[0]) for index in range(length)}


POOL: Final[tuple[Any, ...]] = (
    None, True, False, 0, 1, -1, 5, 2**53 - 1, 2**53, -(2**63), 2**64 - 1, 10**400,
    0.0, 0.5, 5.9, -0.1, 1e300, math.nan, math.inf, -math.inf,
    "", "5", "false", "auto", "text", "\ud800", "a\udfffb", "nul\0",
    b"", b"bytes", [], [None], [1], ["a"], ["\ud800"], [[[]]], {}, {"a": 1}, {"a": None}, {1: "a"}, {b"a": 1},
    {"\ud800": 1}, {"a": math.nan}, {"type": "text"}, {"type": "text", "text": "a"}, {"type": []}, object(), Ellipsis,
)  # fmt: skip
"""What a confused or hostile peer may put anywhere; local callers even more (surrogates, objects)."""


def candidates(kind: Any) -> Iterator[Any]:  # noqa: ANN401 - a type, of any kind
    """Yield values to try for an annotation: the pool, and both sides of its bounds."""
    yield from POOL
    yield sample(kind)
    for base, bound in _bounds(kind):
        match bound:
            case Range(low, high) if base is int:
                yield from (int(low), int(high), int(low) - 1, int(high) + 1)
            case Range(low, high):
                yield from (low, high, math.nextafter(low, -math.inf), high * 1.001 + 0.001)
            case Length(low, high):
                yield from (sample(base, size) for size in (low - 1, low, high, high + 1) if 0 <= size <= LONGEST_BUILT)


def _bounds(kind: Any) -> Iterator[tuple[Any, Range | Length]]:  # noqa: ANN401 - a type, of any kind
    arguments = get_args(kind)
    if get_origin(kind) is Annotated:
        yield arguments[0], arguments[1]
    if get_origin(kind) in (Union, UnionType):
        for argument in arguments:
            yield from _bounds(argument)


def accepts(kind: Any, value: Any) -> bool:  # noqa: ANN401 - a type, of any kind; a value of any kind
    """Return whether PROTOCOL.md allows this plain value for this annotation."""
    if kind in JUDGES:
        return JUDGES[kind](value)
    if is_dataclass(kind):
        return _accepts_map(kind, value)  # type: ignore[arg-type]  # annotations hold classes, not instances
    return _accepts_composed(get_origin(kind), get_args(kind), value)


def _accepts_composed(origin: Any, arguments: tuple[Any, ...], value: Any) -> bool:  # noqa: ANN401
    if origin is Annotated:
        return accepts(arguments[0], value) and _is_within(arguments[1], value)
    if origin is Literal:
        return type(value) is str and value in arguments
    if origin in (Union, UnionType):
        return any(accepts(argument, value) for argument in arguments)
    if origin is tuple:
        return type(value) is list and all(accepts(arguments[0], item) for item in value)
    return type(value) is dict and all(_is_text(key) and accepts(arguments[1], item) for key, item in value.items())


def _accepts_map(kind: type, value: object) -> bool:
    if type(value) is not dict:
        return False
    given = dict(value)
    tags = [name for name, block in operations.BLOCKS.items() if block is kind]
    if tags and given.pop("type", None) != tags[0]:
        return False
    return (
        given.keys() <= hints(kind).keys()
        and all(field.name in given or not is_required(field) for field in fields(kind))
        and all(accepts(hints(kind)[name], one) for name, one in given.items())
    )


def _is_within(bound: Range | Length, value: Any) -> bool:  # noqa: ANN401 - numbers and sized things alike
    return bound.low <= (value if isinstance(bound, Range) else len(value)) <= bound.high


def _is_text(value: object) -> bool:
    return type(value) is str and not any(0xD800 <= ord(one) < 0xE000 for one in value[:64])


def _is_number(value: object) -> bool:
    return (type(value) is int and abs(value) <= MAX_U53) or (type(value) is float and math.isfinite(value))


def _is_plain(value: object, levels: int = 64) -> bool:
    if type(value) is list:
        return levels > 0 and all(_is_plain(one, levels - 1) for one in value)
    if type(value) is dict:
        return levels > 0 and all(_is_text(key) and _is_plain(one, levels - 1) for key, one in value.items())
    return value is None or type(value) is bool or _is_number(value) or _is_text(value)


JUDGES: Final[Mapping[Any, Callable[[Any], bool]]] = {
    int: lambda value: type(value) is int,
    float: _is_number,
    str: _is_text,
    bool: lambda value: type(value) is bool,
    NoneType: lambda value: value is None,
    object: _is_plain,
    Blob: lambda value: type(value) in (bytes, bytearray, memoryview),
    Unread: lambda value: type(value) is dict,
}
