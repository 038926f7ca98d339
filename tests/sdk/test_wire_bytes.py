"""Bytes of any kind, in the place of a message: read or refused by one of two errors, never anything else."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wire_values import TABLES, every_class

from inferd import wire
from inferd.errors import InvalidRequest, ProtocolError
from inferd.messages import control, events, operations
from inferd.messages.bounds import Blob
from inferd_actors import messages as actors

BOMBS = {
    "empty": b"",
    "lists 100,000 deep": b"\x91" * 100_000 + b"\xc0",
    "maps 100,000 deep": b"\x81\xa1a" * 100_000 + b"\xc0",
    "lists 100,000 deep inside a message": b"\x81\xa4type" + b"\x91" * 100_000 + b"\xc0",
    "a list of 4 billion": b"\xdd\xff\xff\xff\xff",
    "a map of 4 billion": b"\xdf\xff\xff\xff\xff",
    "lists of 4 billion in lists of 4 billion": b"\xdd\xff\xff\xff\xff" * 1000,
    "a string of 4 GB": b"\xdb\xff\xff\xff\xff",
    "a bin of 4 GB": b"\xc6\xff\xff\xff\xff",
    "an extension of 4 GB": b"\xc9\xff\xff\xff\xff\x01",
    "a byte that msgpack does not use": b"\xc1",
    "a second value": msgpack.packb({"type": "ping", "nonce": 1}) * 2,
    "bad UTF-8": b"\x81\xa4type\xa2\xff\xfe",
    "a surrogate in UTF-8": b"\x81\xa4type\xa3\xed\xa0\x80",
    "an integer as key": msgpack.packb({1: 2}),
    "nil as key": msgpack.packb({None: 2}),
    "a list as key": b"\x81\x91\x01\x02",
    "a timestamp as key": b"\x81\xd6\xff\x00\x00\x00\x01\xc0",
    "bytes as keys": msgpack.packb({b"type": b"ping", b"nonce": 1}),
    "an unknown extension": msgpack.packb({"type": "ping", "nonce": msgpack.ExtType(5, b"\0")}),
    "a timestamp with a huge fraction": b"\x81\xa4type\xd7\xff" + b"\xff" * 8,
    "no map": msgpack.packb(["ping", 1]),
    "no type": msgpack.packb({"nonce": 1}),
    "a type that is a number": msgpack.packb({"type": 1}),
    "a type that is a list": msgpack.packb({"type": ["ping"]}),
    "an unknown type": msgpack.packb({"type": "dance"}),
    "a message of the other direction": wire.encode(control.Refused("queue_full", "x"))[0],
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("header", BOMBS.values(), ids=BOMBS.keys())
def test_a_header_that_is_none_is_a_protocol_error(header: bytes) -> None:
    with pytest.raises(ProtocolError) as refused:
        wire.decode([header, b"a blob"], wire.FROM_APP)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    "data", [b"", b"\0\0", b"\1", b"\xff"], ids=["no index", "two bytes", "one past the end", "far past the end"]
)
def test_a_reference_to_no_blob_is_a_protocol_error(data: bytes) -> None:
    header = msgpack.packb({"type": "feed", "request": 1, "seq": 1, "data": msgpack.ExtType(1, data)})
    with pytest.raises(ProtocolError):
        wire.decode([header, b"the only blob"], wire.FROM_APP)


def test_a_timestamp_is_no_value_of_any_field() -> None:
    with pytest.raises(InvalidRequest, match="nonce"):
        wire.decode([b"\x82\xa4type\xa4ping\xa5nonce\xd6\xff\x00\x00\x00\x01"], wire.FROM_APP)


def test_the_last_of_two_equal_keys_counts() -> None:
    twice = b"\x83\xa4type\xa4ping\xa5nonce\x01\xa5nonce\x02"
    assert wire.decode([twice], wire.FROM_APP) == control.Ping(2)


def test_ids_end_at_2_to_the_53() -> None:
    for nonce in (2**53, 2**64 - 1, -1, -(2**63)):
        with pytest.raises(InvalidRequest, match="nonce"):
            wire.decode([msgpack.packb({"type": "ping", "nonce": nonce})], wire.FROM_APP)


def test_a_message_cut_off_anywhere_is_a_protocol_error() -> None:
    for frames in EXAMPLES:
        for length in range(len(frames[0])):
            with pytest.raises(ProtocolError):
                wire.header_of([frames[0][:length], *frames[1:]])


def test_a_message_without_frames_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        wire.decode([], wire.FROM_APP)
    with pytest.raises(ProtocolError):
        wire.check_frames([], control.Limits())


EXAMPLES: list[list[bytes]] = [
    wire.encode(control.Hello(1, 1, "fuzz", "0" * 32, required=("a",))),
    wire.encode(
        control.Request(
            7,
            "generate",
            wire.fields_of(operations.Generate((operations.Message("user", (operations.ImageBlock(Blob(b"png")),)),))),
            control.Window(64, 2**20),
            timeout_ms=1000,
        )
    ),
    wire.encode(control.Feed(7, 1, 0, Blob(b"\1\2\3\4"))),
    wire.encode(control.Credit(7, 1, 64, 2**20)),
    wire.join_events(
        [
            wire.pack_event(7, 1, events.TextDelta("Hello")),
            wire.pack_event(8, 1, events.AudioChunk(Blob(b"\1\2"), 16_000)),
            wire.pack_event(7, 2, events.Error("queue_full", "x", details={"limit": 1, "near": ("a",)})),
        ]
    ),
    wire.encode(actors.ActorHello("model", 1, 2, "0" * 32, 1)),
]


def read_by_everyone(frames: Sequence[bytes]) -> None:
    """Read a message as each receiver would; only the two errors may come of it."""
    for table in TABLES.values():
        with contextlib.suppress(ProtocolError, InvalidRequest):
            message = wire.decode(frames, table)
            if isinstance(message, control.Request):
                wire.operation_of(message)
    with contextlib.suppress(ProtocolError):
        wire.split_events(wire.header_of(frames), frames[1:])
    with contextlib.suppress(ProtocolError):
        actors.read_route(frames[0])


@given(frames=st.lists(st.binary(max_size=200), min_size=1, max_size=3))
@example(frames=[b"\x93" + b"\xff" * 3])
@example(frames=[b"\x93\x01\x02\x91\x95\x01\x02\x03\x04\x05"])
def test_random_bytes_are_refused_or_read(frames: list[bytes]) -> None:
    read_by_everyone(frames)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=9)
    | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=9,
)
NAMES = sorted({field.name for kind in every_class() for field in fields(kind)})


@settings(max_examples=200)
@given(
    name=st.sampled_from(sorted(name for table in TABLES.values() for name in table)),
    entries=st.dictionaries(st.sampled_from(NAMES), PLAIN, max_size=8),
)
def test_messages_of_random_values_are_refused_or_read(name: str, entries: dict[str, Any]) -> None:
    read_by_everyone([msgpack.packb({"type": name, **entries})])
    read_by_everyone([msgpack.packb({"type": "events", "events": [msgpack.packb([name, 1, 1, 0, entries])]})])


@settings(max_examples=300)
@given(frames=st.sampled_from(EXAMPLES), data=st.data())
def test_valid_messages_with_mistakes_are_refused_or_read(frames: list[bytes], data: st.DataObject) -> None:
    header = bytearray(frames[0])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(header) - 1))
        match data.draw(st.sampled_from(("flip", "drop", "insert", "length", "copy"))):
            case "flip":
                header[at] ^= 1 << data.draw(st.integers(0, 7))
            case "drop":
                del header[at : at + data.draw(st.integers(1, 4))]
                header = header or bytearray(b"\x80")
            case "insert":
                header[at:at] = data.draw(st.binary(min_size=1, max_size=4))
            case "length":
                header[at:at] = bytes([data.draw(st.sampled_from((0xC6, 0xC9, 0xDB, 0xDD, 0xDF)))])
                header[at + 1 : at + 1] = struct.pack(">I", data.draw(st.integers(0, 2**32 - 1)))
            case "copy":
                header[at:at] = header[at : at + data.draw(st.integers(1, 40))]
    read_by_everyone([bytes(header), *frames[1:]])


@pytest.mark.parametrize(
    "route",
    [None, 5, "abc", [], [1, 2], [1, 2, None], ["1", 2, []], [1, 2, [[]]], [1, 2, [[1, 2, 3, 4]]], [1, 2, [[1, 2, 3, 4, 1]]],
     [1, 2, [[1, 2, 3, 4.0, True]]], [1, 2, {"a": 1}], [1, 2, [None]]],
    ids=repr,
)  # fmt: skip
def test_what_is_no_route_is_a_protocol_error(route: object) -> None:
    with pytest.raises(ProtocolError):
        actors.read_route(msgpack.packb(route))
