"""What is to be fed to one job: put by who reads the client, taken by who feeds the daemon, bounded between the two."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

P = TypeVar("P", bytes, str)

AHEAD_SIZE: Final = 4 * 2**20
"""Bytes or characters that wait here before the client is read no further: two minutes at 16 kHz, longer than a model loads.
While it is not read nobody sees it leave, so only who sends far faster than anybody speaks comes to that."""


class Feeds(Generic[P]):
    """A queue of pieces with an end. Belongs to the event loop."""

    def __init__(self, pieces: Iterable[P] = (), *, is_whole: bool = False) -> None:
        self._pieces: deque[P] = deque(pieces)
        self._is_whole = is_whole
        self._size = sum(map(len, self._pieces))
        self._is_left = False
        self._waiting: set[asyncio.Future[None]] = set()

    def put(self, piece: P) -> None:
        """Add a piece. Does not wait: `room` does."""
        self._pieces.append(piece)
        self._size += len(piece)
        self._wake()

    def finish(self) -> None:
        """Say that these were all."""
        self._is_whole = True
        self._wake()

    def leave(self) -> None:
        """Say that nobody takes any more."""
        self._is_left = True
        self._wake()

    async def room(self) -> None:
        """Wait until there is room for more, or nobody wants any."""
        while self._size > AHEAD_SIZE and not self._is_left:
            await self._change()

    async def next(self) -> P | None:
        """Return the next piece; None: there are no more."""
        while not self._pieces and not self._is_whole:
            await self._change()
        if not self._pieces:
            return None
        piece = self._pieces.popleft()
        self._size -= len(piece)
        self._wake()
        return piece

    async def _change(self) -> None:
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            await waiting
        finally:
            self._waiting.discard(waiting)

    def _wake(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
