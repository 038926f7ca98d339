"""What keeper and daemon share on disk, below one runtime directory: lock, secret, Ray's token, Ray's own folder.

Covers: names, modes, and who makes them. See also: `inferd.address` for the sockets, `sweep` for what is left behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

from inferd import address

Mode = Literal["child", "service"]
"""`child`: ends with the daemon that started it. `service`: a unit of its own, outlives daemons."""

SOCKET_BELOW_RAY: Final = "session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
"""The longest path that Ray makes below its folder, with the highest pid of 64-bit Linux."""
SECRET_BYTES: Final = 32


class Holder(NamedTuple):
    """The living keeper of a runtime directory."""

    pid: int
    mode: str


class Held(Exception):
    """Another keeper holds this runtime directory; the message names its process."""


@dataclass(frozen=True, slots=True)
class Place:
    """One runtime directory, as its keeper and its daemon see it."""

    runtime_dir: Path

    @property
    def endpoint(self) -> str:
        """Where actors and keeper connect. Raises InvalidRequest when the path is too long."""
        return f"ipc://{address.actors_path(self.runtime_dir)}"

    @property
    def lock(self) -> Path:
        """Held by the living keeper; its pid and mode stand in it."""
        return self.runtime_dir / "keeper.lock"

    @property
    def secret(self) -> Path:
        """What the keeper says in its hello."""
        return self.runtime_dir / "keeper.secret"

    @property
    def token(self) -> Path:
        """What Ray's processes show each other."""
        return self.runtime_dir / "ray.token"

    @property
    def ray_dir(self) -> Path:
        """Ray's sockets and logs. Ray makes it open to everybody: the runtime directory is what protects it."""
        return self.runtime_dir / "ray"

    def check(self) -> None:
        """Raise PermissionDenied when the directory is not ours alone, InvalidRequest when it is too long for Ray."""
        address.check_directory(self.runtime_dir)
        address.check_length(self.ray_dir / SOCKET_BELOW_RAY)


@contextlib.contextmanager
def held(place: Place, mode: Mode, wait_s: float) -> Iterator[None]:
    """Hold the runtime directory for this keeper. Blocks up to `wait_s`, for a predecessor that is ending; main thread.

    Raises Held when another keeper is still there then.
    """
    handle = _open_lock(place)
    try:
        with _interrupted_after(wait_s):
            fcntl.flock(handle, fcntl.LOCK_EX)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()} {mode}\n".encode(), 0)
        yield
    except TimeoutError:
        raise Held(f"{place.runtime_dir} is held by the keeper {_read_holder(handle)}: stop that one first") from None
    finally:
        os.close(handle)


def holder(place: Place) -> Holder | None:
    """Return the keeper that holds this runtime directory, None when nobody does."""
    handle = _open_lock(place)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_holder(handle)
    else:
        return None
    finally:
        os.close(handle)


def shared_secret(path: Path) -> str:
    """Return the secret in `path`, made now if there is none; keeper and daemon may both come first."""
    if not path.exists():
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        write_secret(fresh)
        with contextlib.suppress(FileExistsError):  # the other end was faster: its secret counts
            os.link(fresh, path)  # whole or not at all: nobody reads half a secret
        fresh.unlink()
    return path.read_text()


def write_secret(path: Path) -> None:
    """Make `path`, 0600, with a new secret in it. Raises FileExistsError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_hex(SECRET_BYTES))


def _open_lock(place: Place) -> int:
    return os.open(place.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _read_holder(handle: int) -> Holder:
    pid, _, mode = os.pread(handle, 64, 0).decode(errors="replace").strip().partition(" ")
    return Holder(int(pid) if pid.isdigit() else 0, mode or "unknown")


@contextlib.contextmanager
def _interrupted_after(limit_s: float) -> Iterator[None]:
    """Raise TimeoutError in the block after `limit_s`: waiting for a lock has no limit of its own."""

    def too_late(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, too_late)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
