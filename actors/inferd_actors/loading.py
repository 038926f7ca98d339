"""The load of a model's engine, beside the line: a thread of its own, and what it reports.

Covers: one load in a life, its progress, its result or failure as messages. Does not cover what a load does: the engines.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Literal, get_args

from inferd.errors import LoadFailed
from inferd_actors import messages
from inferd_actors.engine import Engine, EngineFactory, Sink
from inferd_actors.refusals import MAX_MESSAGE_CHARS

PROGRESS_S: Final = 0.1
"""Between two reports: as often as a progress bar is redrawn."""

Cause = Literal["file_missing", "file_corrupt", "no_memory", "engine"]
"""What `messages.LoadFailed` can say."""
CAUSES: Final[dict[object, Cause]] = {cause: cause for cause in get_args(Cause)}


class Loading:
    """The one load of this process. `report` is called from its thread."""

    def __init__(self, factory: Callable[[str], EngineFactory], sink: Sink, report: Callable[[object], None]) -> None:
        self._factory = factory
        self._sink = sink
        self._report = report
        self._thread: threading.Thread | None = None
        self._reported_s = 0.0
        self._closed = False
        self.engine: Engine | None = None
        """There from the beginning of the load, so that it can be closed meanwhile."""
        self.loaded: messages.Loaded | None = None
        """What was reported when the engine was ready; None until then."""

    def begin(self, order: messages.Load) -> None:
        """Load in the background; a second order changes nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._load, args=(order,), name="loading", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Release the engine, giving up a load that still runs. Blocks."""
        self._closed = True
        if self.engine is not None:
            self.engine.close()
        if self._thread is not None:
            self._thread.join()

    def _load(self, order: messages.Load) -> None:
        try:
            self._report(self._ready(order))
        except LoadFailed as failed:
            self._report(_failure(CAUSES.get(failed.details.get("cause"), "engine"), failed.message))
        except MemoryError as failed:
            self._report(_failure("no_memory", f"not enough memory: {failed}"))
        except Exception as failed:  # noqa: BLE001 - an engine's library may raise anything
            self._report(_failure("engine", f"{type(failed).__name__}: {failed}"))

    def _ready(self, order: messages.Load) -> messages.Loaded:
        began_s = time.monotonic()
        self.engine = engine = self._factory(order.engine)(self._sink)
        if self._closed:
            raise LoadFailed("told to leave before the load began", details={"cause": "engine"})
        capacity = engine.load(order.path, order.options, self._progress)
        self.loaded = messages.Loaded(
            slots=capacity.slots,
            can_park=capacity.can_park,
            context_tokens=capacity.context_tokens,
            memory_bytes=capacity.memory_bytes,
            load_s=time.monotonic() - began_s,
        )
        return self.loaded

    def _progress(self, progress: float, phase: str) -> None:
        now_s = time.monotonic()
        if now_s - self._reported_s >= PROGRESS_S:
            self._reported_s = now_s
            self._report(messages.LoadProgress(min(1.0, max(0.0, progress)), phase))


def _failure(cause: Cause, problem: str) -> messages.LoadFailed:
    return messages.LoadFailed(cause, problem[:MAX_MESSAGE_CHARS])
