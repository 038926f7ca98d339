"""The thread in which the model hears: one pass at a time, asked for by the loop at the last moment.

Covers: the thread, what it has in hand. Does not cover whose pass it is: `line`. Methods belong to the loop.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

from inferd.errors import InferenceError, ModelFailed
from inferd_actors.engine import StreamId
from inferd_actors.engines.faster_whisper.hearing import Heard, Pass

STUCK_S: Final = 300.0
"""For one pass: a window of the largest model on few old cores takes one minute, its third try three."""
STOPPING_S: Final = 10.0
"""For the pass in hand when all is to end; the process ends anyway."""

Result = tuple[StreamId, Heard | InferenceError]


class Worker:
    """`hear` runs in the thread, `ring` after each pass; `guard` is what the thread's function is run by."""

    def __init__(
        self, hear: Callable[[Pass], Heard], ring: Callable[[], None], guard: Callable[[Callable[[], None]], None]
    ) -> None:
        self._hear = hear
        self._ring = ring
        self._thread = threading.Thread(target=guard, args=(self._work,), name="ear", daemon=True)
        self._asked: SimpleQueue[tuple[StreamId, Pass] | None] = SimpleQueue()
        self._results: deque[Result] = deque()
        self._since_s: float | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def is_busy(self) -> bool:
        """Whether it has a pass in hand, or its result waits."""
        return self._since_s is not None

    def is_stuck(self, now_s: float) -> bool:
        """Tell whether a pass takes longer than any can."""
        return self._since_s is not None and now_s - self._since_s > STUCK_S

    def give(self, stream: StreamId, asked: Pass, now_s: float) -> None:
        """Have a pass computed. Only while not `is_busy`."""
        self._since_s = now_s
        self._asked.put((stream, asked))

    def taken(self) -> Result | None:
        """Return the result of the pass in hand; None while there is none."""
        if not self._results:
            return None
        self._since_s = None
        return self._results.popleft()

    def stop(self) -> None:
        """End the thread after the pass in hand. Blocks for some seconds at most."""
        self._asked.put(None)
        self._thread.join(STOPPING_S)

    def _work(self) -> None:
        while (asked := self._asked.get()) is not None:
            stream, sound = asked
            self._results.append((stream, self._compute(sound)))
            self._ring()

    def _compute(self, sound: Pass) -> Heard | InferenceError:
        try:
            return self._hear(sound)
        except Exception as failed:  # noqa: BLE001 - the library's failure over one sound is this stream's alone
            return ModelFailed(f"the model failed over this sound: {type(failed).__name__}: {failed}")
