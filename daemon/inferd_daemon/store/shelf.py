"""`Store`: has, path, size, pull, remove.

Covers: what is here and whether it may be used. Does not cover how what is missing comes here (`bringing`).
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from inferd.errors import LoadFailed
from inferd_daemon.catalogue import BuiltinSource, HubSource, Source, UrlSource
from inferd_daemon.store import partials
from inferd_daemon.store.bringing import Bringing
from inferd_daemon.store.fetching.words import Patience
from inferd_daemon.store.layout import Layout
from inferd_daemon.store.places import known_place
from inferd_daemon.store.receipts import read_receipt
from inferd_daemon.store.records import key_of
from inferd_daemon.store.rooms import locked, sweep
from inferd_daemon.store.watch import Progress, Watch

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from inferd_daemon.catalogue import Schema


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


class Store:
    """The models' files below one folder. Every call blocks; a caller with a loop uses a worker thread.

    Making one creates the folder (0700) and removes what killed pulls left behind, but for downloads that can go on;
    raises PermissionError when others may change the folder. Several processes may have a store on one folder.
    `free_bytes` is asked before a download. `patience`: with servers.
    """

    def __init__(
        self, root: Path, *, free_bytes: Callable[[Path], int] = _free_bytes, patience: Patience | None = None
    ) -> None:
        self._layout = Layout(root.absolute())
        self._layout.prepare()
        self._bringing = Bringing(self._layout, free_bytes, patience or Patience())
        sweep(self._layout.pulls)
        partials.sweep(self._layout, time.time())

    def has(self, schema: Schema) -> bool:
        """Tell whether the model's file is here and unchanged since it was verified: by size and time, without hashing.

        True for a built-in model. False for a changed file: `pull` hashes it again, and fetches it anew if it differs.
        A file of another program counts once it was verified, where there is a digest to verify it by.
        """
        if isinstance(schema.source, BuiltinSource):
            return True
        place = known_place(schema.source, self._layout)
        if place is None:
            return False
        if place.sha256 is None:
            return place.file.is_file() and os.access(place.file, os.R_OK)
        receipt = read_receipt(self._layout.receipt(place.file))
        return receipt is not None and receipt.sha256 == place.sha256 and receipt.fits(place.file)

    def path(self, schema: Schema) -> Path | None:
        """Return where the model's file is; None for a built-in model, which has none.

        Raises LoadFailed (`cause` is `file`) while `has` is false: pull it first.
        """
        if not self.has(schema):
            problem = f"{schema.id} is not stored here or its file has changed; pull it first"
            raise LoadFailed(problem, retryable=True, details={"model": str(schema.id), "cause": "file"})
        place = known_place(schema.source, self._layout)
        return None if place is None else place.file

    def size_bytes(self, schema: Schema) -> int:
        """Return the size of the model's file, or what of it is here; 0 if nothing is, or for a built-in model."""
        place = known_place(schema.source, self._layout)
        try:
            return 0 if place is None else place.file.stat().st_size
        except OSError:
            return 0

    def pull(self, schema: Schema, on_progress: Callable[[Progress], None], stop: Event) -> Path | None:
        """Make sure that the model's file is here and verified; return what `path` returns. At once if it is.

        Blocks for the whole download. `on_progress` is called in this thread, some ten times a second; what it raises
        ends the pull. Setting `stop` ends it within a fraction of a second. However it ends, nothing half-done is
        published; of a `hub` or `url` source, what came is kept and the next pull goes on with it. Two pulls of one file,
        of any process, wait for each other; the second finds it done.

        Raises PullFailed; `details["cause"]` is one of `watch.Cause`, and `retryable` tells whether a retry can help.
        """
        watch = Watch(schema.id, on_progress, stop)
        try:
            if not self.has(schema):
                self._bringing.bring(schema.source, lambda: self.has(schema), watch)
        except OSError as error:
            raise watch.failed("disk", str(error), retryable=True) from error
        return self.path(schema)

    def remove(self, schema: Schema) -> int:
        """Forget the model's file and return the bytes freed; 0 if it was not here, or is not ours, which stays.

        Another model with the very same file loses it too. A process that has the file open keeps its bytes. A source
        without a digest of its own is asked anew at the next pull, whatever it gave before. Waits for a pull of the same
        source to end.
        """
        if not isinstance(schema.source, HubSource | UrlSource):
            return self._forget(schema.source)
        key = key_of(schema.source)
        with locked(self._layout.lock(key), time.sleep):  # what a pull that runs brings is to go, too
            freed_bytes = self._forget(schema.source) + partials.forget(self._layout.partial(key))
            self._layout.record(key).unlink(missing_ok=True)
        return freed_bytes

    def _forget(self, source: Source) -> int:
        place = known_place(source, self._layout)
        freed_bytes = 0
        if place is not None:
            if place.is_ours and place.file.exists():
                freed_bytes = place.file.stat().st_size
                place.file.unlink()
            self._layout.receipt(place.file).unlink(missing_ok=True)
        return freed_bytes
