"""A model in several files as its engine sees it: a folder in which each file has its own name.

    FOLDERS/KEY/NAME    a link to where the file is

A KEY is the digest of what the folder shows, so a folder never changes: other bytes make another one. Covers: making it all at
once, knowing it again, removing it. Does not cover the files (`shelf`, `bringing`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inferd_daemon.store.places import known_place
from inferd_daemon.whole_file import sync_folder

if TYPE_CHECKING:
    from inferd_daemon.catalogue import FilesSource
    from inferd_daemon.store.layout import Layout


@dataclass(frozen=True, slots=True)
class Folder:
    """What must be there."""

    path: Path
    links: Mapping[str, str]
    """Name → where it leads to."""
    files: tuple[Path, ...]
    """Where the files are."""

    @property
    def is_there(self) -> bool:
        """Whether the folder shows these files and nothing else. Some ten microseconds for each."""
        try:
            found = {one.name: str(one.readlink()) for one in self.path.iterdir()}
        except OSError:
            return False
        return found == self.links


def folder_of(source: FilesSource, layout: Layout) -> Folder | None:
    """Return the model's folder; None while it is not known where each file is, or what its bytes are."""
    links: dict[str, str] = {}
    files: list[Path] = []
    for one in source.files:
        place = known_place(one.source, layout)
        if place is None:
            return None
        files.append(place.file)
        is_blob = place.file.parent == layout.blobs
        links[one.name] = f"../../blobs/{place.file.name}" if is_blob else str(place.file)  # the store may be moved
    key = hashlib.sha256(json.dumps(sorted(links.items())).encode()).hexdigest()
    return Folder(layout.folder(key), links, tuple(files))


def publish_folder(folder: Folder, room: Path) -> None:
    """Have the folder there; what stands in its place goes. A reader sees all of it or nothing, also after a power cut."""
    made = room / "folder"
    made.mkdir(mode=0o700)
    for name, target in folder.links.items():
        (made / name).symlink_to(target)
    sync_folder(made)
    with suppress(FileNotFoundError):
        folder.path.rename(room / "damaged")
    made.replace(folder.path)
    sync_folder(folder.path.parent)


def remove_folder(folder: Folder) -> None:
    """Remove the folder; the files that it shows stay."""
    shutil.rmtree(folder.path, ignore_errors=True)


def sweep(layout: Layout) -> None:
    """Remove folders that show a file which is gone: whoever removed it, or was killed meanwhile, has no use for them."""
    for left in layout.folders.iterdir():
        with suppress(FileNotFoundError, NotADirectoryError):  # another process may be at it
            if not all(os.access(one, os.F_OK) for one in tuple(left.iterdir())):
                shutil.rmtree(left, ignore_errors=True)
