"""Messages ⇄ frames: one msgpack header, then raw blobs; strict, bounded, pure.

Covers: encoding and decoding of every message class, the packing of events, the limits on frames. Table-driven from the
dataclasses in `messages`. Does not cover sockets or order: see `connection` here, `wires` in the daemon.
Layout of a message:  [header: msgpack map with "type"] [blob 0] [blob 1] …
Layout of an event:   msgpack [type, request, seq, n_blobs, fields], packed once by its producer, unopened on the way.
"""

from __future__ import annotations

import re
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import msgpack

from inferd.errors import InvalidRequest, ProtocolError
from inferd.fields import FieldError, RawBytes, field_error
from inferd.messages import control, events, operations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from inferd.messages.control import Limits

T = TypeVar("T")
C = TypeVar("C", "list[Any]", "dict[str, Any]")

Frame = bytes | memoryview
BLOB_REFERENCE = 1
"""msgpack extension type: one byte, the index of a blob frame. Every other extension is refused."""
MAX_BLOBS = 255
"""The reference is one byte; the announced limit (64) is lower."""
MAX_VALUES = 262_144
"""Values in one msgpack value, each item of each container counted. 8 MiB of empty lists took 4 s to unpack, in which
nobody else was served (two cores); ten thousand messages, or a thousand tools with large schemas, are far below this."""
STATE_SEQ = 0
"""Sequence number of state events, which are outside the numbered stream."""

_IGNORING: frozenset[type] = frozenset(
    {control.Hello, control.Welcome, control.Limits, control.Refused, control.Pong, control.Goodbye}
)
"""Messages in which unknown fields are ignored, so that old and new versions can meet."""


_TAGS: dict[type, str] = {events.Finished: "done"}


def tag(kind: type) -> str:
    """Return the wire name of a message class: its own name in snake case; `Finished` is `done`."""
    found = _TAGS.get(kind)
    if found is None:
        found = _TAGS[kind] = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
    return found


def table(kinds: Iterable[type[T]]) -> Mapping[str, type[T]]:
    """Return wire name → class."""
    return {tag(kind): kind for kind in kinds}


FROM_APP: Mapping[str, type[Any]] = table(control.FROM_APP)
TO_APP: Mapping[str, type[Any]] = table(control.TO_APP)
OPERATIONS: Mapping[str, type[operations.Operation]] = table(operations.OPERATIONS)
EVENTS: Mapping[str, type[events.Event]] = table((*events.STATES, *events.CONTENTS, *events.TERMINALS))
PLAIN_CHARS = 1_024
"""Longest text of an event that is taken without the general look: no token's is longer."""
EVENTS_TYPE = "events"
"""Header `type` of a message that carries events."""


class PackedEvent(NamedTuple):
    """An event encoded once: kept for replay, forwarded unopened. `seq` 0 for state events. A tuple, like `Arrival`."""

    request: int
    seq: int
    packed: bytes
    blobs: tuple[bytes, ...] = ()

    @property
    def size_bytes(self) -> int:
        """What this event counts in a window of bytes."""
        return len(self.packed) + sum(map(len, self.blobs)) if self.blobs else len(self.packed)


class Arrival(NamedTuple):
    """A decoded event with its place in the stream; `size_bytes` as in the window. A tuple, because one is made for each."""

    request: int
    seq: int
    event: events.Event | None
    """None: a type that a newer daemon knows and we do not; it counts, and is ignored."""
    size_bytes: int


def pack(value: object) -> tuple[bytes, tuple[bytes, ...]]:
    """Return the msgpack of plain values and the blobs that it refers to.

    Raises FieldError for what msgpack cannot carry (a lone surrogate, an integer past 64 bits).
    """
    blobs: list[bytes] = []

    def refer(raw: object) -> msgpack.ExtType:
        if not isinstance(raw, RawBytes):
            raise TypeError(f"cannot carry {type(raw).__name__}")
        blobs.append(raw.data)
        if len(blobs) > MAX_BLOBS:
            raise FieldError("", f"expected at most {MAX_BLOBS} blobs")
        return msgpack.ExtType(BLOB_REFERENCE, bytes([len(blobs) - 1]))

    try:
        packed: bytes = msgpack.packb(value, default=refer, use_bin_type=True)
    except (UnicodeEncodeError, OverflowError, TypeError, ValueError) as reason:
        raise reason if isinstance(reason, FieldError) else FieldError("", f"cannot be encoded: {reason}") from None
    return packed, tuple(blobs)


def unpack(packed: Frame, blobs: Sequence[Frame] = ()) -> Any:  # noqa: ANN401 - a decoded msgpack value is anything
    """Return the plain value in `packed`, blob references replaced by the frames.

    Raises ProtocolError for anything that is not one well-formed msgpack value with known references, and for one of more
    than `MAX_VALUES` values.
    """
    # A value takes a byte at least, so nearly every message can be read without counting.
    count = _Tally().count if len(packed) > MAX_VALUES else None
    try:
        return msgpack.unpackb(
            packed,
            ext_hook=partial(_resolve, blobs) if blobs else _resolve_none,
            list_hook=count,
            object_hook=count,
            strict_map_key=True,
            raw=False,
            timestamp=0,
        )
    except (ValueError, TypeError, RecursionError, msgpack.exceptions.UnpackException) as reason:
        raise ProtocolError(f"not a msgpack value: {type(reason).__name__}: {reason}") from None


def _resolve(blobs: Sequence[Frame], code: int, data: bytes) -> Frame:
    if code != BLOB_REFERENCE or len(data) != 1 or data[0] >= len(blobs):
        raise ValueError(f"unknown extension {code} or blob index")
    return blobs[data[0]]


_resolve_none = partial(_resolve, ())


class _Tally:
    """Counts what is unpacked, container by container, and stops the unpacking of a bomb before it has grown."""

    def __init__(self) -> None:
        self._values = 0

    def count(self, container: C) -> C:
        """Return the container as it came. Raises ValueError when there are too many values."""
        self._values += 1 + len(container)
        if self._values > MAX_VALUES:
            raise ValueError(f"more than {MAX_VALUES:,} values")
        return container


class _Look(Protocol):
    def structure(self, value: Any, kind: type[T], /) -> T:  # noqa: ANN401 - whatever msgpack held
        """Return a message made of plain values; raises for anything that its class does not allow."""

    def get_structure_hook(self, kind: type[T], /) -> Callable[[Any, Any], T]:
        """Return what `structure` calls for a class."""

    def get_unstructure_hook(self, kind: type, /) -> Callable[[Any], Any]:
        """Return what makes plain values of a message of a class."""


@cache
def _looks(asking: bool) -> tuple[_Look, _Look]:  # noqa: FBT001 - a key, for which there are two values
    """Return the quick and the locating look at what asks, or at what tells."""
    from inferd.strict import make_strict

    quick, locating = (make_strict(unknown_fields_refused=asking, detailed=detailed) for detailed in (False, True))
    return quick, locating


@cache
def _quick(kind: Any, asking: bool) -> Callable[[Any, Any], Any]:  # noqa: ANN401, FBT001 - a class; as above
    return _looks(asking)[0].get_structure_hook(kind)


def _structure(value: object, kind: type[T], *, asking: bool) -> T:
    quick: Callable[[Any, Any], T] = _quick(kind, asking)  # type: ignore[arg-type] # mypy takes classes for unhashable
    try:
        return quick(value, kind)
    except Exception:  # noqa: BLE001 - whatever the quick look tripped over, the slow one names it
        try:
            return _looks(asking)[1].structure(value, kind)
        except Exception as reason:  # noqa: BLE001 - cattrs raises groups of anything
            raise field_error(reason) from None


@cache
def _outward(kind: Any) -> Callable[[Any], Any]:  # noqa: ANN401 - a class
    return _looks(False)[0].get_unstructure_hook(kind)


def fields_of(message: object) -> Any:  # noqa: ANN401 - plain values of any shape
    """Return a message as plain values, defaults left out."""
    return _outward(type(message))(message)  # type: ignore[arg-type] # as above


def encode(message: object) -> list[bytes]:
    """Return the frames of one message."""
    packed, blobs = pack({"type": tag(type(message)), **fields_of(message)})
    return [packed, *blobs]


def encode_request(request: control.Request, operation: operations.Operation) -> list[bytes]:
    """Return the frames of a request after checking it with the daemon's own rules.

    Raises InvalidRequest naming the field: the app learns of its mistake without a round trip.
    """
    try:
        body = fields_of(operation)
        _structure(body_as_sent(body), type(operation), asking=True)
        fields = fields_of(request)
        packed, blobs = pack({"type": tag(control.Request), **fields, "op": tag(type(operation)), "body": body})
        _structure({**fields, "op": "", "body": {}} | {"op": tag(type(operation))}, control.Request, asking=True)
    except FieldError as wrong:
        raise InvalidRequest(str(wrong), details={"field": wrong.field}) from None
    return [packed, *blobs]


def body_as_sent(value: Any) -> Any:  # noqa: ANN401 - plain values of any shape
    """Return plain values with blobs as the receiver will see them."""
    match value:
        case RawBytes():
            return value.data
        case dict():
            return {key: body_as_sent(one) for key, one in value.items()}
        case list() | tuple():
            return [body_as_sent(one) for one in value]
        case _:
            return value


def decode(frames: Sequence[Frame], kinds: Mapping[str, type[T]]) -> T:
    """Return the message in `frames`, one of `kinds`.

    Raises ProtocolError (not a message of this table) or InvalidRequest (a field is wrong, named in its details; the
    request's id, if it could be read, stands in `details["request"]`).
    """
    header = header_of(frames)
    kind = kinds.get(header.pop("type"))
    if kind is None:
        raise ProtocolError("unknown message type")
    return from_fields(header, kind)


def header_of(frames: Sequence[Frame]) -> dict[str, Any]:
    """Return the header's map, blob references resolved; `type` is a string.

    Raises ProtocolError for anything else.
    """
    if not frames:
        raise ProtocolError("a message without frames")
    header = unpack(frames[0], frames[1:])
    if not isinstance(header, dict) or not isinstance(header.get("type"), str):
        raise ProtocolError("a message begins with a map that has a `type`")
    return header


def from_fields(fields: Mapping[str, Any], kind: type[T]) -> T:
    """Return a message made of plain values. Raises InvalidRequest naming the field, and the id if it is a request."""
    try:
        return _structure(fields, kind, asking=kind not in _IGNORING)
    except FieldError as wrong:
        request = fields.get("id")
        known = {"request": request} if kind is control.Request and type(request) is int else {}
        raise InvalidRequest(str(wrong), details={"field": wrong.field, **known}) from None


def operation_of(request: control.Request) -> operations.Operation:
    """Return what a request asks. Raises InvalidRequest naming the field, or the unknown operation."""
    kind = OPERATIONS.get(request.op)
    if kind is None:
        known = ", ".join(OPERATIONS)
        raise InvalidRequest(f"op: expected one of {known}, got {request.op!r}", details={"field": "op"})
    try:
        return _structure(request.body, kind, asking=True)
    except FieldError as wrong:
        field = f"body.{wrong.field}" if wrong.field else "body"
        raise InvalidRequest(f"{field}: {wrong.problem}", details={"field": field}) from None


def pack_event(request: int, seq: int, event: events.Event) -> PackedEvent:
    """Return an event encoded for the app."""
    name, fields = tag(type(event)), fields_of(event)
    packed, blobs = pack((name, request, seq, 0, fields))
    if blobs:  # only now is their number known
        packed, _ = pack((name, request, seq, len(blobs), fields))
    return PackedEvent(request, seq, packed, blobs)


def join_events(packed: Sequence[PackedEvent]) -> list[bytes]:
    """Return the frames of one message that carries these events in this order."""
    header = msgpack.packb({"type": EVENTS_TYPE, "events": [one.packed for one in packed]})
    return [header, *(blob for one in packed for blob in one.blobs)]


def split_events(header: Mapping[str, Any], blobs: Sequence[Frame]) -> list[Arrival]:
    """Return the events of a message whose header has been read by `header_of`.

    Raises ProtocolError when one of them is not an event: the line is then not to be trusted.
    """
    pieces = header.get("events")
    if not isinstance(pieces, list):
        raise ProtocolError("an events message without a list of events")
    arrivals = []
    for piece in pieces:
        arrival, used = _read_event(piece, blobs)
        arrivals.append(arrival)
        blobs = blobs[used:] if used else blobs
    return arrivals


def _read_event(piece: object, blobs: Sequence[Frame]) -> tuple[Arrival, int]:
    if not isinstance(piece, bytes):
        raise ProtocolError("an event is a bin")
    try:
        name, request, seq, n_blobs, fields = unpack(piece, blobs)
    except (TypeError, ValueError):
        raise ProtocolError("an event is a list of five") from None
    if not (type(name) is str and type(request) is int and type(seq) is int and type(n_blobs) is int):
        raise ProtocolError("an event begins with type, request, seq and number of blobs")
    if request < 1 or seq < 0 or not 0 <= n_blobs <= len(blobs):
        raise ProtocolError(f"an event of request {request}, seq {seq}, with {n_blobs} of {len(blobs)} blobs")
    if n_blobs < len(blobs):
        unpack(piece, blobs[:n_blobs])  # its references may not reach into its neighbours' blobs
    kind = EVENTS.get(name)
    size_bytes = len(piece) + sum(map(len, blobs[:n_blobs])) if n_blobs else len(piece)
    try:
        event = None if kind is None else _plain_text(kind, fields) or _structure(fields, kind, asking=False)
    except FieldError as wrong:
        raise ProtocolError(f"event {name}: {wrong}") from None
    return Arrival(request, seq, event, size_bytes), n_blobs


def _plain_text(kind: type[events.Event], fields: Any) -> events.Event | None:  # noqa: ANN401 - whatever msgpack held
    """Return what nearly every message carries, a short piece of text and nothing else; None: look at it as at all others.

    That look goes through four more functions, each of them out of the caches after a wake-up. msgpack has seen to it that the
    text is valid Unicode.
    """
    if kind is events.TextDelta and type(fields) is dict and len(fields) == 1:
        text = fields.get("text")
        if type(text) is str and len(text) <= PLAIN_CHARS:
            return events.TextDelta(text)
    return None


def check_frames(frames: Sequence[Frame], limits: Limits) -> None:
    """Raise InvalidRequest with both numbers when a message passes a limit, ProtocolError when it has no frames."""
    if not frames:
        raise ProtocolError("a message without frames")
    header, *blobs = map(len, frames)
    if not blobs and header <= limits.header_bytes <= limits.message_bytes:
        return  # nearly every message is one small frame
    for found, allowed, what in (
        (header, limits.header_bytes, "header_bytes"),
        (len(blobs), limits.blobs, "blobs"),
        (max(blobs, default=0), limits.blob_bytes, "blob_bytes"),
        (header + sum(blobs), limits.message_bytes, "message_bytes"),
    ):
        if found > allowed:
            raise InvalidRequest(
                f"the message has {found:,} {what}; the daemon takes {allowed:,}",
                details={"field": what, "found": found, "limit": allowed},
            )
