"""The load of a model's engine, beside the line: a thread of its own, and what it reports.

Covers: one load in a life, importing the engine's libraries and opening a file before there is one to load, progress, result
or failure as messages. Does not cover what a load does: the engines.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Literal, get_args

from inferd.errors import LoadFailed
from inferd_actors import messages
from inferd_actors.engine import Engine, EngineFactory, Sink
from inferd_actors.phases import Phases
from inferd_actors.refusals import MAX_MESSAGE_CHARS

PROGRESS_S: Final = 0.1
"""Between two reports: as often as a progress bar is redrawn."""

NICE: Final = 10
"""Of a thread that imports for a load that nobody has asked for yet: a tenth of what an ordinary thread gets beside it."""

Cause = Literal["file_missing", "file_corrupt", "no_memory", "engine"]
"""What `messages.LoadFailed` can say."""
CAUSES: Final[dict[object, Cause]] = {cause: cause for cause in get_args(Cause)}


OpenAhead = Callable[[str, str, messages.Options], EngineFactory | None]


class Loading:
    """The one load of this process. `report` is called from its thread. `prepare`, `open_ahead`: see `engines`."""

    def __init__(
        self,
        factory: Callable[[str], EngineFactory],
        sink: Sink,
        report: Callable[[object], None],
        prepare: Callable[[str], None],
        open_ahead: OpenAhead,
    ) -> None:
        self._factory = factory
        self._sink = sink
        self._report = report
        self._prepare = prepare
        self._open_ahead = open_ahead
        self._is_prepared = False
        self._ahead: tuple[str, EngineFactory] | None = None
        """An engine, and how it is made with the file that was opened for it."""
        self._thread: threading.Thread | None = None
        self._reported_s = 0.0
        self._phases = Phases()
        self._closed = False
        self.engine: Engine | None = None
        """There from the beginning of the load, so that it can be closed meanwhile."""
        self.loaded: messages.Loaded | None = None
        """What was reported when the engine was ready; None until then."""

    def prepare(self, order: messages.Prepare) -> None:
        """Import an engine's libraries, then open a file if one is named, in the background.

        Once in a life, and not after its load began.
        """
        if self._thread is None and not self._is_prepared:
            self._is_prepared = True
            threading.Thread(target=self._get_ready, args=(order,), name="preparing", daemon=True).start()

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

    def _get_ready(self, order: messages.Prepare) -> None:
        self._try(lambda: self._prepared(order))

    def _prepared(self, order: messages.Prepare) -> messages.Prepared:
        """Import, letting others go first; then open: not so, for a process that is started then would stay behind others."""
        with ThreadPoolExecutor(1, "importing", _be_nice) as importing:
            importing.submit(self._prepare, order.engine).result()
        opened = self._opened(order) if order.path else None
        if opened is not None:
            self._ahead = order.engine, opened
        return messages.Prepared(is_open=opened is not None)

    def _opened(self, order: messages.Prepare) -> EngineFactory | None:
        """Return how the engine is made with the file open; None also where that fails: the load will say why."""
        try:
            return self._open_ahead(order.engine, order.path, order.options)
        except LoadFailed:
            return None

    def _load(self, order: messages.Load) -> None:
        self._try(lambda: self._ready(order))

    def _try(self, make: Callable[[], object]) -> None:
        """Report what `make` returns, or what was in its way."""
        try:
            self._report(make())
        except LoadFailed as failed:
            self._report(_failure(CAUSES.get(failed.details.get("cause"), "engine"), failed.message))
        except MemoryError as failed:
            self._report(_failure("no_memory", f"not enough memory: {failed}"))
        except Exception as failed:  # noqa: BLE001 - an engine's library may raise anything
            self._report(_failure("engine", f"{type(failed).__name__}: {failed}"))

    def _ready(self, order: messages.Load) -> messages.Loaded:
        began_s = time.monotonic()
        self._phases.enter("importing", began_s)
        self.engine = engine = self._maker(order.engine)(self._sink)
        if self._closed:
            raise LoadFailed("told to leave before the load began", details={"cause": "engine"})
        capacity = engine.load(order.path, order.options, self._progress)
        self._phases.end(time.monotonic())
        self.loaded = messages.Loaded(
            slots=capacity.slots,
            can_park=capacity.can_park,
            context_tokens=capacity.context_tokens,
            memory_bytes=capacity.memory_bytes,
            load_s=time.monotonic() - began_s,
            phases=self._phases.took_s,
        )
        return self.loaded

    def _maker(self, engine: str) -> EngineFactory:
        made_for, maker = self._ahead or ("", None)
        return maker if maker is not None and made_for == engine else self._factory(engine)

    def _progress(self, progress: float, phase: str) -> None:
        now_s = time.monotonic()
        self._phases.enter(phase, now_s)
        if now_s - self._reported_s >= PROGRESS_S:
            self._reported_s = now_s
            self._report(messages.LoadProgress(min(1.0, max(0.0, progress)), phase))


def _be_nice() -> None:
    """Let others go first, where a priority is a thread's own: only as root could it be raised again."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def _failure(cause: Cause, problem: str) -> messages.LoadFailed:
    return messages.LoadFailed(cause, problem[:MAX_MESSAGE_CHARS])
