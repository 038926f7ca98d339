"""Tensors of a safetensors file, which may be anybody's: found within bounds, each where the header says, none beside.

    8 bytes, little-endian: length of the header   the header, JSON: name → dtype, shape, data_offsets   the data

Covers: the header's rules, and tensors as views of the bytes. Pure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MAX_HEADER_BYTES: Final = 2**20
"""A model of 200 layers takes some 200 kB."""
SIZES: Final[Mapping[str, int]] = {"F32": 4, "F16": 2}
"""Bytes of a number, of those types that recipes read."""
IGNORED: Final[Mapping[str, int]] = {"I64": 8, "I32": 4, "BF16": 2, "U8": 1, "BOOL": 1}
"""Types that may be there, and are not read."""
METADATA: Final = "__metadata__"


class WrongFile(ValueError):
    """The file is none, or contradicts itself; says how."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where a tensor lies."""

    kind: str
    shape: tuple[int, ...]
    start_bytes: int
    """From the beginning of the file."""
    size_bytes: int


def tensors_of(data: memoryview) -> dict[str, Tensor]:
    """Return every tensor by name. Raises WrongFile."""
    header_bytes = int.from_bytes(data[:8], "little")
    if len(data) < 8 + header_bytes or not 2 <= header_bytes <= MAX_HEADER_BYTES:  # noqa: PLR2004 - an empty map
        raise WrongFile(
            f"its header should have {header_bytes} bytes, of at most {MAX_HEADER_BYTES}; the file {len(data)}"
        )
    try:
        said = json.loads(bytes(data[8 : 8 + header_bytes]))
    except (ValueError, RecursionError) as wrong:
        raise WrongFile(f"its header is no JSON: {wrong}") from None
    if not isinstance(said, dict):
        raise WrongFile("its header is no map")
    base_bytes = 8 + header_bytes
    found = {name: _tensor(name, row, base_bytes) for name, row in said.items() if name != METADATA}
    end_bytes = base_bytes
    for name, one in sorted(found.items(), key=lambda item: item[1].start_bytes):
        if one.start_bytes != end_bytes:
            raise WrongFile(f"{name[:80]!a} does not begin where the tensor before it ends")
        end_bytes += one.size_bytes
    if end_bytes != len(data):
        raise WrongFile(f"its tensors end at {end_bytes}, the file has {len(data)} bytes")
    return found


def _tensor(name: str, row: object, base_bytes: int) -> Tensor:
    match row:
        case {"dtype": str(kind), "shape": [*shape], "data_offsets": [int(start), int(end)]}:
            size = SIZES.get(kind) or IGNORED.get(kind)
        case _:
            size = None
    if size is None or not all(type(one) is int and 0 <= one < 2**32 for one in shape) or not 0 <= start <= end:
        raise WrongFile(f"{name[:80]!a} is described in a way that is not understood")
    if math.prod(shape) * size != end - start:
        raise WrongFile(f"{name[:80]!a} has {end - start} bytes, its shape takes {math.prod(shape) * size}")
    return Tensor(kind, tuple(shape), base_bytes + start, end - start)
