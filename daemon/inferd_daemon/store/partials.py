"""Folders of downloads that are not whole: they outlive their pull, so that the next one goes on, but not for ever.

Covers: making, forgetting, and the sweep at start. Does not cover what is in them (`fetching.partial`).
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from inferd_daemon.store.places import size_of
from inferd_daemon.store.rooms import held

if TYPE_CHECKING:
    from inferd_daemon.store.layout import Layout

KEPT_S: Final = 14 * 24 * 3600.0
"""Without a byte being added: whoever wanted a model that badly has asked again within two weeks."""


def make(folder: Path) -> None:
    """Make the folder unless it is there."""
    folder.mkdir(mode=0o700, exist_ok=True)


def forget(folder: Path) -> int:
    """Remove the folder, if there is one, and return the bytes freed."""
    freed_bytes = sum(size_of(one) for one in folder.glob("*"))
    shutil.rmtree(folder, ignore_errors=True)
    return freed_bytes


def sweep(layout: Layout, now_unix_s: float) -> None:
    """Remove what nobody has gone on with for `KEPT_S`; a download that is going on has its lock taken, and stays."""
    for left in layout.partials.iterdir():
        if not left.is_dir() or left.is_symlink() or now_unix_s - _touched_unix_s(left) < KEPT_S:
            continue
        with held(layout.lock(left.name)) as is_ours:
            if is_ours:
                forget(left)


def _touched_unix_s(folder: Path) -> float:
    touched_unix_s = 0.0
    for one in (folder, *folder.glob("*")):
        with suppress(FileNotFoundError):  # files come and go while we look
            touched_unix_s = max(touched_unix_s, one.lstat().st_mtime)
    return touched_unix_s
