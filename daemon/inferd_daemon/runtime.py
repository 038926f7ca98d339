"""The daemon's place on the machine: one daemon per runtime directory, proved by a lock and a probe.

Covers: taking and leaving the socket. Why both: a lock tells of a living process, but binding an occupied path succeeds and
steals it, so the path is also asked whether somebody answers before a leftover file is removed. The actors' socket has one
name in every directory, so it is locked beside the apps' one, which can be called anything.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from inferd import Client, address
from inferd.errors import ConnectionLost, InferenceError

if TYPE_CHECKING:
    from collections.abc import Iterator

PROBE_S: Final = 0.5
"""A living daemon answers a hello in milliseconds; this leaves room for a loaded machine."""


class Occupied(Exception):
    """Another daemon holds this place; the message names its process."""


@contextlib.contextmanager
def taken(socket: Path) -> Iterator[Path]:
    """Hold `socket` and its directory for the daemon: on leaving, the file is removed and the locks are released.

    Raises Occupied when another daemon holds a lock or answers on the path.
    """
    with _locked(socket), _locked(address.actors_path(socket.parent)):
        _probe(socket)
        socket.unlink(missing_ok=True)
        try:
            yield socket
        finally:
            socket.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    handle = os.open(address.lock_path(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        _lock(handle, path)
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(handle)


def _lock(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
        raise Occupied(
            f"{path} is held by process {holder}: stop it with `inferd stop`, or choose another directory"
        ) from None


def _probe(socket: Path) -> None:
    if not socket.exists():
        return
    try:
        with Client("inferd-probe", socket=str(socket), connect_timeout_s=PROBE_S) as client:
            pid = client.daemon.status(timeout_s=PROBE_S).pid
    except ConnectionLost:
        return
    except InferenceError as answered:
        raise Occupied(f"{socket} is answered by another daemon ({answered.code}): stop it first") from None
    raise Occupied(f"{socket} is answered by process {pid}: stop it with `inferd stop`, or choose another socket")
