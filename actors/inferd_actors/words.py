"""The engine's words on their way to the line.

Covers: the sink that engines speak through. Does not cover what the words mean: `streams`. Every method may be called from
any thread; only `emit` can hold its caller back, an engine that is further ahead than anybody can follow.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final

from inferd_actors.engine import EngineEvent, StreamId

AHEAD_EVENTS: Final = 4_096
"""Events that may wait for whoever holds the line, who packs them in some 60 ms. With a quarter of it 2,000 unhurried streams
cost half as much again, since fewer steps share a message."""

Batch = list[tuple[StreamId, EngineEvent]]
Window = tuple[StreamId, int, int]


class EngineWords:
    """The engine contract's `Sink`."""

    def __init__(self, settle: Callable[[], None], die: Callable[[str], None]) -> None:
        self._settle = settle
        self._die = die
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        """Signalled when a full batch was taken: nobody waits for another one."""
        self._batch: Batch = []
        self._windows: list[Window] = []
        self._went = False
        self.is_urgent = False
        """What the engine told last."""

    def emit(self, batch: Sequence[tuple[StreamId, EngineEvent]]) -> None:
        """Hand over the events of a step; waits while `AHEAD_EVENTS` have not been fetched."""
        with self._lock:
            while len(self._batch) >= AHEAD_EVENTS:
                self._room.wait()
            self._batch += batch
        self._settle()

    def grant(self, stream: StreamId, limit_seq: int, limit_bytes: int) -> None:
        """Hand over a new uplink window."""
        with self._lock:
            self._windows.append((stream, limit_seq, limit_bytes))
        self._settle()

    def urgent(self, *, is_urgent: bool) -> None:
        """Hand over whether the engine computes for voice."""
        self.is_urgent = is_urgent
        self._settle()

    def alive(self) -> None:
        """Note that the engine's loop goes round."""
        self._went = True

    def fatal(self, reason: str) -> None:
        """End the process."""
        self._die(reason)

    def take(self) -> tuple[Batch, list[Window]]:
        """Return what was said since the last call."""
        if not self._batch and not self._windows:
            return [], []  # nearly every round of an idle line; whoever speaks now wakes it once more
        with self._lock:
            batch, self._batch = self._batch, []
            windows, self._windows = self._windows, []
            if len(batch) >= AHEAD_EVENTS:
                self._room.notify_all()
        return batch, windows

    def went_round(self) -> bool:
        """Tell whether the engine's loop has gone round since the last call."""
        went, self._went = self._went, False
        return went
