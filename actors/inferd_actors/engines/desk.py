"""The host's side of an engine: calls of the contract become orders for the engine's loop, which alone changes state.

Covers: handing orders over, the loop's thread from `begin` to `close`, what an exception there means. Does not cover what
an order does: each engine's own loop. One writer, so no lock in any engine.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from inferd.messages.control import Feed
from inferd.messages.events import CancelReason
from inferd_actors.engine import Sink, StreamId, Submission
from inferd_actors.engines.aside import Aside

ALIVE_S: Final = 1.0
"""How long an idle loop sleeps: the contract wants a life sign about every second."""
MAX_ORDERS: Final = 100_000
"""Never reached: feeds are windowed and the rest is a few orders per stream; past it this process has a bug."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Work on this request."""

    submission: Submission


@dataclass(frozen=True, slots=True)
class Take:
    """The next piece of the uplink."""

    stream: StreamId
    piece: Feed


@dataclass(frozen=True, slots=True)
class TakeNoMore:
    """The uplink is complete."""

    stream: StreamId


@dataclass(frozen=True, slots=True)
class Flow:
    """Whether the window lets the stream produce."""

    stream: StreamId
    may_produce: bool


@dataclass(frozen=True, slots=True)
class Hold:
    """Whether the app wants it to wait."""

    stream: StreamId
    held: bool


@dataclass(frozen=True, slots=True)
class Drop:
    """End the stream now."""

    stream: StreamId
    reason: CancelReason


@dataclass(frozen=True, slots=True)
class Hear:
    """A listener has heard so much of an epoch."""

    stream: StreamId
    epoch: int
    played_ms: int


Order = Begin | Take | TakeNoMore | Flow | Hold | Drop | Hear


class Desk:
    """Base of engines with one loop thread.

    Their loop returns once `_closing` is set: after the orders given until then, all streams ended, the model released.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._orders: deque[Order] = deque()
        self._bell = threading.Event()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._aside = Aside()
        self._is_urgent = False

    def _begin(self, loop: Callable[[], None], name: str) -> None:
        self._thread = threading.Thread(target=self._guard, args=(loop,), name=name, daemon=True)
        self._thread.start()

    def _guard(self, loop: Callable[[], None]) -> None:
        try:
            loop()
        except BaseException as reason:  # noqa: BLE001 - whatever it was, a process without its loop must end
            self._sink.fatal(
                f"a thread of the engine ended: {''.join(traceback.format_exception_only(reason)).strip()}"
            )

    def _taken(self) -> Iterator[Order]:
        """Yield the orders that wait, oldest first."""
        self._bell.clear()
        while self._orders:
            yield self._orders.popleft()

    @property
    def _untaken(self) -> int:
        """How many orders wait; any thread may look."""
        return len(self._orders)

    def _rest(self, timeout_s: float) -> None:
        """Sleep until there is an order, at most this long."""
        if not self._orders and not self._closing.is_set():
            self._bell.wait(timeout_s)

    def _tell_urgent(self, *, is_urgent: bool) -> None:
        """Tell of voice work, if that is news."""
        if is_urgent != self._is_urgent:
            self._is_urgent = is_urgent
            self._sink.urgent(is_urgent=is_urgent)

    def _put(self, order: Order) -> None:
        if len(self._orders) >= MAX_ORDERS:
            raise BufferError(f"{len(self._orders):,} orders wait for the engine; the bound is {MAX_ORDERS:,}")
        self._orders.append(order)
        self._bell.set()

    # --- the engine contract

    def submit(self, submission: Submission) -> None:
        """Take a request."""
        self._put(Begin(submission))

    def feed(self, stream: StreamId, piece: Feed) -> None:
        """Take the next piece of the uplink."""
        self._put(Take(stream, piece))

    def finish(self, stream: StreamId) -> None:
        """The uplink is complete."""
        self._put(TakeNoMore(stream))

    def grant(self, stream: StreamId, *, may_produce: bool) -> None:
        """Halt the stream, or let it go on."""
        self._put(Flow(stream, may_produce))

    def pause(self, stream: StreamId) -> None:
        """Halt output."""
        self._put(Hold(stream, held=True))

    def resume(self, stream: StreamId) -> None:
        """Go on after `pause`."""
        self._put(Hold(stream, held=False))

    def played(self, stream: StreamId, epoch: int, played_ms: int) -> None:
        """Do nothing; an engine that speaks puts `Hear`."""

    def cancel(self, stream: StreamId, reason: CancelReason) -> None:
        """End the stream."""
        self._put(Drop(stream, reason))

    def step_aside(self, *, is_aside: bool) -> None:
        """Make room for voice work elsewhere, or take the room back."""
        self._aside.told(time.monotonic(), is_aside=is_aside)
        self._bell.set()

    def close(self) -> None:
        """Stop the loop and wait until it has released the model."""
        self._closing.set()
        self._bell.set()
        if self._thread is not None:
            self._thread.join()
