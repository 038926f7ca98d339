"""A file in the GGUF format, version 3, written from scratch: as much of it as a tiny model needs.

Layout: magic, version, number of tensors, number of keys; the keys with typed values; of each tensor its name, shape, type and
place; then, on a multiple of `ALIGNMENT`, the numbers. Little-endian; a shape is written with the fastest dimension first.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

Value = str | bool | int | float | Sequence[str] | Sequence[int]
Tensors = Mapping[str, NDArray[np.float32]]

ALIGNMENT: Final = 32
F32: Final = 0
"""Of ggml's tensor types."""
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9


def write(path: Path, keys: Mapping[str, Value], tensors: Tensors) -> None:
    """Write a file with these keys and tensors, in this order."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    for key, value in keys.items():
        head += _text(key) + _typed(value)
    place = 0
    for name, tensor in tensors.items():
        shape = tensor.shape[::-1]
        head += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, F32, place)
        place += _padded(tensor.nbytes)
    with path.open("wb") as file:
        file.write(head.ljust(_padded(len(head)), b"\0"))
        for tensor in tensors.values():
            file.write(tensor.astype("<f4").tobytes().ljust(_padded(tensor.nbytes), b"\0"))


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _typed(value: Value) -> bytes:
    match value:
        case str():
            return struct.pack("<I", STRING) + _text(value)
        case bool():
            return struct.pack("<I?", BOOL, value)
        case int():
            return struct.pack("<II", UINT32, value)
        case float():
            return struct.pack("<If", FLOAT32, value)
        case _:
            return _array(value)


def _array(values: Sequence[str] | Sequence[int]) -> bytes:
    of = STRING if isinstance(values[0], str) else INT32
    packed = b"".join(_text(one) if isinstance(one, str) else struct.pack("<i", one) for one in values)
    return struct.pack("<IIQ", ARRAY, of, len(values)) + packed
