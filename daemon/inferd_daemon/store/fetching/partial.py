"""The file that is being fetched, and what must be known to go on with it after a kill.

    FOLDER/part          the bytes so far, appended to
    FOLDER/origin.json   which bytes they are; written before the first of them

Covers: appending, resuming, discarding, the lock against a second writer. A damaged note costs the bytes, never a wrong
file: what came is hashed from its first byte before it counts.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final

from inferd_daemon.store.digest import drain
from inferd_daemon.store.fetching.origin import Origin, origin_from

PART: Final = "part"
_ORIGIN: Final = "origin.json"
MAX_NOTE_BYTES: Final = 65_536
"""Many times what a note takes: an entity tag may have a few hundred characters."""


class Partial:
    """A partial file, opened by one process at a time. Blocks until an earlier owner, which is being ended, has gone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with suppress(FileNotFoundError):
            (folder / PART).chmod(0o600)  # it was read-only already if the owner was killed while publishing it
        self._handle = os.open(folder / PART, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        self._sha256 = hashlib.sha256()
        self.size_bytes = os.fstat(self._handle).st_size
        self.is_hashed = self.size_bytes == 0
        """Whether the bytes that are here were hashed in this process, so that appending can go on."""
        self.origin = self._read_origin()
        """None: nothing is known about the bytes, so they are of no use."""

    def rehash(self, on_done: Callable[[int], None]) -> None:
        """Hash the bytes that an earlier process left; blocks while it reads."""
        os.lseek(self._handle, 0, os.SEEK_SET)
        with os.fdopen(os.dup(self._handle), "rb", buffering=0) as reader:
            self._sha256 = hashlib.sha256()
            drain(reader, self.size_bytes, on_done, self._sha256.update)
        self.is_hashed = True

    def begin(self, origin: Origin) -> None:
        """Start anew with bytes of this origin."""
        self.discard()
        note = self._folder / f"{_ORIGIN}.new"
        note.write_text(json.dumps(asdict(origin)), "utf-8")
        note.replace(self._folder / _ORIGIN)
        self.origin = origin

    def append(self, chunk: bytes) -> None:
        """Add bytes at the end."""
        view = memoryview(chunk)
        while view:
            view = view[os.write(self._handle, view) :]
        self._sha256.update(chunk)
        self.size_bytes += len(chunk)

    def discard(self) -> None:
        """Forget every byte."""
        (self._folder / _ORIGIN).unlink(missing_ok=True)  # first: bytes without a note count for nothing
        os.ftruncate(self._handle, 0)
        os.lseek(self._handle, 0, os.SEEK_SET)
        self._sha256 = hashlib.sha256()
        self.size_bytes = 0
        self.is_hashed = True
        self.origin = None

    def sync(self) -> str:
        """Return the sha256 of all bytes, once they are on the disk."""
        os.fsync(self._handle)
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Let go of the file, and of the lock on it."""
        os.close(self._handle)

    def _read_origin(self) -> Origin | None:
        try:
            with (self._folder / _ORIGIN).open("rb") as note:
                said = json.loads(note.read(MAX_NOTE_BYTES))
        except (OSError, ValueError):
            return None
        return origin_from(said, self.size_bytes)
