"""A CTranslate2 `model.bin`: its tables, within bounds; the weights themselves are skipped.

    u32 version 4 to 6   text specification   u32 revision   u32 variables, each: text name, u8 dimensions, u32 each, u8 type,
    u32 bytes, the bytes   u32 aliases, each: text alias, text variable          a text: u16 length, with a zero byte at its end

Covers: Whisper models. Pure.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from dataclasses import dataclass
from typing import Final

from inferd_actors.headers.cursor import Cursor, Malformed
from inferd_actors.headers.header import Header, Layers

VERSIONS: Final = range(4, 7)
SPECIFICATION: Final = "WhisperSpec"
TYPES: Final = (("float32", 4), ("int8", 1), ("int16", 2), ("int32", 4), ("float16", 2), ("bfloat16", 2))
"""By the number in the file; bytes of each."""
MAX_VARIABLES: Final = 16_384
"""The largest Whisper model has 1,500 and some."""
MAX_DIMENSIONS: Final = 4
MAX_NAME_BYTES: Final = 1_024
U8: Final = struct.Struct("<B")
U16: Final = struct.Struct("<H")

TOKENS: Final = "decoder/embeddings/weight"
FRAMES: Final = "encoder/position_encodings/encodings"
HIDDEN: Final = "decoder/layer_0/ffn/linear_0/weight"


@dataclass(frozen=True, slots=True)
class Variable:
    """One array of the model."""

    kind: str
    shape: tuple[int, ...]
    size_bytes: int


def read_ct2(cursor: Cursor) -> Header:
    """Return what the file says of the model. Raises Malformed."""
    version = cursor.u32("the version")
    if version not in VERSIONS:
        raise Malformed(f"its version is {version:,}; {VERSIONS[0]} to {VERSIONS[-1]} are known")
    specification = _text(cursor, "the specification")
    if specification != SPECIFICATION:
        raise Malformed(f"it is a model of {specification[:80]!a}, not of {SPECIFICATION}")
    cursor.u32("the revision")
    count = cursor.u32("the number of variables")
    if count > MAX_VARIABLES:
        raise Malformed(f"it has {count:,} variables; at most {MAX_VARIABLES:,} are read")
    variables = dict(_variable(cursor) for _ in range(count))
    if len(variables) != count:
        raise Malformed("two of its variables have one name")
    return _header(variables)


def _header(variables: dict[str, Variable]) -> Header:
    absent = [name for name in (TOKENS, FRAMES, HIDDEN) if len(getattr(variables.get(name), "shape", ())) != 2]  # noqa: PLR2004
    if absent:
        raise Malformed(f"it has no matrix {absent[0]}")
    sizes: Counter[str] = Counter()
    for one in variables.values():
        sizes[one.kind] += one.size_bytes
    vocabulary, width = variables[TOKENS].shape
    layers = sum(name.startswith("decoder/layer_") and name.endswith("/ffn/linear_0/weight") for name in variables)
    return Header(
        architecture="whisper",
        width=width,
        hidden=variables[HIDDEN].shape[0],
        vocabulary=vocabulary,
        parameters=sum(math.prod(one.shape) for one in variables.values()),
        is_causal=False,
        tensor_bytes=dict(sizes),
        layers=Layers(keys=(width,) * layers, values=(width,) * layers),
    )


def _variable(cursor: Cursor) -> tuple[str, Variable]:
    name = _text(cursor, "a variable's name")
    dimensions = U8.unpack(cursor.take(U8.size, f"the dimensions of {name[:80]!a}"))[0]
    if dimensions > MAX_DIMENSIONS:
        raise Malformed(f"{name[:80]!a} has {dimensions} dimensions; at most {MAX_DIMENSIONS} are known")
    shape = tuple(cursor.u32(f"a dimension of {name[:80]!a}") for _ in range(dimensions))
    kind = U8.unpack(cursor.take(U8.size, f"the type of {name[:80]!a}"))[0]
    size_bytes = cursor.u32(f"the size of {name[:80]!a}")
    if kind >= len(TYPES):
        raise Malformed(f"{name[:80]!a} has numbers of the unknown type {kind}")
    label, number_bytes = TYPES[kind]
    if math.prod(shape) * number_bytes != size_bytes:
        raise Malformed(f"{name[:80]!a} has {size_bytes:,} bytes; its shape takes {math.prod(shape) * number_bytes:,}")
    cursor.skip(size_bytes, f"the numbers of {name[:80]!a}")
    return name, Variable(label, shape, size_bytes)


def _text(cursor: Cursor, what: str) -> str:
    length = U16.unpack(cursor.take(U16.size, f"the length of {what}"))[0]
    if not 0 < length <= MAX_NAME_BYTES:
        raise Malformed(f"{what} has {length:,} bytes; 1 to {MAX_NAME_BYTES:,} are read")
    return cursor.take(length, what).rstrip(b"\0").decode("utf-8", "replace")
