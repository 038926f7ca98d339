"""Streams of the asyncio client that are fed while they are read.

Covers: the uplink's back-pressure in a task, one sender at a time. See also: `aio_streams`; `duplex`, the same for threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

from inferd.aio_streams import AsyncStream, Box
from inferd.drafts import checked_timeout
from inferd.intake import Only
from inferd.messages import control
from inferd.uplink import (
    LOOPBACK_EVENTS,
    SEND_TIMEOUT_S,
    LoopbackEvent,
    Sound,
    Uplink,
    UplinkMessage,
    Writing,
    heard_sound,
    late_feed,
    say,
)

if TYPE_CHECKING:
    from inferd.drafts import Draft
    from inferd.intake import View
    from inferd.line import Line

E = TypeVar("E")


class AsyncDuplex(AsyncStream[E], Generic[E]):
    """A stream with an uplink: iterate in another task than the one that sends."""

    def __init__(self, line: Line, draft: Draft, view: View[E]) -> None:
        self._grants = Box()
        self._uplink = Uplink()
        self._sending = asyncio.Lock()
        super().__init__(line, draft, view, self._grants)

    async def finish(self, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Say that nothing more will be fed: the stream ends when all of it has been answered.

        Waits only until the model has taken the stream. Raises DeadlineExceeded if it does not within `timeout_s`, or what
        ended the stream.
        """
        await self._say(control.Finish(self.request_id), timeout_s)

    async def _feed(self, what: Sound | Writing, timeout_s: float) -> None:
        async with self._turn(timeout_s):
            while what:
                self._drain()
                while not (piece := self._uplink.feed(self.request_id, what)):
                    self._uplink.take(await self._grants.get())
                self._intake.say(piece)

    async def _say(self, message: UplinkMessage, timeout_s: float) -> None:
        """Send a message; all but a finish overtake what waits for room: a pause must not wait behind the text it pauses."""
        command = say(message)
        if self._uplink.granted and not isinstance(message, control.Finish):
            self._intake.check_process()
            self._uplink.check()
            self._intake.say(command)
            return
        async with self._turn(timeout_s):
            self._drain()
            while not self._uplink.granted:
                self._uplink.take(await self._grants.get())
            self._intake.say(command)

    @asynccontextmanager
    async def _turn(self, timeout_s: float) -> AsyncIterator[None]:
        """Be the only sender, for `timeout_s` at most."""
        try:
            async with asyncio.timeout(checked_timeout(timeout_s)), self._sending:
                yield
        except TimeoutError:
            raise late_feed(timeout_s) from None

    def _drain(self) -> None:
        """Take the windows, or the end, that have arrived."""
        self._intake.check_process()
        self._uplink.check()
        self._uplink.take(self._grants.taken())


class AsyncLoopback(AsyncDuplex[LoopbackEvent]):
    """Sound that is fed comes back: iterate to hear it."""

    def __init__(self, line: Line, draft: Draft, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        super().__init__(line, draft, Only(*LOOPBACK_EVENTS))

    async def send(self, pcm: bytes | bytearray | memoryview, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Feed sound: int16, mono, little-endian, at the stream's rate. Waits while the model takes no more.

        Raises InvalidRequest (no int16 sound; the stream has ended), DeadlineExceeded (`timeout_s` without room; what
        was fed stays fed), or what ended the stream. Calls of several tasks never mix their pieces.
        """
        await self._feed(heard_sound(pcm, self._rate_hz), timeout_s)

    async def pause(self, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Stop the sound for now and keep everything. Waits like `finish`."""
        await self._say(control.Pause(self.request_id), timeout_s)

    async def resume(self, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Go on after `pause`. Waits like `finish`."""
        await self._say(control.Resume(self.request_id), timeout_s)

    async def played(self, epoch: int, played_ms: int, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Tell how much of an epoch's sound the loudspeaker has played. Waits like `finish`."""
        await self._say(control.Played(self.request_id, epoch, played_ms), timeout_s)
