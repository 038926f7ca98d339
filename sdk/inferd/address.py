"""Where the daemon's sockets and locks are on this machine; asked by both ends, so that they always agree.

Covers: the runtime directory, its protection, the names in it, the length of a socket's path. Does not cover binding or
connecting. Pure but for `os.lstat` and, for the daemon, making the directory.

The order, the first that applies:
1. `INFERD_SOCKET`, an absolute path; its directory is then the runtime directory.
2. `$XDG_RUNTIME_DIR/inferd`, if that variable holds an absolute path.
3. `/run/user/UID/inferd`, if `/run/user/UID` exists and is ours (a shell without a login session, cron).
4. `/tmp/inferd-UID` on Linux, `/private/tmp/inferd-UID` on macOS (`/tmp` is a link there).

Why the directory is checked and not the socket: a socket file's mode follows the umask, the directory's is ours.
"""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from inferd.errors import InvalidRequest, PermissionDenied

if TYPE_CHECKING:
    from collections.abc import Mapping

SOCKET_NAME: Final = "inferd.sock"
ACTORS_NAME: Final = "actors.sock"
KEYS_NAME: Final = "keys.sock"
LOCK_SUFFIX: Final = ".lock"
OVERRIDE: Final = "INFERD_SOCKET"

PATH_BYTES: Final = {"linux": 107, "darwin": 103}
"""`sun_path` less its closing zero: 108 and 104 bytes in the two kernels' headers."""

OTHERS: Final = 0o077
"""Permission bits that nobody but the owner may have."""


def socket_path(environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """Return the path of the apps' socket, whether or not a daemon is there.

    Raises InvalidRequest (the path is relative or too long for a socket) or PermissionDenied (the runtime directory
    exists but is not ours alone: somebody could pose as the daemon).
    """
    path = _override(environ) or _directory(environ, platform) / SOCKET_NAME
    return check_length(check_directory(path.parent) / path.name, platform)


def runtime_dir(*, create: bool, environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """Return the directory that holds the sockets, locks and secrets of one daemon, 0700 and ours.

    `create`: make it if it is absent; for the daemon. An existing one is never changed: it may be somebody's home.
    Raises as `socket_path` does.
    """
    override = _override(environ)
    directory = override.parent if override else _directory(environ, platform)
    if create:
        with suppress(FileExistsError):  # a dangling link too: the check below names it
            directory.mkdir(mode=0o700, parents=True)
    return check_directory(directory)


def actors_path(directory: Path, platform: str = sys.platform) -> Path:
    """Return the path of the switchboard's socket, for actors and keeper. Raises InvalidRequest when it is too long."""
    return check_length(directory / ACTORS_NAME, platform)


def keys_path(directory: Path, platform: str = sys.platform) -> Path:
    """Return the path of the key pool's lease socket. Raises InvalidRequest when it is too long."""
    return check_length(directory / KEYS_NAME, platform)


def lock_path(socket: Path) -> Path:
    """Return the file whose lock says that a daemon owns this socket; the owner's pid stands in it."""
    return socket.with_name(socket.name + LOCK_SUFFIX)


def check_length(path: Path, platform: str = sys.platform) -> Path:
    """Return `path` if a socket can have it. Raises InvalidRequest with path, length and limit."""
    length, limit = len(os.fsencode(path)), PATH_BYTES.get(platform, min(PATH_BYTES.values()))
    if length > limit:
        raise InvalidRequest(
            f"the socket path {path} has {length} bytes; this system allows {limit}: "
            f"set {OVERRIDE} to a shorter one, or XDG_RUNTIME_DIR to a shorter directory",
            details={"field": "socket", "path": str(path), "found": length, "limit": limit},
        )
    return path


def check_directory(directory: Path) -> Path:
    """Return `directory` if it is absent, or a real directory of ours that nobody else may enter.

    Raises PermissionDenied naming the owner or the mode that was found. Links are not followed.
    """
    try:
        found = os.lstat(directory)
    except FileNotFoundError:
        return directory
    except OSError as reason:
        raise _unsafe(directory, f"it cannot be examined ({reason.strerror})") from None
    if not stat.S_ISDIR(found.st_mode):
        raise _unsafe(directory, "it is not a directory (a link is not followed)")
    if found.st_uid != os.getuid():
        raise _unsafe(directory, f"it belongs to uid {found.st_uid}, you are uid {os.getuid()}")
    if found.st_mode & OTHERS:
        raise _unsafe(directory, f"its mode is {stat.S_IMODE(found.st_mode):04o}, expected 0700: chmod 700 {directory}")
    return directory


def _unsafe(directory: Path, why: str) -> PermissionDenied:
    return PermissionDenied(f"will not use the directory {directory}: {why}", details={"path": str(directory)})


def _override(environ: Mapping[str, str]) -> Path | None:
    named = environ.get(OVERRIDE)
    if not named:
        return None
    if not Path(named).is_absolute():
        raise InvalidRequest(f"{OVERRIDE}: expected an absolute path, got {named!r}", details={"field": "socket"})
    return Path(named)


def _directory(environ: Mapping[str, str], platform: str) -> Path:
    uid = os.getuid()
    session = Path(environ.get("XDG_RUNTIME_DIR", ""))
    if session.is_absolute():  # the XDG specification: a relative path is invalid and to be ignored
        return session / "inferd"
    login = Path(f"/run/user/{uid}")
    if _is_ours(login):
        return login / "inferd"
    return Path("/private/tmp" if platform == "darwin" else "/tmp") / f"inferd-{uid}"  # noqa: S108 - owner and mode are checked


def _is_ours(directory: Path) -> bool:
    try:
        found = os.lstat(directory)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
