"""Bytes with their sha256 on the way: copying, and reading again what is there.

Covers: bounded reading. A file that is longer than recorded is refused at the first byte too many.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CHUNK_BYTES = 4 * 2**20
"""Read at once: hashing takes some 2 ms per chunk, so a stop is noticed at once and progress is smooth."""


class Readable(Protocol):
    """Something with bytes: an open file, or a member of an archive."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end."""
        ...


class TooLongError(ValueError):
    """There were more bytes than recorded."""


def drain(
    source: Readable, limit_bytes: int, on_done: Callable[[int], None], sink: Callable[[bytes], object]
) -> tuple[int, str]:
    """Give every byte of `source` to `sink`; return their number and sha256.

    `on_done` hears the bytes done after each chunk; what it raises ends the copy. Raises TooLongError past
    `limit_bytes`.
    """
    sha256 = hashlib.sha256()
    done_bytes = 0
    while chunk := source.read(CHUNK_BYTES):
        done_bytes += len(chunk)
        if done_bytes > limit_bytes:
            raise TooLongError(f"more than {limit_bytes} bytes")
        sha256.update(chunk)
        sink(chunk)
        on_done(done_bytes)
    return done_bytes, sha256.hexdigest()


def digest_of(file: Path, on_done: Callable[[int, int], None]) -> tuple[os.stat_result, str]:
    """Return the state and sha256 of a regular file; blocks while it reads.

    `on_done` hears bytes done and bytes in all. A link at the end of the path is not followed. Raises OSError, also for
    what is not a regular file, and TooLongError for one that grows.
    """
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb", buffering=0) as reader:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{file} is not a regular file")
        total_bytes = status.st_size
        _, sha256 = drain(reader, total_bytes, lambda done_bytes: on_done(done_bytes, total_bytes), len)
    return status, sha256
