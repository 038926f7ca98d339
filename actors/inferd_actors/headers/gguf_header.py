"""A GGUF file's beginning: magic, keys and the table of tensors, versions 2 and 3, little-endian.

Covers: the format, and that every count, length and type in it can be true for a file of this size. Does not cover what keys
mean (`geometry`) nor tensors (`tensors`). Layout: magic, version, number of tensors, number of keys; each key with its type and
value; the tensors; then, on a multiple of the alignment, their numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

from inferd_actors.headers.cursor import Cursor, Malformed
from inferd_actors.headers.tensors import Tensor, check_count, read_tensors

MAGIC: Final = b"GGUF"
VERSIONS: Final = (2, 3)
"""Version 1 counted in 32 bits and has been unreadable for every engine since 2023."""
BIG_ENDIAN: Final = 0xFFFF
"""A version without any of these bits was written with its bytes in the other order."""
MAX_KEYS: Final = 10_000
"""Files have 20 to 60."""
LEAST_KEY_BYTES: Final = 14
"""A length, one letter, a type and one byte."""
MAX_KEY_BYTES: Final = 255
"""The format allows 65,535; the longest in use has 60."""
MAX_KEPT_ITEMS: Final = 1_024
"""Of a list of numbers: one for each layer. Longer ones belong to vocabularies, and are only counted."""
MAX_TEXTS: Final = 8_000_000
"""In all lists together; the largest vocabularies have 260,000 tokens and 510,000 merges."""
ALIGNMENT_KEY: Final = "general.alignment"
DEFAULT_ALIGNMENT: Final = 32

UINT32, BOOL, TEXT, LIST = 4, 7, 8, 9
NUMBERS: Final[Mapping[int, struct.Struct]] = {
    kind: struct.Struct(f"<{code}")
    for kind, code in {
        0: "B",
        1: "b",
        2: "H",
        3: "h",
        4: "I",
        5: "i",
        6: "f",
        7: "?",
        10: "Q",
        11: "q",
        12: "d",
    }.items()
}
"""Types of values that are one number."""

Number = int | float | bool
Value = Number | str | tuple[Number, ...]


class Contents(NamedTuple):
    """A header as it stands in the file."""

    values: Mapping[str, Value]
    """Of long texts the beginning; lists of numbers up to `MAX_KEPT_ITEMS`."""
    counts: Mapping[str, int]
    """The length of every list."""
    tensors: tuple[Tensor, ...]


def read_contents(cursor: Cursor) -> Contents:
    """Return what the header holds. Raises Malformed."""
    _check_beginning(cursor)
    tensor_count, key_count = cursor.u64("the number of tensors"), cursor.u64("the number of keys")
    check_count(tensor_count, cursor)
    keys = _Keys(cursor)
    keys.read(key_count)
    return Contents(keys.values, keys.counts, read_tensors(cursor, tensor_count, keys.alignment()))


def _check_beginning(cursor: Cursor) -> None:
    magic = cursor.take(len(MAGIC), "its magic") if cursor.left_bytes >= len(MAGIC) else b""
    if magic != MAGIC:
        raise Malformed(f"it is no GGUF file: it begins with {magic!r}")
    version = cursor.u32("its version")
    if version and not version & BIG_ENDIAN:
        raise Malformed("it is big-endian, for machines of another kind")
    if version not in VERSIONS:
        raise Malformed(f"it is GGUF version {version:,}; {VERSIONS[0]} and {VERSIONS[1]} can be read")


class _Keys:
    """The keys while they are read."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._texts = 0
        self._alignment_kind = UINT32
        self.values: dict[str, Value] = {}
        self.counts: dict[str, int] = {}

    def read(self, count: int) -> None:
        """Take in so many keys."""
        left_bytes = self._cursor.left_bytes
        if count > MAX_KEYS or count * LEAST_KEY_BYTES > left_bytes:
            raise Malformed(
                f"it claims {count:,} keys; {MAX_KEYS:,} may be, and {left_bytes:,} bytes follow its beginning"
            )
        for number in range(count):
            self._read_one(self._name(number))

    def alignment(self) -> int:
        """Return what tensors are aligned to, in bytes."""
        alignment = self.values.get(ALIGNMENT_KEY, DEFAULT_ALIGNMENT)
        if self._alignment_kind != UINT32 or not isinstance(alignment, int):
            raise Malformed(f"{ALIGNMENT_KEY} is of type {self._alignment_kind}, not {UINT32}")
        if alignment.bit_count() != 1:
            raise Malformed(f"{ALIGNMENT_KEY} is {alignment:,}, which is no power of two")
        return alignment

    def _name(self, number: int) -> str:
        what = f"key {number:,}"
        length = self._cursor.u64(f"the length of {what}")
        if not 1 <= length <= MAX_KEY_BYTES:
            raise Malformed(f"{what} has {length:,} bytes; 1 to {MAX_KEY_BYTES} may be")
        try:
            key = self._cursor.take(length, what).decode()
        except UnicodeDecodeError:
            raise Malformed(f"{what} is no UTF-8") from None
        if key in self.values or key in self.counts:
            raise Malformed(f"{what} is {key!r}, which is there already")
        return key

    def _read_one(self, key: str) -> None:
        kind = self._cursor.u32(f"the type of {key}")
        if key == ALIGNMENT_KEY:
            self._alignment_kind = kind
        if kind == LIST:
            self._read_list(key)
        elif kind == TEXT:
            self.values[key] = self._cursor.text(key).decode(errors="replace")
        else:
            one = _number(kind, key)
            self.values[key] = one.unpack(self._cursor.take(one.size, key))[0]

    def _read_list(self, key: str) -> None:
        kind = self._cursor.u32(f"the type of the items of {key}")
        count = self.counts[key] = self._cursor.u64(f"the length of {key}")
        if kind == TEXT:
            self._skip_texts(key, count)
            return
        one = _number(kind, f"items of {key}")
        if count > MAX_KEPT_ITEMS:
            self._cursor.skip(count * one.size, key)
            return
        data = self._cursor.take(count * one.size, key)
        self.values[key] = tuple(item for (item,) in one.iter_unpack(data))

    def _skip_texts(self, key: str, count: int) -> None:
        self._texts += count
        if self._texts > MAX_TEXTS or count * 8 > self._cursor.left_bytes:
            raise Malformed(f"{key} claims {count:,} texts; {MAX_TEXTS:,} may be in all, each of 8 bytes at least")
        self._cursor.skip_texts(count, key)


def _number(kind: int, what: str) -> struct.Struct:
    """Return how a number of this type is packed; a list in a list is none."""
    known = NUMBERS.get(kind)
    if known is None:
        raise Malformed(
            f"{what}: values of type {kind} are not part of the format" if kind != LIST else f"{what} are lists"
        )
    return known
