"""When which stream is to be looked at again; pure.

Covers: one due time per stream in a heap, replaced or dropped without searching. See also: `requests`, the only user.
"""

from __future__ import annotations

import heapq

SLACK = 1_024
"""Dead heap entries that are always tolerated; past that and half of the heap they are swept."""


class Timers:
    """Due times by stream."""

    def __init__(self) -> None:
        self._due: dict[int, float] = {}
        self._heap: list[tuple[float, int]] = []

    def set(self, stream: int, due_s: float) -> None:
        """Look at this stream at `due_s`; replaces its earlier due time."""
        self._due[stream] = due_s
        heapq.heappush(self._heap, (due_s, stream))
        if len(self._heap) > SLACK + 2 * len(self._due):
            self._heap = [(due, one) for one, due in self._due.items()]
            heapq.heapify(self._heap)

    def drop(self, stream: int) -> None:
        """Forget this stream."""
        self._due.pop(stream, None)

    def next_s(self) -> float | None:
        """Return the earliest due time, None when there is none."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self, now_s: float) -> list[int]:
        """Return the streams that are due, and forget them."""
        due: list[int] = []
        while (next_s := self.next_s()) is not None and next_s <= now_s:
            stream = heapq.heappop(self._heap)[1]
            del self._due[stream]
            due.append(stream)
        return due
