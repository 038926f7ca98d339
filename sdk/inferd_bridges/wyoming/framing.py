"""Wyoming's events as bytes: a line of JSON, then more data as JSON, then a payload; each within a limit.

Covers: reading without trusting a length, writing. Does not cover what an event says: `asked`. The library has both, too, but
reads lengths without a limit and takes a broken frame for the end of the stream.
"""

from __future__ import annotations

import json
from asyncio import IncompleteReadError, StreamReader
from typing import Final

from wyoming.event import Event
from wyoming.version import __version__ as wyoming_version

LINE_BYTES: Final = 64 * 1024
"""Of the first line; longer data has its own length."""
DATA_BYTES: Final = 2**20
"""A text of a million letters takes a day to speak."""
PAYLOAD_BYTES: Final = 2**20
"""Of one chunk of sound: 5 s of the largest format; usual are 2 KiB."""


class Malformed(Exception):
    """What came is no event; nothing after it can be read."""


async def read_event(reader: StreamReader) -> Event | None:
    """Return the next event; None: the client has left. `reader` was made with LINE_BYTES. Raises Malformed."""
    try:
        line = await reader.readline()
        if not line.endswith(b"\n"):
            return None
        head = _object(line)
        more = await reader.readexactly(_length(head, "data_length", DATA_BYTES))
        payload = await reader.readexactly(_length(head, "payload_length", PAYLOAD_BYTES))
    except IncompleteReadError:
        return None
    except ValueError:  # of readline
        raise Malformed(f"a line is longer than {LINE_BYTES:,} bytes") from None
    kind, data = head.get("type"), head.get("data") or {}
    if not isinstance(kind, str) or not isinstance(data, dict):
        raise Malformed("type: expected a string, and data: an object")
    return Event(kind, data | _object(more) if more else data, payload or None)


def written(event: Event) -> bytes:
    """Return an event as it goes on the wire."""
    data = json.dumps(event.data).encode() if event.data else b""
    payload = event.payload or b""
    lengths = {"data_length": len(data), "payload_length": len(payload)}
    head = {"type": event.type, "version": wyoming_version, **{key: size for key, size in lengths.items() if size}}
    return b"".join((json.dumps(head).encode(), b"\n", data, payload))


def _object(text: bytes) -> dict[str, object]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise Malformed("what should be JSON is none") from None
    if not isinstance(found, dict):
        raise Malformed("expected a JSON object")
    return found


def _length(head: dict[str, object], field: str, limit: int) -> int:
    length = head.get(field) or 0
    if not isinstance(length, int) or not 0 <= length <= limit:
        raise Malformed(f"{field}: expected 0 to {limit:,} bytes")
    return length
