"""Accepted requests that have not ended: one record each, found by stream, by app and by life.

Covers: the record and its indexes; pure. See also: `requests`, the only one that changes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from inferd.messages.control import Request
from inferd.messages.operations import Operation
from inferd_actors.messages import ModelFile
from inferd_daemon.catalogue import ModelId
from inferd_daemon.ids import AppKey

Ending = Literal["app", "disconnected", "deadline", "shutdown", "unloaded"]
"""Why an actor was asked to end a stream."""


ALL: Final = "all"
"""Key of everything that waits."""


@dataclass(slots=True)
class Work:
    """One accepted request."""

    stream: int
    session: int
    app: AppKey
    request: Request
    operation: Operation
    model: ModelId | None
    """The one that serves it, or VOCAB; None for what the daemon answers itself."""
    trace_id: str
    size_bytes: int
    arrived_s: float
    progressed_s: float
    """When it last moved, as far as the loop knows; the wires know later moments of a dispatched one."""
    position: int = 0
    """In its line, as last known; 0 while it has no place."""
    life: int = 0
    """The process that works on it; 0 while it waits."""
    ending: Ending | None = None
    """Why its actor was asked to end it; None: it was not."""
    file: ModelFile | None = None
    """What it is about, if the vocab actor serves it."""
    about: ModelId | None = None
    """Which model the daemon's own answer waits for."""

    @property
    def timeout_s(self) -> float:
        """Longest time without progress."""
        return self.request.timeout_ms / 1000


@dataclass(slots=True)
class Waiting:
    """Requests that are not dispatched yet, and the memory that they hold."""

    count: int = 0
    size_bytes: int = 0

    def add(self, work: Work, sign: int) -> None:
        """Count a request in (1) or out (-1)."""
        self.count += sign
        self.size_bytes += sign * work.size_bytes


class WorkTable:
    """All unfinished work."""

    def __init__(self) -> None:
        self._by_stream: dict[int, Work] = {}
        self._by_session: dict[int, set[int]] = {}
        self._by_life: dict[int, set[int]] = {}
        self._waiting: dict[object, Waiting] = {}
        """For each app, each model, each app with each model, and ALL."""

    def __len__(self) -> int:
        return len(self._by_stream)

    def __iter__(self) -> Iterator[Work]:
        return iter(tuple(self._by_stream.values()))

    def get(self, stream: int) -> Work | None:
        """Return the work of a stream, None when it has ended."""
        return self._by_stream.get(stream)

    def add(self, work: Work) -> None:
        """Take a new one, not dispatched yet."""
        self._by_stream[work.stream] = work
        self._by_session.setdefault(work.session, set()).add(work.stream)
        self._count(work, 1)

    def dispatch(self, work: Work, life: int) -> None:
        """Note that an actor has it now."""
        work.life = life
        self._by_life.setdefault(life, set()).add(work.stream)
        self._count(work, -1)

    def end(self, stream: int) -> Work | None:
        """Forget it and return it, None when it had ended before."""
        work = self._by_stream.pop(stream, None)
        if work is None:
            return None
        _discard(self._by_session, work.session, stream)
        if work.life:
            _discard(self._by_life, work.life, stream)
        else:
            self._count(work, -1)
        return work

    def waiting(self, key: object) -> Waiting:
        """Return what waits: of an app, for a model, of (app, model), or ALL."""
        return self._waiting.get(key) or Waiting()

    def _count(self, work: Work, sign: int) -> None:
        for key in (ALL, work.app, work.model, (work.app, work.model)):
            waiting = self._waiting.setdefault(key, Waiting())
            waiting.add(work, sign)
            if not waiting.count:
                del self._waiting[key]

    def of_session(self, session: int) -> tuple[Work, ...]:
        """Return the unfinished work of one app."""
        return tuple(self._by_stream[stream] for stream in self._by_session.get(session, ()))

    def of_life(self, life: int) -> tuple[Work, ...]:
        """Return what one actor is working on."""
        return tuple(self._by_stream[stream] for stream in self._by_life.get(life, ()))

    def inflight(self, life: int) -> int:
        """Return how many requests one actor is working on."""
        return len(self._by_life.get(life, ()))

    def waiting_for(self, model: ModelId) -> tuple[Work, ...]:
        """Return what waits for a model."""
        return tuple(work for work in self._by_stream.values() if work.model == model and not work.life)


def _discard(index: dict[int, set[int]], key: int, stream: int) -> None:
    streams = index[key]
    streams.discard(stream)
    if not streams:
        del index[key]
