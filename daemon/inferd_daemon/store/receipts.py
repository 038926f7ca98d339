"""What was verified about a file, so that nobody has to hash gigabytes to know that it is still the same.

Covers: the note itself and whether a file still fits it. A file whose size or time changed fits no more and is hashed
again before it is used. Why not a note beside the model's file: a user's own folders are left as they are.
"""

from __future__ import annotations

import json
import stat
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_KINDS = {"sha256": str, "size_bytes": int, "mtime_ns": int, "file": str, "model": str}


@dataclass(frozen=True, slots=True)
class Receipt:
    """This file had this digest when its size and time were these."""

    sha256: str
    size_bytes: int
    mtime_ns: int
    file: str
    model: str
    """For which model it was fetched first; for people who look into the folder."""

    def fits(self, place: Path) -> bool:
        """Tell whether a regular file is there, unchanged since it was verified."""
        try:
            status = place.lstat()
        except OSError:
            return False
        found = (status.st_size, status.st_mtime_ns)
        return stat.S_ISREG(status.st_mode) and found == (self.size_bytes, self.mtime_ns)

    def encode(self) -> bytes:
        """Return the receipt as a line of JSON."""
        return (json.dumps(asdict(self)) + "\n").encode()


def read_receipt(place: Path) -> Receipt | None:
    """Return the receipt in this file; None if there is none or it is damaged, which only costs a second look."""
    try:
        found = json.loads(place.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or {key: type(value) for key, value in found.items()} != _KINDS:
        return None
    return Receipt(**found)
