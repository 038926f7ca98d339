"""A private folder for each pull, which disappears with it, also when its owner was killed.

Covers: rooms, locks between processes, and the sweep at start. A room belongs to whoever holds its lock; the kernel
frees locks of the dead, so a free lock means that the room was left behind.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_GATE = "gate"
_OWNER = "owner"
_ROOM = "pull-"

LOCK_POLL_S = 0.1
"""Between two tries for a lock that another process holds: that one is downloading, which takes seconds."""


@contextmanager
def locked(place: Path, wait: Callable[[float], None]) -> Iterator[None]:
    """Hold the lock at `place`; blocks while another holds it. `wait` sleeps between tries and may raise to give up."""
    handle = _open_lock(place)
    try:
        while not _take(handle):
            wait(LOCK_POLL_S)
        yield
    finally:
        os.close(handle)


@contextmanager
def held(place: Path) -> Iterator[bool]:
    """Take the lock at `place` if it is free; yield whether it was. Does not block."""
    handle = _open_lock(place)
    try:
        yield _take(handle)
    finally:
        os.close(handle)


@contextmanager
def room(pulls: Path) -> Iterator[Path]:
    """Make a folder of one's own in `pulls`, 0700, and remove it with everything in it on leaving."""
    with _gate(pulls):  # or a sweep could meet the folder before its lock is taken
        own = Path(tempfile.mkdtemp(prefix=_ROOM, dir=pulls))
        owner = _open_lock(own / _OWNER)
        _take(owner)
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)  # what cannot be removed now is swept at the next start
        os.close(owner)


def sweep(pulls: Path) -> None:
    """Remove rooms whose owner is gone; blocks for the time of a few deletions."""
    with _gate(pulls):
        for left in pulls.glob(f"{_ROOM}*"):
            if left.is_dir() and not left.is_symlink() and _is_free(left / _OWNER):
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _gate(pulls: Path) -> Iterator[None]:
    handle = _open_lock(pulls / _GATE)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # held by others for milliseconds only
        yield
    finally:
        os.close(handle)


def _open_lock(place: Path) -> int:
    return os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _take(handle: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _is_free(owner: Path) -> bool:
    with held(owner) as is_free:
        return is_free
