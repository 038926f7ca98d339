"""A GGUF file put together from bytes, so that any of them can be wrong: what the honest writer of a file never writes.

Covers: pieces as the format has them, version 3, and a whole that fits unless a test says otherwise.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

F32: Final = 0
"""Of tensor types."""
UINT8, INT8, UINT16, INT16, UINT32, INT32, FLOAT32, BOOL, TEXT, LIST, UINT64, INT64, FLOAT64 = range(13)
"""Types of values."""


def u32(number: int) -> bytes:
    """Return 32 bits."""
    return struct.pack("<I", number)


def u64(number: int) -> bytes:
    """Return 64 bits; -1 is the largest."""
    return struct.pack("<Q", number % 2**64)


def text(data: str | bytes) -> bytes:
    """Return a text with its length."""
    raw = data.encode() if isinstance(data, str) else data
    return u64(len(raw)) + raw


def key(name: str | bytes, kind: int, value: bytes) -> bytes:
    """Return a key with its value."""
    return text(name) + u32(kind) + value


def listed(kind: int, count: int, items: bytes) -> bytes:
    """Return a list as a value of a key of type LIST."""
    return u32(kind) + u64(count) + items


def tensor(name: str | bytes, shape: tuple[int, ...], offset: int, kind: int = F32) -> bytes:
    """Return an entry of the table."""
    return text(name) + u32(len(shape)) + b"".join(map(u64, shape)) + u32(kind) + u64(offset)


ARCHITECTURE: Final = key("general.architecture", TEXT, text("llama"))
LAYERS: Final = key("llama.block_count", UINT32, u32(2))


@dataclass(frozen=True, slots=True)
class Draft:
    """A file of two tensors, 4 x 2 and 3 numbers, unless a test wants another."""

    magic: bytes = b"GGUF"
    version: bytes = u32(3)
    tensor_count: int | None = None
    """None: the true one."""
    key_count: int | None = None
    keys: tuple[bytes, ...] = (ARCHITECTURE, LAYERS)
    tensors: tuple[bytes, ...] = (tensor("a", (4, 2), 0), tensor("b", (3,), 32))
    alignment: int = 32
    data: bytes = field(default=bytes(range(32 + 12)))

    @property
    def file(self) -> bytes:
        """The whole file."""
        counts = (
            len(self.tensors) if self.tensor_count is None else self.tensor_count,
            len(self.keys) if self.key_count is None else self.key_count,
        )
        head = self.magic + self.version + b"".join(map(u64, counts)) + b"".join(self.keys) + b"".join(self.tensors)
        return head + b"\0" * (-len(head) % self.alignment) + self.data
