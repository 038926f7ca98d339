"""`Store`: has, path, size, pull, remove.

Covers: what is here and whether it may be used. Does not cover how what is missing comes here (`bringing`).
"""

from __future__ import annotations

import shutil
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from inferd.errors import LoadFailed
from inferd_daemon.catalogue import BuiltinSource, FilesSource, HubSource, Made, Owned, UrlSource, files_of
from inferd_daemon.store import folders, partials
from inferd_daemon.store.bringing import Bringing
from inferd_daemon.store.elsewhere import Elsewhere, elsewhere
from inferd_daemon.store.fetching.words import Patience
from inferd_daemon.store.layout import Layout
from inferd_daemon.store.places import known_place, size_of
from inferd_daemon.store.presence import is_here
from inferd_daemon.store.records import key_of
from inferd_daemon.store.rooms import locked, sweep
from inferd_daemon.store.watch import Progress, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from threading import Event

    from inferd_daemon.catalogue import OneFile, Schema, Source

TRIES: Final = 3
"""Times that a pull begins: a removal at the same moment can take a file of it away, and not for ever."""


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


class Store:
    """The models' files below one folder. Every call blocks; a caller with a loop uses a worker thread.

    Making one creates the folder (0700) and removes what killed pulls left behind, but for downloads that can go on;
    raises PermissionError when others may change the folder. Several processes may have a store on one folder.
    `others`: where other programs have their files; None: where they usually do. `free_bytes` is asked before a download.
    `patience`: with servers.
    """

    def __init__(
        self,
        root: Path,
        others: Elsewhere | None = None,
        *,
        free_bytes: Callable[[Path], int] = _free_bytes,
        patience: Patience | None = None,
    ) -> None:
        self._layout = Layout(root.absolute(), others or elsewhere())
        self._layout.prepare()
        self._bringing = Bringing(self._layout, free_bytes, patience or Patience())
        sweep(self._layout.pulls)
        partials.sweep(self._layout, time.time())
        folders.sweep(self._layout)

    def has(self, schema: Schema) -> bool:
        """Tell whether the model's files are here and unchanged since they were verified: by size and time, without hashing.

        True for a built-in model. False for a changed file: `pull` hashes it again, and fetches it anew if it differs.
        A file of another program counts once it was verified, where there is a digest to verify it by.
        """
        return is_here(schema.source, self._layout)

    def path(self, schema: Schema) -> Path | None:
        """Return where the model's file is; None for a built-in model, which has none.

        Of a model in several files: the folder in which each has its name, or the first of them there for an engine that is
        given a file and finds the others beside it. Raises LoadFailed (`cause` is `file`) while `has` is false: pull it first.
        """
        path = self._path(schema) if self.has(schema) else None
        if path is None and not isinstance(schema.source, BuiltinSource):
            problem = f"{schema.id} is not stored here or its file has changed; pull it first"
            raise LoadFailed(problem, retryable=True, details={"model": str(schema.id), "cause": "file"})
        return path

    def _path(self, schema: Schema) -> Path | None:
        if not isinstance(schema.source, FilesSource):
            return next(iter(self._files(schema.source)), None)
        folder = folders.folder_of(schema.source, self._layout)
        if folder is None:
            return None
        return folder.path if schema.reads_folder else folder.path / schema.source.files[0].name

    def size_bytes(self, schema: Schema) -> int:
        """Return the size of the model's files, or what of them is here; 0 if nothing is, or for a built-in model."""
        return sum(map(size_of, self._files(schema.source)))

    def pull(
        self, schema: Schema, on_progress: Callable[[Progress], None], stop: Event, others: Iterable[Schema] = ()
    ) -> Path | None:
        """Make sure that the model's files are here and verified; return what `path` returns. At once if they are.

        Blocks for the whole download. `on_progress` is called in this thread, some ten times a second; what it raises
        ends the pull. Setting `stop` ends it within a fraction of a second. However it ends, nothing half-done is
        published; of a `hub` or `url` source, what came is kept and the next pull goes on with it, and files of a model that
        were whole stay. Two pulls of one file, of any process, wait for each other; the second finds it done. What a file
        is made of goes when it is made, unless it is a file of one of `others` that is stored.

        Raises PullFailed; `details["cause"]` is one of `watch.Cause`, and `retryable` tells whether a retry can help.
        """
        watch = Watch(schema.id, on_progress, stop)
        try:
            for _ in range(TRIES):
                if self.has(schema):
                    return self.path(schema)
                self._bringing.bring(schema.source, watch, partial(self._kept, schema, tuple(others)))
        except OSError as error:
            raise watch.failed("disk", str(error), retryable=True) from error
        return self.path(schema)

    def remove(self, schema: Schema, others: Iterable[Schema] = ()) -> int:
        """Forget the model's files and return the bytes freed; 0 if they were not here, or are not ours, which stay.

        A file stays as long as it belongs to one of `others` that is stored and has other files, too; a model with the very
        same files loses them. A process that has a file open keeps its bytes. A source without a digest of its own is asked
        anew at the next pull, whatever it gave before. Waits for a pull of the same source to end.
        """
        needed = self._needed(schema, others)
        if isinstance(schema.source, FilesSource) and (folder := folders.folder_of(schema.source, self._layout)):
            folders.remove_folder(folder)  # first: without it the model is not stored, whatever else goes
        return sum(self._remove(one, needed) for one in files_of(schema.source))

    def _kept(self, schema: Schema, others: Iterable[Schema]) -> frozenset[Path]:
        """Return the files that stay although something was made of them."""
        return self._files(schema.source) | self._needed(schema, others)

    def _needed(self, schema: Schema, others: Iterable[Schema]) -> frozenset[Path]:
        """Return the files of those of `others` that are stored and share some with this model, or with what it is made of."""
        own = self._files(schema.source)
        touched = own | self._places(
            piece for one in files_of(schema.source) if isinstance(one, Made) for piece in one.pieces
        )
        return frozenset(
            file
            for other in others
            if (files := self._files(other.source)) != own and touched & files and self.has(other)
            for file in files
        )

    def _files(self, source: Source) -> frozenset[Path]:
        return self._places(files_of(source))

    def _places(self, files: Iterable[OneFile]) -> frozenset[Path]:
        places = (known_place(one, self._layout) for one in files)
        return frozenset(place.file for place in places if place is not None)

    def _remove(self, source: OneFile, needed: Collection[Path]) -> int:
        place = known_place(source, self._layout)
        if place is not None and place.file in needed:
            return 0
        if isinstance(source, Made):
            return self._forget(source) + sum(self._remove(part, needed) for part in source.pieces)
        if not isinstance(source, HubSource | UrlSource):
            return self._forget(source)
        key = key_of(source)
        with locked(self._layout.lock(key), time.sleep):  # what a pull that runs brings is to go, too
            freed_bytes = self._forget(source) + partials.forget(self._layout.partial(key))
            self._layout.record(key).unlink(missing_ok=True)
        return freed_bytes

    def _forget(self, source: OneFile) -> int:
        place = known_place(source, self._layout)
        if place is None:
            return 0
        freed_bytes = 0
        if isinstance(source, Owned):
            freed_bytes = size_of(place.file)
            place.file.unlink(missing_ok=True)
        self._layout.receipt(place.file).unlink(missing_ok=True)
        return freed_bytes
