"""Steps through a hostile file from its beginning: none goes past its end, and none is taken on a size alone.

Covers: bytes, numbers, texts, skipping. Does not cover what they mean: `gguf_header`, `tensors`.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Final

MAX_KEPT_BYTES: Final = 256
"""Of a text that is kept; of longer ones, chat templates above all, only the beginning is."""
U32: Final = struct.Struct("<I")
U64: Final = struct.Struct("<Q")


class Malformed(ValueError):
    """The file is no sound model file; the words say where and why."""


class Cursor:
    """A file of `size_bytes`, buffered, read in one direction. Every method raises Malformed."""

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file = file
        self._size_bytes = size_bytes
        self._left_bytes = size_bytes

    @property
    def at(self) -> int:
        """Bytes read or skipped so far."""
        return self._size_bytes - self._left_bytes

    @property
    def left_bytes(self) -> int:
        """Bytes to the end of the file."""
        return self._left_bytes

    def take(self, count: int, what: str) -> bytes:
        """Return the next `count` bytes; the caller has bounded `count`."""
        self._step(count, what)
        data = self._file.read(count)
        if len(data) != count:
            raise Malformed(f"the file became shorter while it was read, at byte {self.at:,}")
        return data

    def skip(self, count: int, what: str) -> None:
        """Go on behind the next `count` bytes."""
        self._step(count, what)
        self._file.seek(count, 1)

    def u32(self, what: str) -> int:
        """Return the next number of 32 bits."""
        number: int = U32.unpack(self.take(U32.size, what))[0]
        return number

    def u64(self, what: str) -> int:
        """Return the next number of 64 bits: a length, a count or an offset."""
        number: int = U64.unpack(self.take(U64.size, what))[0]
        return number

    def text(self, what: str) -> bytes:
        """Return the next text, at most its first `MAX_KEPT_BYTES`."""
        length = self.u64(f"the length of {what}")
        kept = min(length, MAX_KEPT_BYTES)
        if length > self._left_bytes:
            self._step(length, what)
        data = self.take(kept, what)
        self.skip(length - kept, what)
        return data

    def skip_texts(self, count: int, what: str) -> None:
        """Go on behind the next `count` texts. A vocabulary has a hundred thousand: 60 ms."""
        read, seek, left = self._file.read, self._file.seek, self._left_bytes
        for _ in range(count):
            length = int.from_bytes(read(U64.size), "little")
            left -= U64.size + length
            if left < 0:
                raise Malformed(f"a text in {what} reaches {-left:,} bytes beyond the end of the file")
            seek(length, 1)
        self._left_bytes = left

    def _step(self, count: int, what: str) -> None:
        if count > self._left_bytes:
            raise Malformed(
                f"{what} takes {count:,} bytes at byte {self.at:,}, and the file has only {self._left_bytes:,} more"
            )
        self._left_bytes -= count
