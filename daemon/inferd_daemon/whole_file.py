"""Small files of the daemon's own, of which a reader sees all or nothing.

Covers: reading one within bounds, writing one in place of what was there. Does not cover what is in it: `rows_file`, `pins`,
`speech_policy`. Blocks for the disk.
"""

from __future__ import annotations

import os
from pathlib import Path


def read(path: Path, limit_bytes: int) -> bytes | None:
    """Return what is in the file; None: it is not there. Raises OSError, ValueError for more than `limit_bytes`."""
    try:
        with path.open("rb") as file:
            found = file.read(limit_bytes + 1)
    except FileNotFoundError:
        return None
    if len(found) > limit_bytes:
        raise ValueError(f"has more than {limit_bytes:,} bytes")
    return found


def write(path: Path, data: bytes) -> None:
    """Put `data` in place of the file, for its owner alone; what is there stays whole if the machine stops. Raises OSError."""
    part = path.with_name(f"{path.name}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as target:
        target.write(data)
        target.flush()
        os.fsync(handle)
    part.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have names that came, went or changed in the folder on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
