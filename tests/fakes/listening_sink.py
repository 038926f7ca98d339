"""A sink that a test can ask: what did the engine say about this stream, and wait until it has said it."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence

from inferd.messages.events import TERMINALS, TextDelta
from inferd_actors.engine import EngineEvent, StreamId

PATIENCE_S = 60.0
"""Far beyond what any case needs on a busy machine: only a hang meets it."""


class ListeningSink:
    """The engine contract's `Sink`, kept in lists."""

    def __init__(self) -> None:
        self._heard = threading.Condition()
        self._events: defaultdict[StreamId, list[EngineEvent]] = defaultdict(list)
        self._windows: defaultdict[StreamId, list[tuple[int, int]]] = defaultdict(list)
        self.batches: list[Sequence[tuple[StreamId, EngineEvent]]] = []
        self.signs = 0
        self.urgencies: list[bool] = []
        self.failures: list[str] = []

    def emit(self, batch: Sequence[tuple[StreamId, EngineEvent]]) -> None:
        with self._heard:
            self.batches.append(batch)
            for stream, event in batch:
                self._events[stream].append(event)
            self._heard.notify_all()

    def grant(self, stream: StreamId, limit_seq: int, limit_bytes: int) -> None:
        with self._heard:
            self._windows[stream].append((limit_seq, limit_bytes))
            self._heard.notify_all()

    def urgent(self, *, is_urgent: bool) -> None:
        with self._heard:
            if is_urgent == (self.urgencies[-1] if self.urgencies else False):
                self.failures.append("urgent: that is no news")
            self.urgencies.append(is_urgent)
            self._heard.notify_all()

    def alive(self) -> None:
        with self._heard:
            self.signs += 1
            self._heard.notify_all()

    def fatal(self, reason: str) -> None:
        with self._heard:
            self.failures.append(reason)
            self._heard.notify_all()

    def wait(self, condition: Callable[[], bool]) -> None:
        """Return once `condition` holds; it is looked at whenever the engine says something."""
        with self._heard:
            assert self._heard.wait_for(lambda: condition() or bool(self.failures), PATIENCE_S), "the engine is silent"
            assert not self.failures, self.failures

    def events(self, stream: StreamId) -> list[EngineEvent]:
        """Return what was said about a stream so far."""
        with self._heard:
            return list(self._events[stream])

    def sign(self) -> None:
        """Return when the engine's loop has gone round once more."""
        before = self.signs
        self.wait(lambda: self.signs > before)

    def is_silent(self, for_s: float) -> bool:
        """Tell whether the engine's loop gives no sign for so long."""
        before = self.signs
        with self._heard:
            return not self._heard.wait_for(lambda: self.signs > before, for_s)

    def window(self, stream: StreamId, at_least: int = 1) -> tuple[int, int]:
        """Return the latest uplink window, waiting until it allows that many pieces."""
        self.wait(lambda: bool(self._windows[stream]) and self._windows[stream][-1][0] >= at_least)
        return self._windows[stream][-1]

    def room(self, stream: StreamId, seq: int, size_bytes: int) -> bool:
        """Return True once the uplink takes a piece of that number and size; False: the stream has ended before."""

        def allowed() -> bool:
            limits = self._windows[stream][-1] if self._windows[stream] else (0, 0)
            return limits[0] >= seq and limits[1] >= size_bytes

        self.wait(lambda: allowed() or self._has_ended(stream))
        return allowed() and not self._has_ended(stream)

    def _has_ended(self, stream: StreamId) -> bool:
        return bool(self._events[stream]) and isinstance(self._events[stream][-1], TERMINALS)

    def deltas(self, stream: StreamId, at_least: int) -> list[str]:
        """Return the texts so far, waiting until there are that many."""
        self.wait(lambda: len(self._texts(stream)) >= at_least)
        return self._texts(stream)

    def whole(self, stream: StreamId) -> list[EngineEvent]:
        """Return all events of a stream, waiting for its end."""
        self.wait(lambda: bool(self._events[stream]) and isinstance(self._events[stream][-1], TERMINALS))
        return self.events(stream)

    def text(self, stream: StreamId) -> str:
        """Return the whole text of a stream, waiting for its end."""
        self.whole(stream)
        return "".join(self._texts(stream))

    def _texts(self, stream: StreamId) -> list[str]:
        return [event.text for event in self._events[stream] if isinstance(event, TextDelta)]
