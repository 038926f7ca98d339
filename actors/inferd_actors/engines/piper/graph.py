"""Has a voice's network tell how long each sound takes: its durations become an output.

Covers: the ONNX file as bytes → bytes to append. Why: a voice computes the durations (the one `Ceil` of its graph) and keeps
them to itself. Protobuf joins messages that stand one behind the other, so a second, tiny model behind the first one adds an
output without the onnx package, and without 60 MB being written anew. Source: the protobuf encoding, section "Last One Wins".
Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

MODEL_GRAPH: Final = 7
GRAPH_NODE, GRAPH_OUTPUT = 1, 12
NODE_OUTPUT, NODE_OPERATION = 2, 4
VALUE_NAME: Final = 1
"""Field numbers of onnx.proto."""
DELIMITED: Final = 2
MAX_NAME_BYTES: Final = 100
"""So that each length takes one byte below."""


class Part(NamedTuple):
    """A length-delimited field: its number, and where its bytes are."""

    number: int
    start: int
    end: int


def durations_output(model: bytes) -> bytes:
    """Return what to append so that the durations are the last output; empty where there is no one place for them.

    Raises ValueError for bytes that are no protobuf.
    """
    found = {
        bytes(model[out.start : out.end])
        for graph in _parts(model, 0, len(model))
        if graph.number == MODEL_GRAPH
        for node in _parts(model, graph.start, graph.end)
        if node.number == GRAPH_NODE
        for out in _outputs_of_ceil(model, node)
    }
    if len(found) != 1 or len(name := found.pop()) > MAX_NAME_BYTES:
        return b""
    return _wrapped(MODEL_GRAPH, _wrapped(GRAPH_OUTPUT, _wrapped(VALUE_NAME, name)))


def _outputs_of_ceil(model: bytes, node: Part) -> list[Part]:
    parts = list(_parts(model, node.start, node.end))
    is_ceil = any(one.number == NODE_OPERATION and model[one.start : one.end] == b"Ceil" for one in parts)
    return [one for one in parts if one.number == NODE_OUTPUT] if is_ceil else []


def _parts(model: bytes, at: int, end: int) -> Iterator[Part]:
    while at < end:
        key, at = _varint(model, at)
        match key & 7:
            case 0:  # varint
                _, at = _varint(model, at)
            case 1:  # 64 bits
                at += 8
            case 5:  # 32 bits
                at += 4
            case 2:  # length, then so many bytes
                length, at = _varint(model, at)
                yield Part(key >> 3, at, at + length)
                at += length
            case kind:
                raise ValueError(f"byte {at:,}: a field of the unknown kind {kind}")
    if at != end:
        raise ValueError(f"a field ends at byte {at:,}, what it is in at {end:,}")


def _varint(model: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(model):
            raise ValueError("the file ends within a number")
        value |= (model[at] & 0x7F) << shift
        at += 1
        if not model[at - 1] & 0x80:
            return value, at
    raise ValueError(f"byte {at:,}: a number of more than 64 bits")


def _wrapped(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | DELIMITED, len(content)]) + content
