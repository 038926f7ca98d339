"""Threads that compute requests one after the other, beside a loop that never waits for them.

Covers: the threads, what they have in hand, what they have done. Does not cover what is computed, nor when a request ends: a
call of a library cannot be stopped, so the loop ends a request that is wanted no more without it. Methods belong to the loop.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

from inferd.messages.events import Terminal
from inferd_actors.engine import StreamId, Submission
from inferd_actors.stacks import start_deep

STOPPING_S: Final = 2.0
"""For a thread to finish when all is to end; the process ends anyway."""

Result = tuple[StreamId, Terminal | None]
"""None: it was not wanted any more."""


class Workers:
    """`count` threads. `compute` runs in one of them and raises nothing; `ring` is called there after each result."""

    def __init__(self, count: int, compute: Callable[[Submission], Terminal | None], ring: Callable[[], None]) -> None:
        self._compute = compute
        self._ring = ring
        self._threads = [threading.Thread(target=self._work, name="worker", daemon=True) for _ in range(count)]
        self._jobs: SimpleQueue[Submission | None] = SimpleQueue()
        self._results: deque[Result] = deque()
        self._in_hand: dict[StreamId, None] = {}
        self._abandoned: dict[StreamId, float] = {}
        """Requests that have ended while a thread still computes them, and since when."""

    def start(self) -> None:
        """Begin, on deep stacks."""
        start_deep(self._threads)

    def put(self, submission: Submission) -> None:
        """Have a request computed; answered by a result in any case."""
        self._jobs.put(submission)

    def taken(self) -> list[Result]:
        """Return what has been computed since the last call."""
        taken = []
        while self._results:
            taken.append(self._results.popleft())
            self._abandoned.pop(taken[-1][0], None)
        return taken

    def abandon(self, stream: StreamId, now_s: float) -> None:
        """Note that nobody wants this result any more."""
        if stream in self._in_hand:
            self._abandoned[stream] = now_s

    def wasted_s(self, now_s: float) -> float:
        """Return for how long all threads have computed for nobody; 0 while one of them does not."""
        return now_s - max(self._abandoned.values()) if len(self._abandoned) == len(self._threads) else 0.0

    def stop(self) -> None:
        """End the threads; one that is in a long call is left to itself. Blocks for some seconds at most."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(STOPPING_S)

    def _work(self) -> None:
        while (submission := self._jobs.get()) is not None:
            stream = submission.stream
            self._in_hand[stream] = None
            event = self._compute(submission)
            del self._in_hand[stream]
            self._results.append((stream, event))  # last: it clears what `abandon` may have noted meanwhile
            self._ring()
