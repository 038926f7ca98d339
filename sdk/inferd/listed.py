"""What an app asks about the list of models: the drafts of registering, removing and looking around; for both clients.

Covers: checking before anything is sent, with the field in the error. Does not cover waiting: `client` and `aio` wait. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Final

from inferd import wire
from inferd.drafts import Draft, draft
from inferd.errors import InvalidRequest
from inferd.messages import operations
from inferd.messages.schemas import ModelSchema
from inferd.values import shown

DISCOVER_TIMEOUT_S: Final = 30.0
"""Default of a look around: servers have two seconds to answer, and folders may lie on a slow disk."""
REMOVE_TIMEOUT_S: Final = 60.0
"""Default of what waits for the streams that a model is busy with."""


def register_draft(schema: ModelSchema | Mapping[str, object], *, timeout_s: float) -> Draft:
    """Return the request to register a model. Raises InvalidRequest naming the first wrong field, `schema.engine` say."""
    operation = wire.from_fields({"schema": _plain(schema)}, operations.Register)
    return draft(operation, timeout_s=timeout_s)


def remove_draft(name: str, *, timeout_s: float) -> Draft:
    """Return the request to delete a model's file. Raises InvalidRequest naming the first wrong field."""
    return draft(wire.from_fields({"name": name}, operations.Remove), timeout_s=timeout_s)


def unregister_draft(name: str, *, timeout_s: float) -> Draft:
    """Return the request to take a registered model off the list. Raises InvalidRequest naming the first wrong field."""
    return draft(wire.from_fields({"name": name}, operations.Unregister), timeout_s=timeout_s)


def _plain(schema: object) -> object:
    if not isinstance(schema, (ModelSchema, Mapping)):
        raise _invalid(f"expected a ModelSchema or a mapping of its fields, got {shown(schema)}")
    try:
        return _unmade(schema)
    except Exception as reason:  # noqa: BLE001 - a wrong type inside trips cattrs in many ways
        raise _invalid(f"its fields are not of the right types ({reason})") from None


def _unmade(value: object) -> object:
    """Return plain values where objects of the SDK may stand: the schema itself, or a part in a mapping of its fields."""
    match value:
        case Mapping():
            return {key: _unmade(one) for key, one in value.items()}
        case list() | tuple():
            return [_unmade(one) for one in value]
        case _ if is_dataclass(value) and not isinstance(value, type):
            return wire.fields_of(value)
        case _:
            return value


def _invalid(problem: str) -> InvalidRequest:
    return InvalidRequest(f"schema: {problem}", details={"field": "schema"})
