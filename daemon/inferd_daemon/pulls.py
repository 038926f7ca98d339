"""Downloads: owned by the daemon, one per model, watched by any number of requests.

Covers: running a pull in a worker thread, joining requests for the same model, telling progress with rate and time left.
Does not cover files (`store`) or what a pulled model is for (`lifecycle`). A leaving app does not stop a download.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from inferd.errors import InferenceError, PullFailed
from inferd.messages.events import PullProgress
from inferd_daemon.catalogue import ModelId

if TYPE_CHECKING:
    from inferd_daemon.catalogue import Schema
    from inferd_daemon.store import Progress, Store

OnProgress = Callable[[ModelId, PullProgress], None]
"""In the loop."""
OnEnd = Callable[[ModelId, InferenceError | None], None]
"""In the loop; None: the files are there."""


class Pulls:
    """Running downloads. Every method is called in the loop; none blocks."""

    def __init__(self, store: Store, tasks: asyncio.TaskGroup, on_progress: OnProgress) -> None:
        self._store = store
        self._tasks = tasks
        self._on_progress = on_progress
        self._stop = threading.Event()
        self._running: dict[ModelId, asyncio.Task[None]] = {}

    def start(self, schema: Schema, on_end: OnEnd) -> None:
        """Begin to fetch a model unless that is under way; `on_end` is told how it ended."""
        if schema.id not in self._running:
            task = self._tasks.create_task(self._pull(schema, on_end), name=f"pull {schema.id}")
            self._running[schema.id] = task

    def stop(self) -> None:
        """End all downloads soon; what they fetched is not published, and the next pull starts anew."""
        self._stop.set()

    async def _pull(self, schema: Schema, on_end: OnEnd) -> None:
        loop = asyncio.get_running_loop()
        began_s: dict[str, float] = {}

        def progressed(progress: Progress) -> None:
            now_s = time.monotonic()
            elapsed_s = now_s - began_s.setdefault(progress.phase, now_s)
            loop.call_soon_threadsafe(self._on_progress, schema.id, _told(progress, elapsed_s))

        error: InferenceError | None = None
        try:
            await asyncio.to_thread(self._store.pull, schema, progressed, self._stop)
        except InferenceError as failed:
            error = failed
        except Exception as bug:  # noqa: BLE001 - one failed download must end as one failed request
            error = PullFailed(f"pulling {schema.id} failed: {type(bug).__name__}: {bug}")
        del self._running[schema.id]
        on_end(schema.id, error)


def _told(progress: Progress, elapsed_s: float) -> PullProgress:
    rate = progress.done_bytes / elapsed_s if elapsed_s > 0 else 0.0
    left_bytes = max(0, progress.total_bytes - progress.done_bytes) if progress.total_bytes else None
    left_s = left_bytes / rate if left_bytes is not None and rate > 0 else None
    return PullProgress(
        phase=progress.phase,
        done_bytes=progress.done_bytes,
        total_bytes=progress.total_bytes,
        rate_bytes_s=rate,
        left_s=left_s,
    )
