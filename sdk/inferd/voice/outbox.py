"""Events on their way to the app: one task puts, one reads.

Covers: the bound, the end. Does not cover what they say.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from inferd.voice.events import VoiceEvent

UNREAD_EVENTS: Final = 2_048
"""A minute of sound with what is said beside it: an app that is so far behind is not listening any more."""


class Outbox:
    """Events in order, then the end, or the error that ended everything."""

    def __init__(self) -> None:
        self._events: deque[VoiceEvent] = deque()
        self._ended = False
        self._error: BaseException | None = None
        self._arrived = asyncio.Event()

    @property
    def is_full(self) -> bool:
        """Whether the app is too far behind."""
        return len(self._events) >= UNREAD_EVENTS

    def put(self, event: VoiceEvent) -> None:
        """Add an event; behind the end it is dropped."""
        if not self._ended:
            self._events.append(event)
            self._arrived.set()

    def end(self, error: BaseException | None = None) -> None:
        """Let nothing more come. The first end counts."""
        if not self._ended:
            self._ended, self._error = True, error
            self._arrived.set()

    async def get(self) -> VoiceEvent:
        """Return the next event. Raises StopAsyncIteration at the end, or the error that ended everything, each time."""
        while not self._events:
            if self._error:
                raise self._error
            if self._ended:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._events.popleft()
