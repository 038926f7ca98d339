"""What `--json` prints: the dataclasses of `inferd.messages`, field by field, under the names they have there.

A command prints one document; a stream prints one document per line, each with its kind under `event`.
Everything outside ASCII is escaped, so that no value can act on a terminal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from inferd.wire import tag

if TYPE_CHECKING:
    from inferd.errors import InferenceError


def plain(value: object) -> object:
    """Return `value` as maps, lists, text and numbers; bytes become their length, for JSON has no place for them."""
    if is_dataclass(value) and not isinstance(value, type):
        return _fields(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"bytes": len(value)}
    return value


def document(value: object) -> str:
    """Return one indented JSON document."""
    return json.dumps(plain(value), indent=2)


def json_line(value: object) -> str:
    """Return one JSON document on one line."""
    return json.dumps(plain(value))


def event_line(event: Any) -> str:  # noqa: ANN401 - any message of the protocol, and `Done`
    """Return an event as one line of JSON, its wire name under `event`."""
    return json_line({"event": tag(type(event)), **_fields(event)})


def error_line(error: InferenceError) -> str:
    """Return an error as one line of JSON: under `error` its code, message, retryable, retry_after_s, details."""
    shown = ("code", "message", "retryable", "retry_after_s", "details")
    return json_line({"error": {name: getattr(error, name) for name in shown}})


def _fields(message: Any) -> dict[str, object]:  # noqa: ANN401 - any dataclass
    return {field.name: plain(getattr(message, field.name)) for field in fields(message)}
