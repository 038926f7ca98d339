"""Events that the app has not acknowledged: what a new daemon needs, if the old one took them along when it died.

Covers: one stream's packed events between sending and `seen_seq`. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from inferd.wire import PackedEvent

KEPT_BYTES: Final = 2**20
"""As much as a well-chosen window leaves unacknowledged; who asks for larger ones cannot resume behind their start."""


class Replay:
    """Numbered events behind `seen_seq`, in order."""

    def __init__(self) -> None:
        self._kept: deque[tuple[PackedEvent, int]] = deque()
        self.size_bytes = 0

    def add(self, packed: PackedEvent, size_bytes: int) -> None:
        """Keep an event that has just been sent; the oldest give way when they are too many."""
        self._kept.append((packed, size_bytes))
        self.size_bytes += size_bytes
        while self.size_bytes > KEPT_BYTES and len(self._kept) > 1:
            self._drop_first()

    def forget(self, seen_seq: int) -> None:
        """Drop what the app has."""
        while self._kept and self._kept[0][0].seq <= seen_seq:
            self._drop_first()

    def behind(self, seen_seq: int) -> Sequence[PackedEvent] | None:
        """Return the events after `seen_seq`; None when the first of them is no longer here."""
        self.forget(seen_seq)
        if self._kept and self._kept[0][0].seq != seen_seq + 1:
            return None
        return tuple(packed for packed, _ in self._kept)

    def _drop_first(self) -> None:
        self.size_bytes -= self._kept.popleft()[1]
