"""Downloads: owned by the daemon, one per model, watched by any number of requests.

Covers: running a pull in a worker thread, joining requests for the same model, telling progress.
Does not cover rate and time left (`headway`), files (`store`) or what a pulled model is for (`lifecycle`). A leaving app
does not stop a download.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from inferd.errors import InferenceError, PullFailed
from inferd.messages.events import PullProgress
from inferd_daemon.catalogue import ModelId
from inferd_daemon.headway import Headway, left_s

if TYPE_CHECKING:
    from inferd_daemon.catalogue import Schema
    from inferd_daemon.store import Progress, Store

OnProgress = Callable[[ModelId, PullProgress], None]
"""In the loop."""
OnEnd = Callable[[ModelId, InferenceError | None], None]
"""In the loop; None: the files are there."""

MAX_PULLS: Final = 16
"""At the same time; further ones wait. In threads of their own: downloads take hours, and a few of them would fill the
loop's own pool, in which everything short waits its turn."""


class Pulls:
    """Running downloads. Every method is called in the loop; none blocks."""

    def __init__(self, store: Store, tasks: asyncio.TaskGroup, on_progress: OnProgress) -> None:
        self._store = store
        self._tasks = tasks
        self._on_progress = on_progress
        self._is_stopping = False
        self._threads = ThreadPoolExecutor(MAX_PULLS, "pull")
        self._running: dict[ModelId, threading.Event] = {}
        """What ends each of them."""

    def start(self, schema: Schema, others: Iterable[Schema], on_end: OnEnd) -> None:
        """Begin to fetch a model unless that is under way; `on_end` is told how it ended. Files of `others` stay."""
        if schema.id not in self._running:
            self._running[schema.id] = threading.Event()
            self._tasks.create_task(self._pull(schema, others, on_end), name=f"pull {schema.id}")
            if self._is_stopping:
                self.cancel(schema.id)

    def cancel(self, model: ModelId) -> None:
        """End a download soon, if there is one: nothing half-done is published, and the next goes on where that is possible."""
        stop = self._running.get(model)
        if stop is not None:
            stop.set()

    def stop(self) -> None:
        """End all downloads, and those that begin from now on."""
        self._is_stopping = True
        for model in self._running:
            self.cancel(model)

    async def _pull(self, schema: Schema, others: Iterable[Schema], on_end: OnEnd) -> None:
        loop = asyncio.get_running_loop()
        headways: defaultdict[str, Headway] = defaultdict(Headway)

        def progressed(progress: Progress) -> None:
            rate_bytes_s = headways[progress.phase].moved(progress.done_bytes, time.monotonic())
            loop.call_soon_threadsafe(self._on_progress, schema.id, _told(progress, rate_bytes_s))

        error: InferenceError | None = None
        try:
            stop = self._running[schema.id]
            await loop.run_in_executor(self._threads, self._store.pull, schema, progressed, stop, others)
        except InferenceError as failed:
            error = failed
        except Exception as bug:  # noqa: BLE001 - one failed download must end as one failed request
            error = PullFailed(f"pulling {schema.id} failed: {type(bug).__name__}: {bug}")
        del self._running[schema.id]
        on_end(schema.id, error)


def _told(progress: Progress, rate_bytes_s: float | None) -> PullProgress:
    return PullProgress(
        phase=progress.phase,
        done_bytes=progress.done_bytes,
        total_bytes=progress.total_bytes,
        rate_bytes_s=rate_bytes_s,
        left_s=left_s(progress.done_bytes, progress.total_bytes, rate_bytes_s),
    )
