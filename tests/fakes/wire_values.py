"""Strategies for every message class, built from its annotations: bounds, literals, unions, nested classes, blobs.

Covers: the tables of classes and any valid instance. See also: `wire_verdicts` for single plain values, right and wrong.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from inferd import wire
from inferd.messages.bounds import MAX_U53, Blob, Length, Range, Unread
from inferd_actors import messages as actors

TABLES: Final[Mapping[str, Mapping[str, type[Any]]]] = {
    "from_app": wire.FROM_APP,
    "to_app": wire.TO_APP,
    "operations": wire.OPERATIONS,
    "events": wire.EVENTS,
    "to_actor": actors.TO_ACTOR,
    "from_actor": actors.FROM_ACTOR,
}
LONGEST_DRAWN: Final = 12
"""Items that a strategy puts into a container beyond its shortest length; lengths are tried at their bounds elsewhere."""


@functools.cache
def hints(kind: type) -> dict[str, Any]:
    """Return field → annotation, bounds included."""
    return get_type_hints(kind, include_extras=True)


def is_required(field: Field[Any]) -> bool:
    """Return whether the wire must carry this field."""
    return field.default is MISSING and field.default_factory is MISSING


def every_class() -> list[type]:
    """Return the classes of all tables and those inside them, once each."""
    found: dict[type, None] = {}

    def search(kind: object) -> None:
        if isinstance(kind, type) and is_dataclass(kind) and kind not in found:
            found[kind] = None
            for hint in hints(kind).values():
                search(hint)
        for argument in get_args(kind):
            search(argument)

    for table in (*TABLES.values(), {"facts": actors.Facts}):
        for kind in table.values():
            search(kind)
    return list(found)


def messages(kind: type) -> st.SearchStrategy[Any]:
    """Return a strategy for instances of a class."""
    annotations = hints(kind)
    return st.builds(kind, **{field.name: _drawn(annotations[field.name]) for field in fields(kind)})


TEXT: Final = st.text(st.characters(codec="utf-8"), max_size=LONGEST_DRAWN)
FLOATS: Final = st.floats(allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0)  # no -0.0: equal to 0.0
PLAIN: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_U53, MAX_U53) | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
SCALARS: Final[Mapping[Any, st.SearchStrategy[Any]]] = {
    int: st.integers(-MAX_U53, MAX_U53),
    float: FLOATS,
    str: TEXT,
    bool: st.booleans(),
    NoneType: st.none(),
    object: PLAIN,
    Blob: st.binary(max_size=LONGEST_DRAWN),
    Unread: st.dictionaries(TEXT, PLAIN, max_size=3),
}


def _drawn(kind: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401 - a type, of any kind
    if kind in SCALARS:
        return SCALARS[kind]
    if is_dataclass(kind):
        return messages(kind)  # type: ignore[arg-type]  # annotations hold classes, not instances
    arguments = get_args(kind)
    match get_origin(kind):
        case origin if origin is Annotated:
            return _drawn_within(*arguments)
        case origin if origin is Literal:
            return st.sampled_from(arguments)
        case origin if origin in (Union, UnionType):
            return st.one_of(*map(_drawn, arguments))
    return _container(kind, 0, LONGEST_DRAWN)


def _container(kind: Any, low: int, high: int) -> st.SearchStrategy[Any]:  # noqa: ANN401 - a type, of any kind
    longest = min(high, low + 3)
    if get_origin(kind) is tuple:
        return st.lists(_drawn(get_args(kind)[0]), min_size=low, max_size=longest).map(tuple)
    key, value = get_args(kind)
    return st.dictionaries(_drawn(key), _drawn(value), min_size=low, max_size=longest)


def _drawn_within(base: Any, bound: Range | Length) -> st.SearchStrategy[Any]:  # noqa: ANN401 - a type, of any kind
    match base, bound:
        case type(), Range(low, high) if base is int:
            return st.integers(int(low), int(high))
        case type(), Range(low, high):
            return st.floats(low, high).map(lambda value: value + 0.0)
        case type(), Length(low, high):
            return st.text(st.characters(codec="utf-8"), min_size=low, max_size=min(high, low + LONGEST_DRAWN))
        case _, Length(low, high):
            return _container(base, low, high)
    raise TypeError(f"no strategy for {base!r} within {bound!r}")
