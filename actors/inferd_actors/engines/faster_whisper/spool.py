"""The bytes of a file that an app feeds, read by a decoder while they come.

Covers: waiting for what is not there yet, and going back to what was: an m4a may have its table of contents at the end, and is
then decoded once all of it is here. So it is kept in a file on disk that has no name; in memory there is what was granted and
not yet written, a few megabytes.
"""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path
from typing import Final

from inferd.errors import ResourceBlocked
from inferd_actors.engines.faster_whisper.hearing import unreadable

AHEAD_BYTES: Final = 4 * 2**20
"""Granted beyond what the decoder has asked for: a minute of wav, and an app's round trip is never waited for."""
AHEAD_PIECES: Final = 4_096
MAX_BYTES: Final = 2 * 2**30
"""Of one file: 18 hours of 16-bit wav at 16 kHz."""
KIND_BYTES: Final = 4
CHUNKED: Final = frozenset({b"RIFF", b"RF64", b"riff", b"FORM", b"caff"})
"""What wav, w64, aiff and caf begin with."""
ON_DISK: Final = Path("/var/tmp")  # noqa: S108 - opened without a name; /tmp is memory on many machines


class Abandoned(Exception):
    """Nobody wants this sound any more."""


class Spool:
    """One file on its way. What belongs to the decoding thread holds it up; the rest never waits."""

    def __init__(self) -> None:
        """Raise ResourceBlocked if the disk has no place for it."""
        try:
            self._file = tempfile.TemporaryFile(dir=ON_DISK if ON_DISK.is_dir() else None)  # noqa: SIM115 - closed by `close`
        except OSError as reason:
            raise _no_room(reason) from None
        self._changed = threading.Condition()
        self._size = 0
        self._pieces = 0
        self._wanted = 0
        """How far the decoder has asked."""
        self._position = 0
        self._is_complete = False
        self._is_abandoned = False
        self._granted = (0, 0)

    # --- the loop's side

    def feed(self, data: bytes) -> None:
        """Take the next piece. Raises InvalidRequest past the largest file, ResourceBlocked where the disk is full."""
        if self._size + len(data) > MAX_BYTES:
            raise unreadable(f"{self._size + len(data):,} bytes were fed, at most {MAX_BYTES:,} are taken")
        with self._changed:
            if self._file.closed:
                return  # the decoder has ended, and the request is about to
            self._write(data)
            self._pieces += 1
            self._changed.notify_all()

    def finish(self) -> None:
        """Nothing more will come."""
        with self._changed:
            self._is_complete = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Have the decoder stop where it waits."""
        with self._changed:
            self._is_abandoned = True
            self._changed.notify_all()

    def window(self) -> tuple[int, int] | None:
        """Return the uplink's new limits, in pieces and bytes since the start; None while half of the old is left."""
        limits = self._pieces + AHEAD_PIECES, max(self._wanted, self._position) + AHEAD_BYTES
        if limits[0] - self._granted[0] < AHEAD_PIECES // 2 and limits[1] - self._granted[1] < AHEAD_BYTES // 2:
            return None
        self._granted = limits
        return limits

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                written = os.pwrite(self._file.fileno(), rest, self._size)
                self._size += written
                rest = rest[written:]
        except OSError as reason:
            raise _no_room(reason) from None

    # --- the decoder's side

    def seekable(self) -> bool:
        """Tell whether the decoder may look around; not in a file of chunks: it would look for notes behind the sound first."""
        head = b""
        while len(head) < KIND_BYTES and (more := self.read(KIND_BYTES - len(head))):
            head += more
        self.seek(0)
        return head not in CHUNKED

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end of the file; waits for the first of them."""
        with self._changed:
            self._wanted = max(self._wanted, self._position + size)
            self._changed.wait_for(lambda: self._is_abandoned or self._is_complete or self._size > self._position)
            if self._is_abandoned:
                raise Abandoned
        data = os.pread(self._file.fileno(), min(size, max(0, self._size - self._position)), self._position)
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, perhaps one that is yet to come. From the end: -1, as FFmpeg says that it is not known."""
        if whence == os.SEEK_END:
            return -1
        self._position = max(0, offset + (self._position if whence == os.SEEK_CUR else 0))
        with self._changed:
            self._wanted = max(self._wanted, min(self._position, MAX_BYTES))
        return self._position

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._position

    def close(self) -> None:
        """Let go of the bytes: the decoder has ended, or never began."""
        with self._changed:
            self._file.close()


def _no_room(reason: OSError) -> ResourceBlocked:
    return ResourceBlocked(f"body.audio: the disk does not take it: {reason.strerror}", details={"field": "body.audio"})
