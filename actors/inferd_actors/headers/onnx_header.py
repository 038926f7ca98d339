"""An ONNX file: the way to its weights through Protocol Buffers, within bounds; the weights themselves are skipped.

Only the fields on that way are looked into: `ModelProto.graph` (7), `GraphProto.initializer` (5), `TensorProto.dims` (1),
`data_type` (2), `raw_data` (9). A message is a row of fields, each a key (number and kind), then a number, 4 or 8 bytes, or a
length and so many bytes.

Covers: models whose weights are in the file itself. Pure.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from inferd_actors.headers.cursor import Cursor, Malformed
from inferd_actors.headers.header import Header

NUMBER: Final = 0
EIGHT: Final = 1
BYTES: Final = 2
FOUR: Final = 5
"""Kinds of fields."""
GRAPH: Final = (7, BYTES)
INITIALIZER: Final = (5, BYTES)
RAW: Final = (9, BYTES)
"""Fields: number and kind."""
TYPES: Final = {
    1: ("float32", 4),
    2: ("uint8", 1),
    3: ("int8", 1),
    6: ("int32", 4),
    7: ("int64", 8),
    10: ("float16", 2),
}
"""`TensorProto.DataType` → name and bytes of each; of others only the bytes that are there count."""
MAX_FIELDS: Final = 200_000
"""Of a whole file: a voice has 8,000 nodes and tensors."""
MAX_DIMENSIONS: Final = 8
VARINT_BYTES: Final = 10


@dataclass(slots=True)
class _Budget:
    """How many fields may still be read: a file of a gigabyte can be a hundred million empty ones."""

    left: int = MAX_FIELDS


def read_onnx(cursor: Cursor) -> Header:
    """Return what the file says of the model: its weights. Raises Malformed."""
    sizes: Counter[str] = Counter()
    parameters, budget = 0, _Budget()
    graphs = 0
    for number, kind, length in _fields(cursor, cursor.left_bytes, budget):
        if (number, kind) != GRAPH:
            _skip(cursor, kind, length)
            continue
        graphs += 1
        for inner, inner_kind, inner_length in _fields(cursor, length, budget):
            if (inner, inner_kind) != INITIALIZER:
                _skip(cursor, inner_kind, inner_length)
                continue
            label, size_bytes, numbers = _tensor(cursor, inner_length, budget)
            sizes[label] += size_bytes
            parameters += numbers
    if graphs != 1:
        raise Malformed(f"it has {graphs} graphs, not one")
    return Header(architecture="onnx", parameters=parameters, is_causal=False, tensor_bytes=dict(sizes))


def _tensor(cursor: Cursor, length: int, budget: _Budget) -> tuple[str, int, int]:
    """Return the type, the bytes and the numbers of a tensor."""
    dims: list[int] = []
    kind_of_numbers = raw_bytes = 0
    end = cursor.at + length
    for number, kind, value in _fields(cursor, length, budget):
        match number, kind:
            case (1, 0):
                dims.append(value)
            case (1, 2):
                until = cursor.at + value
                while cursor.at < until and len(dims) <= MAX_DIMENSIONS:
                    dims.append(_varint(cursor, until))
            case (2, 0):
                kind_of_numbers = value
            case (14, 0) if value:
                raise Malformed("a tensor's numbers are in another file")
            case _:
                raw_bytes = max(raw_bytes, value) if (number, kind) == RAW else raw_bytes
                _skip(cursor, kind, value)
        if len(dims) > MAX_DIMENSIONS or cursor.at > end:
            raise Malformed(f"a tensor has more than {MAX_DIMENSIONS} dimensions, or fields beyond its end")
    label, number_bytes = TYPES.get(kind_of_numbers, (f"type {kind_of_numbers}", 0))
    numbers = math.prod(dims)
    if raw_bytes and number_bytes and numbers * number_bytes != raw_bytes:
        raise Malformed(f"a tensor has {raw_bytes:,} bytes; its shape takes {numbers * number_bytes:,}")
    return label, raw_bytes or min(numbers * number_bytes, length), min(numbers, max(1, raw_bytes or length))


def _fields(cursor: Cursor, length: int, budget: _Budget) -> Iterator[tuple[int, int, int]]:
    """Yield number, kind and value of each field: of bytes their length, which whoever asks has to step over."""
    end = cursor.at + length
    while cursor.at < end:
        budget.left -= 1
        if budget.left < 0:
            raise Malformed(f"it has more than {MAX_FIELDS:,} fields")
        key = _varint(cursor, end)
        number, kind = key >> 3, key & 7
        if kind not in (NUMBER, EIGHT, BYTES, FOUR) or not number:
            raise Malformed(f"at byte {cursor.at:,} there is no field of a known kind")
        value = _varint(cursor, end) if kind in (NUMBER, BYTES) else 0
        if kind == BYTES and value > end - cursor.at:
            raise Malformed(f"a field at byte {cursor.at:,} reaches {value - (end - cursor.at):,} bytes beyond its end")
        yield number, kind, value
    if cursor.at != end:
        raise Malformed(f"a field at byte {cursor.at:,} reaches beyond its end")


def _skip(cursor: Cursor, kind: int, length: int) -> None:
    cursor.skip({BYTES: length, EIGHT: 8, FOUR: 4}.get(kind, 0), "a field")


def _varint(cursor: Cursor, end: int) -> int:
    value = 0
    for place in range(VARINT_BYTES):
        if cursor.at >= end:
            break
        byte = cursor.take(1, "a number")[0]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follows
            return value
    raise Malformed(f"a number at byte {cursor.at:,} does not end")
