"""Streams of the blocking client that are fed while they are read.

Covers: the uplink's back-pressure in a thread, one sender at a time. See also: `streams`; `aio_duplex`, the same for asyncio.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

from inferd.drafts import checked_timeout
from inferd.intake import Only
from inferd.letterbox import Letterbox
from inferd.messages import control
from inferd.streams import Stream
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


class Duplex(Stream[E], Generic[E]):
    """A stream with an uplink: iterate in another thread than the one that sends.

    A thread that only sends is stopped by back-pressure once the unread events fill their window.
    """

    def __init__(self, line: Line, draft: Draft, view: View[E]) -> None:
        self._grants = Letterbox()
        self._uplink = Uplink()
        self._sending = threading.Lock()
        super().__init__(line, draft, view, self._grants)

    def finish(self, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Say that nothing more will be fed: the stream ends when all of it has been answered.

        Blocks only until the model has taken the stream. Raises DeadlineExceeded if it does not within `timeout_s`, or what
        ended the stream.
        """
        self._say(control.Finish(self.request_id), timeout_s)

    def _feed(self, what: Sound | Writing, timeout_s: float) -> None:
        deadline_s = time.monotonic() + checked_timeout(timeout_s)
        with self._turn(deadline_s, timeout_s):
            while what:
                self._drain()
                while not (piece := self._uplink.feed(self.request_id, what)):
                    self._await_grant(deadline_s, timeout_s)
                self._intake.say(piece)

    def _say(self, message: UplinkMessage, timeout_s: float) -> None:
        """Send a message; all but a finish overtake what waits for room: a pause must not wait behind the text it pauses."""
        command = say(message)
        deadline_s = time.monotonic() + checked_timeout(timeout_s)
        if self._uplink.granted and not isinstance(message, control.Finish):
            self._intake.check_process()
            self._uplink.check()
            self._intake.say(command)
            return
        with self._turn(deadline_s, timeout_s):
            self._drain()
            while not self._uplink.granted:
                self._await_grant(deadline_s, timeout_s)
            self._intake.say(command)

    @contextmanager
    def _turn(self, deadline_s: float, timeout_s: float) -> Iterator[None]:
        """Be the only sender, from before the deadline on."""
        if not self._sending.acquire(timeout=max(0.0, deadline_s - time.monotonic())):
            raise late_feed(timeout_s)
        try:
            yield
        finally:
            self._sending.release()

    def _drain(self) -> None:
        """Take the windows, or the end, that have arrived."""
        self._intake.check_process()
        self._uplink.check()
        while not self._grants.empty():
            self._uplink.take(self._grants.take())

    def _await_grant(self, deadline_s: float, timeout_s: float) -> None:
        try:
            self._uplink.take(self._connection.take(self._grants, max(0.0, deadline_s - time.monotonic())))
        except queue.Empty:
            raise late_feed(timeout_s) from None


class Loopback(Duplex[LoopbackEvent]):
    """Sound that is fed comes back: iterate to hear it."""

    def __init__(self, line: Line, draft: Draft, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        super().__init__(line, draft, Only(*LOOPBACK_EVENTS))

    def send(self, pcm: bytes | bytearray | memoryview, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Feed sound: int16, mono, little-endian, at the stream's rate. Blocks while the model takes no more.

        Raises InvalidRequest (no int16 sound; the stream has ended), DeadlineExceeded (`timeout_s` without room; what was
        fed stays fed), or what ended the stream. Calls of several threads never mix their pieces.
        """
        self._feed(heard_sound(pcm, self._rate_hz), timeout_s)

    def pause(self, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Stop the sound for now and keep everything. Blocks like `finish`."""
        self._say(control.Pause(self.request_id), timeout_s)

    def resume(self, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Go on after `pause`. Blocks like `finish`."""
        self._say(control.Resume(self.request_id), timeout_s)

    def played(self, epoch: int, played_ms: int, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Tell how much of an epoch's sound the loudspeaker has played. Blocks like `finish`."""
        self._say(control.Played(self.request_id, epoch, played_ms), timeout_s)
