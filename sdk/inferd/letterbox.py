"""A mailbox for threads: whoever works the line puts, one other thread takes.

Covers: waiting, and what is dropped when nobody reads. See also: `pump`, which works the line while it waits for one.
"""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING

from inferd.calls import UNREAD, is_state

if TYPE_CHECKING:
    from inferd.calls import Item


class Letterbox:
    """What arrived for one call, in batches; any thread puts, one thread takes."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[list[Item]] = queue.SimpleQueue()
        self._put = 0
        self._taken = 0
        """Each of the two counts has one writer at a time, so that neither needs a lock."""

    def put(self, items: list[Item], /) -> None:
        """Take what arrived; never blocks. State that nobody reads is dropped."""
        if self._put - self._taken < UNREAD or not is_state(items):
            self._put += len(items)
            self._queue.put(items)

    def take(self, timeout_s: float | None = None) -> list[Item]:
        """Return the next batch; waits for it. Raises queue.Empty after `timeout_s`."""
        items = self._queue.get(timeout=timeout_s)
        self._taken += len(items)
        return items

    def empty(self) -> bool:
        """Return whether `take` would wait."""
        return self._queue.empty()
