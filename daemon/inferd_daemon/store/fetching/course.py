"""One file from its server to the partial file, in as many attempts as it takes.

Covers: what an attempt does, when the next one follows, and when bytes that were kept are given up. Does not cover what an
answer means (`answers`) or how bytes are kept (`partial`).

1. Look up the file: a hub tells address, size and digest; of a URL, only what was recorded is known.
2. Bytes of an earlier attempt stay if they may be the file's beginning; they are hashed again.
3. Ask for the rest. Without a digest the server must confirm by its tag that the file is still the same.
4. Check size and room on the disk before the first byte is written.
5. Append what comes. At the end the digest must be the recorded one; bytes that were kept from an earlier attempt are the
   suspects when it is not, and everything is fetched once more.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from inferd_daemon.store.fetching.answers import REDIRECTS, Body, body_of
from inferd_daemon.store.fetching.line import Answer, asked
from inferd_daemon.store.fetching.origin import Found, Origin
from inferd_daemon.store.fetching.partial import Partial
from inferd_daemon.store.fetching.redirects import MAX_REDIRECTS, next_url
from inferd_daemon.store.fetching.room import shortage
from inferd_daemon.store.fetching.words import Failed, Fetched, Moved, Order, Patience, Setback

Tell = Callable[[Moved], None]

MAX_DISCARDS: Final = 2
"""Times that kept bytes are given up within one order: a server that never means the same file must not go on for ever."""

LOOK_BYTES: Final = 64 * 2**20
"""While a file's size is unknown: how often the disk is looked at."""


class Course:
    """The way of one order; run once. `tell` hears how far it is, as often as a chunk comes."""

    def __init__(self, order: Order, tell: Tell) -> None:
        self._order = order
        self._tell = tell
        self._partial = Partial(Path(order.folder))
        self._discards = 0

    def run(self) -> Fetched:
        """Return what was fetched; blocks for the whole download and the pauses in it. Raises Setback, OSError."""
        with closing(self._partial):
            return self._run()

    def _run(self) -> Fetched:
        failures = most_bytes = 0
        while True:
            kept_bytes = self._partial.size_bytes
            most_bytes = max(most_bytes, kept_bytes)
            try:
                return self._attempt()
            except Setback as setback:
                failures = 1 if self._partial.size_bytes > most_bytes else failures + 1
                pause_s = self._pause_s(setback, kept_bytes, failures)
                if pause_s is None:
                    raise
                time.sleep(pause_s)

    def _pause_s(self, setback: Setback, kept_bytes: int, failures: int) -> float | None:
        """Return the seconds until another attempt, None if none follows; give up the kept bytes if they are to blame."""
        if setback.discard:
            self._partial.discard()
            self._discards += 1
            if kept_bytes and self._discards <= MAX_DISCARDS:
                return 0.0
        patience, asked_s = self._order.patience, setback.failed.retry_after_s
        if not setback.again or failures >= patience.tries or (asked_s or 0.0) > patience.max_pause_s:
            return None
        return patience.pause_after(failures, asked_s)

    def _attempt(self) -> Fetched:
        found = self._look_up()
        wanted = self._wanted(found)
        if not self._may_keep(wanted):
            self._partial.discard()
        origin, kept_bytes = self._partial.origin, self._partial.size_bytes
        if not self._partial.is_hashed:
            self._partial.rehash(lambda done_bytes: self._tell(Moved("verifying", done_bytes, kept_bytes)))
        total_bytes = origin.size_bytes if origin is not None else None
        if total_bytes is None or total_bytes != kept_bytes:
            with _answer(found.url, self._headers(wanted), self._order.patience) as answer:
                total_bytes = self._receive(answer, wanted)
        return self._checked(wanted, found, total_bytes)

    def _look_up(self) -> Found:
        if self._order.hub is None:
            return Found(self._order.url or "")
        from inferd_daemon.store.fetching.hub import look_up  # here: importing it takes a second, and a URL needs none

        return look_up(self._order.hub, self._order.patience)

    def _wanted(self, found: Found) -> Origin:
        """Return what the file must be: as recorded, and else as the hub says. Raises Setback if these two differ."""
        order = self._order
        for recorded, told, what in (
            (order.sha256, found.sha256, "sha256"),
            (order.size_bytes, found.size_bytes, "size in bytes"),
        ):
            if None not in (recorded, told) and recorded != told:
                raise Setback(Failed("checksum", f"the {what} should be {recorded}, and the hub says {told}"))
        return Origin(order.size_bytes or found.size_bytes, order.sha256 or found.sha256, found.version)

    def _may_keep(self, wanted: Origin) -> bool:
        return self._partial.origin is not None and self._partial.origin.goes_on_as(wanted)

    def _headers(self, wanted: Origin) -> dict[str, str]:
        origin, kept_bytes = self._partial.origin, self._partial.size_bytes
        if origin is None or not kept_bytes:
            return {}
        asks = {"Range": f"bytes={kept_bytes}-"}
        if wanted.sha256 is None and origin.etag is not None:
            asks["If-Range"] = origin.etag
        return asks

    def _receive(self, answer: Answer, wanted: Origin) -> int | None:
        """Append what the answer brings, up to the file's size, which is returned; None: it is not told."""
        body = body_of(answer.status, answer.headers, self._partial.size_bytes)
        total_bytes = self._total(body, wanted)
        if total_bytes is None and wanted.sha256 is None and not body.has_end:
            raise Setback(Failed("download", "the server does not tell where the file ends: its sha256 must be given"))
        self._refuse_full_disk((total_bytes or 0) - body.start_bytes)
        if body.start_bytes == 0:
            self._partial.begin(Origin(total_bytes, wanted.sha256, wanted.version, body.etag))
        looked_bytes = self._partial.size_bytes
        for chunk in answer.chunks:
            done_bytes = self._partial.size_bytes + len(chunk)
            if total_bytes is not None and done_bytes > total_bytes:
                raise Setback(Failed("checksum", f"there come more than {total_bytes} bytes"), discard=True)
            if total_bytes is None and done_bytes - looked_bytes >= LOOK_BYTES:
                self._refuse_full_disk(LOOK_BYTES)
                looked_bytes = done_bytes
            self._partial.append(chunk)
            self._tell(Moved("downloading", done_bytes, total_bytes))
        return total_bytes

    def _total(self, body: Body, wanted: Origin) -> int | None:
        """Return the size of the whole file. Raises Setback if two places tell different ones."""
        kept = self._partial.origin if body.start_bytes else None
        if kept is not None and None not in (kept.size_bytes, body.total_bytes) and kept.size_bytes != body.total_bytes:
            problem = f"the file had {kept.size_bytes} bytes when its download began and now has {body.total_bytes}"
            raise Setback(Failed("download", problem, retryable=True), discard=True)
        if None not in (wanted.size_bytes, body.total_bytes) and wanted.size_bytes != body.total_bytes:
            raise Setback(Failed("checksum", f"should have {wanted.size_bytes} bytes, has {body.total_bytes}"))
        return wanted.size_bytes or body.total_bytes

    def _refuse_full_disk(self, needed_bytes: int) -> None:
        status = os.statvfs(self._order.folder)
        free_bytes = status.f_bavail * status.f_frsize
        short = shortage(self._order.folder, free_bytes, needed_bytes, self._order.reserve_bytes)
        if short is not None:
            raise Setback(Failed("disk", short.problem, retryable=True, numbers=dict(short.numbers)), again=False)

    def _checked(self, wanted: Origin, found: Found, total_bytes: int | None) -> Fetched:
        """Return what the partial file is, now that the server has no more of it."""
        size_bytes = self._partial.size_bytes
        if total_bytes is not None and size_bytes < total_bytes:
            problem = f"the server ended after {size_bytes} of {total_bytes} bytes"
            raise Setback(Failed("download", problem, retryable=True))
        sha256 = self._partial.sync()
        if wanted.sha256 not in (None, sha256):
            raise Setback(Failed("checksum", f"should have the sha256 {wanted.sha256}, has {sha256}"), discard=True)
        return Fetched(sha256, size_bytes, found.revision)


@contextmanager
def _answer(url: str, headers: dict[str, str], patience: Patience) -> Iterator[Answer]:
    """Yield the answer at the end of all redirects."""
    for _ in range(MAX_REDIRECTS + 1):
        with asked(url, headers, patience) as answer:
            if answer.status not in REDIRECTS:
                yield answer
                return
            location = answer.headers.get("location", "")
        url = next_url(url, location)
    raise Setback(Failed("source", f"the server sends us on more than {MAX_REDIRECTS} times"))
