"""Where things are inside the store's folder, and who may touch it.

    ROOT/               0700, ours; may be a link to a larger disk
      blobs/SHA256      a model's file, 0400, called by what is in it
      folders/KEY/      a model in several files: links with their names
      receipts/SHA256   what was verified, and the size and time the file had then
      pulls/            one room per pull that is going on
      partials/KEY/     a download that is not whole yet; the next pull goes on with it
      records/KEY       which digest a source had when it was fetched first
      locks/SHA256|KEY  held while that file is being fetched

A KEY is the digest of a source: of its address, not of its bytes, which may not be known yet; that of a folder is explained in
`folders`. Wheels have locks of their own, by their SHA256.

Covers: paths and rights. Why digests for names: a model's name never becomes a path, and two models with one file share
it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inferd_daemon.store.elsewhere import Elsewhere

if TYPE_CHECKING:
    from collections.abc import Mapping


def default_root(environ: Mapping[str, str], platform: str) -> Path:
    """Return where models go when nothing is configured; `platform` as `sys.platform` has it.

    A relative XDG_DATA_HOME is ignored, as the base directory specification demands.
    """
    home = Path(environ.get("HOME") or "~").expanduser()
    data = Path(environ.get("XDG_DATA_HOME", ""))
    if not data.is_absolute():
        data = home / ("Library/Application Support" if platform == "darwin" else ".local/share")
    return data / "inferd" / "models"


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths below one root. `sha256` is always a checked digest (see `catalogue.sources`), `key` one of `key_of`."""

    root: Path
    others: Elsewhere
    """Where other programs have their files."""

    @property
    def pulls(self) -> Path:
        """The folder of rooms."""
        return self.root / "pulls"

    @property
    def blobs(self) -> Path:
        """The folder of all files that are ours."""
        return self.root / "blobs"

    def blob(self, sha256: str) -> Path:
        """Where the file with this digest is published."""
        return self.blobs / sha256

    @property
    def folders(self) -> Path:
        """The folder of models in several files."""
        return self.root / "folders"

    def folder(self, key: str) -> Path:
        """Where the files of a model have their names."""
        return self.folders / key

    def receipt(self, file: Path) -> Path:
        """Where the receipt of `file` is, a blob or a user's own file anywhere."""
        return self.root / "receipts" / hashlib.sha256(os.fsencode(file)).hexdigest()

    @property
    def partials(self) -> Path:
        """The folder of downloads that are not whole yet."""
        return self.root / "partials"

    def partial(self, key: str) -> Path:
        """The folder in which this source's download grows."""
        return self.partials / key

    def record(self, key: str) -> Path:
        """Where the digest of this source is kept."""
        return self.root / "records" / key

    def lock(self, name: str) -> Path:
        """Where the lock is for fetching the file with this digest or key; never deleted: others may wait on it."""
        return self.root / "locks" / name

    def prepare(self) -> None:
        """Make the folders; raises PermissionError if another user owns or may change one, naming it."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_foreign(self.root, self.root.stat())
        for name in ("blobs", "folders", "receipts", "pulls", "partials", "records", "locks"):
            folder = self.root / name
            folder.mkdir(mode=0o700, exist_ok=True)
            _refuse_foreign(folder, folder.lstat())


def _refuse_foreign(folder: Path, status: os.stat_result) -> None:
    """Receipts are believed, so whoever can write one could replace a model."""
    if not stat.S_ISDIR(status.st_mode):
        raise PermissionError(f"{folder} is not a folder; remove it, or name another place for models")
    if status.st_uid != os.geteuid():
        raise PermissionError(f"{folder} belongs to uid {status.st_uid}, inferd runs as {os.geteuid()}")
    if status.st_mode & 0o022:
        mode = stat.S_IMODE(status.st_mode)
        raise PermissionError(f"{folder} may be changed by others (mode {mode:04o}); run chmod go-w on it")
