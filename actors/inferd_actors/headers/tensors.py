"""The table of a GGUF file's tensors: every shape, type and place is checked before it counts.

Covers: the table, and that each tensor lies where llama.cpp will look for it, inside the file and on no other. Does not cover
the numbers in the tensors. Python's integers have no end, so no product or sum here can wrap around.
"""

from __future__ import annotations

from math import prod
from typing import Final, NamedTuple

from inferd_actors.headers.cursor import Cursor, Malformed
from inferd_actors.headers.tensor_types import TENSOR_TYPES, TensorType

MAX_TENSORS: Final = 65_536
"""The largest models have some two thousand."""
LEAST_BYTES: Final = 24
"""Of an entry: lengths, type and place, without name and shape."""
MAX_NAME_BYTES: Final = 63
MAX_DIMENSIONS: Final = 4
MAX_NUMBERS: Final = 2**63 - 1
"""ggml counts in signed 64 bits."""


class Tensor(NamedTuple):
    """One entry of the table."""

    name: str
    shape: tuple[int, ...]
    type: TensorType
    offset: int
    """From the beginning of the data."""

    @property
    def numbers(self) -> int:
        """How many weights it holds."""
        return prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """What it takes in the file, without padding."""
        return self.numbers // self.type.block * self.type.block_bytes


def check_count(count: int, cursor: Cursor) -> None:
    """Raise Malformed for more tensors than a file of this size can list."""
    if count > MAX_TENSORS or count * LEAST_BYTES > cursor.left_bytes:
        raise Malformed(
            f"it claims {count:,} tensors; {MAX_TENSORS:,} may be, and {cursor.left_bytes:,} bytes follow its beginning"
        )


def read_tensors(cursor: Cursor, count: int, alignment: int) -> tuple[Tensor, ...]:
    """Return the tensors, which lie one behind the other up to the end of the file at most. Raises Malformed."""
    tensors = tuple(_tensor(cursor, number) for number in range(count))
    names = {tensor.name for tensor in tensors}
    if len(names) < len(tensors):
        raise Malformed(f"{len(tensors) - len(names):,} of its tensors have the name of another one")
    begin = _padded(cursor.at, alignment)
    expected = 0
    for tensor in tensors:
        if tensor.offset != expected:
            place = "overlaps the one before" if tensor.offset < expected else "leaves a gap"
            raise Malformed(f"tensor {tensor.name} lies at {tensor.offset:,}, not at {expected:,}: it {place}")
        _check_end(tensor, begin, cursor)
        expected = _padded(expected + tensor.size_bytes, alignment)
    return tensors


def _tensor(cursor: Cursor, number: int) -> Tensor:
    name = _name(cursor, number)
    shape = _shape(cursor, name)
    kind = cursor.u32(f"the type of tensor {name}")
    known = TENSOR_TYPES.get(kind)
    if known is None:
        raise Malformed(f"tensor {name} is of type {kind}, which no engine here reads")
    if shape and shape[0] % known.block:
        raise Malformed(f"tensor {name}: rows of {shape[0]:,} are no whole blocks of {known.block} ({known.name})")
    if not shape and known.block != 1:
        raise Malformed(f"tensor {name}: one number is no whole block of {known.block} ({known.name})")
    return Tensor(name, shape, known, cursor.u64(f"the place of tensor {name}"))


def _name(cursor: Cursor, number: int) -> str:
    what = f"the name of tensor {number:,}"
    length = cursor.u64(f"the length of {what}")
    if length > MAX_NAME_BYTES:
        raise Malformed(f"{what} has {length:,} bytes; {MAX_NAME_BYTES} may be")
    try:
        return cursor.take(length, what).decode()
    except UnicodeDecodeError:
        raise Malformed(f"{what} is no UTF-8") from None


def _shape(cursor: Cursor, name: str) -> tuple[int, ...]:
    count = cursor.u32(f"the number of dimensions of tensor {name}")
    if count > MAX_DIMENSIONS:
        raise Malformed(f"tensor {name} has {count:,} dimensions; {MAX_DIMENSIONS} may be")
    shape = tuple(cursor.u64(f"a dimension of tensor {name}") for _ in range(count))
    if 0 in shape or prod(shape) > MAX_NUMBERS:
        raise Malformed(f"tensor {name} has the shape {shape}: {prod(shape):,} numbers; 1 to {MAX_NUMBERS:,} may be")
    return shape


def _check_end(tensor: Tensor, begin: int, cursor: Cursor) -> None:
    end, size_bytes = begin + tensor.offset + tensor.size_bytes, cursor.at + cursor.left_bytes
    if end > size_bytes:
        raise Malformed(f"tensor {tensor.name} ends at byte {end:,}, and the file has {size_bytes:,}: it was cut off")


def _padded(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment
