"""Putting a finished file in its place, so that a reader sees all of it or nothing, also after a power cut."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from inferd_daemon.whole_file import sync_folder

if TYPE_CHECKING:
    from pathlib import Path


def publish(part: Path, place: Path) -> None:
    """Move a synced file to `place`, on the same file system, read-only; what was there before is replaced at once."""
    part.chmod(0o400)  # a model is never written to; replacing and removing need rights on the folder only
    part.replace(place)
    sync_folder(place.parent)


def publish_bytes(data: bytes, room: Path, place: Path) -> None:
    """Publish a small file made of `data`; `room` is where it is written first."""
    part = room / "small"
    with part.open("wb") as target:
        target.write(data)
        target.flush()
        os.fsync(target.fileno())
    publish(part, place)
