"""Files of speech models with nothing in them but their shape: a Whisper `model.bin`, and an ONNX network's weights.

Covers: writing the two formats as far as headers are read. See also: `gguf_file`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Final

Shapes = Mapping[str, tuple[int, Sequence[int]]]
"""Name → number of the type in the file, dimensions."""

TINY: Final[Shapes] = {
    "decoder/alibi": (1, ()),
    "decoder/embeddings/weight": (4, (30, 8)),
    "decoder/layer_0/ffn/linear_0/weight": (4, (32, 8)),
    "decoder/layer_1/ffn/linear_0/weight": (4, (32, 8)),
    "decoder/position_encodings/encodings": (4, (16, 8)),
    "encoder/position_encodings/encodings": (4, (20, 8)),
}
SIZES: Final = (4, 1, 2, 4, 2, 2)


def text(words: str) -> bytes:
    """Return a text as CTranslate2 writes it."""
    raw = words.encode() + b"\0"
    return struct.pack("<H", len(raw)) + raw


def ct2(shapes: Shapes = TINY, *, version: int = 6, specification: str = "WhisperSpec") -> bytes:
    """Return a `model.bin`."""
    rows = b""
    for name, (kind, dims) in shapes.items():
        data = bytes(SIZES[kind] * math.prod(dims))
        rows += text(name) + struct.pack(f"<B{len(dims)}IBI", len(dims), *dims, kind, len(data)) + data
    head = struct.pack("<I", version) + text(specification) + struct.pack("<II", 3, len(shapes))
    return head + rows + struct.pack("<I", 1) + text("decoder/projection/weight") + text("decoder/embeddings/weight")


def varint(value: int) -> bytes:
    """Return a number as Protocol Buffers write it."""
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    """Return a field of a message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(dims: Sequence[int], *, kind: int = 1, packed: bool = False) -> bytes:
    """Return an initializer of zeros."""
    shape = field(1, b"".join(map(varint, dims))) if packed else b"".join(field(1, one) for one in dims)
    size = {1: 4, 7: 8, 10: 2}[kind]
    return shape + field(2, kind) + field(8, b"weights") + field(9, bytes(size * math.prod(dims)))


def onnx(*tensors: bytes) -> bytes:
    """Return a network of one node that does nothing, with these initializers."""
    node = field(1, field(1, b"in") + field(2, b"out") + field(4, b"Identity"))
    graph = node + field(2, b"graph") + b"".join(field(5, one) for one in tensors)
    return field(1, 8) + field(2, b"made for a test") + field(7, graph) + field(8, field(2, 15))
