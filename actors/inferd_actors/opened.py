"""Files that are open for those who ask about them: each opened once, the ones used last kept.

Covers: sharing, closing, the bound. Does not cover what an opened file is. Called by several worker threads at once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

KEPT: Final = 4
"""Files that stay open, used or not: a large vocabulary takes some 100 MB and opens in a second."""


class Closable(Protocol):
    """An opened file."""

    def close(self) -> None:
        """Release it."""


F = TypeVar("F", bound=Closable)
Mark = tuple[object, ...]


@dataclass(slots=True)
class Entry(Generic[F]):
    """One file, open or about to be."""

    mark: Mark
    users: int = 0
    opening: threading.Lock = field(default_factory=threading.Lock)
    file: F | None = None


class Opened(Generic[F]):
    """The open files. `open_file(path)` may take its time; it holds up nobody who asks for another file."""

    def __init__(self, open_file: Callable[[str], F], kept: int = KEPT) -> None:
        self._open = open_file
        self._kept = kept
        self._lock = threading.Lock()
        self._entries: dict[Mark, Entry[F]] = {}
        """The one asked for last stands last."""

    @contextmanager
    def lent(self, path: str) -> Iterator[F]:
        """Lend the file for the length of the block, opened anew if it has changed on disk. Raises what opening raises."""
        entry = self._take(_mark(path))
        try:
            with entry.opening:
                if entry.file is None:
                    entry.file = self._open(path)
            yield entry.file
        finally:
            self._give_back(entry)

    def close(self) -> None:
        """Close what nobody uses."""
        self._trim(0)

    def __len__(self) -> int:
        return sum(entry.file is not None for entry in self._entries.values())

    def _take(self, mark: Mark) -> Entry[F]:
        with self._lock:
            entry = self._entries.pop(mark, None) or Entry(mark)
            self._entries[mark] = entry
            entry.users += 1
            return entry

    def _give_back(self, entry: Entry[F]) -> None:
        with self._lock:
            entry.users -= 1
            if entry.file is None and not entry.users:  # it could not be opened
                self._entries.pop(entry.mark, None)
        self._trim(self._kept)

    def _trim(self, kept: int) -> None:
        with self._lock:
            unused = [entry for entry in self._entries.values() if not entry.users]
            surplus = unused[: max(0, len(self._entries) - kept)]
            for entry in surplus:
                del self._entries[entry.mark]
        for entry in surplus:
            if entry.file is not None:
                entry.file.close()


def _mark(path: str) -> Mark:
    """Return what tells this file from one that takes its place; of a file that cannot be looked at, its path."""
    try:
        now = os.stat(path)  # noqa: PTH116 - paths are texts at the engines' doors
    except OSError:
        return (path,)
    return path, now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns
