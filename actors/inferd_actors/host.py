"""An actor's line to the daemon: connects out, greets on every connection, carries messages both ways.

Covers: the only socket of an actor process (and of the keeper), its one thread, reconnecting. Does not cover what is said:
the keeper, `model` and the service actors bring their own `on_message`. See also: `sdk/PROTOCOL.md` part II.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import zmq
import zmq.backend
from zmq.utils.monitor import recv_monitor_message

from inferd import multipart
from inferd_actors.messages import Kind
from inferd_actors.slices import quicken, quickened

Frames = list[bytes]

HEARTBEAT_IVL_MS: Final = 2_000
HEARTBEAT_TIMEOUT_MS: Final = 6_000
"""A stopped peer is dropped after this; both figures are those of the gateway, so that the ends agree."""
RECONNECT_MS: Final = 50
RECONNECT_MAX_MS: Final = 1_000
MAX_FRAME_BYTES: Final = 32 * 2**20
"""Twice the largest blob that a well-behaved peer sends."""
BATCH_MESSAGES: Final = 64
"""Messages read before what they caused is sent: long enough to share wake-ups, short enough to answer a ping between."""
OUTBOX_MESSAGES: Final = 100_000
"""Never reached by windowed streams (900 events per app); past it this process has a bug and must not eat the machine."""
RETRY_SEND_S: Final = 0.02
"""How soon a refused send is tried again."""


@dataclass(frozen=True, slots=True)
class ActorSpec:
    """Who an actor process is; all that it gets from the keeper."""

    address: str
    """`ipc://` endpoint of the daemon's actors socket."""
    life: int
    kind: Kind
    model: str
    secret: str


class Line:
    """One connection to the daemon, kept by the thread that calls `run`.

    `greeting()` makes the hello's frames, on each connection anew. `on_message(frames)`, `on_lost()` and `on_tick(now_s)`
    are called by whoever holds the line, one at a time; `on_tick` runs after every wake-up and returns when it wants the next
    one (None: not by the clock). `send`, `wake`, `settle` and `close` may be called from any thread and never wait.

    Why a hold: an engine that sends what a step made by itself (`settle`) wakes no thread of this process in the middle of its
    next step, and daemon and app do their part while it prepares that step. So while the line's thread sleeps nobody holds the
    line, and it sleeps on bare descriptors, outside libzmq.
    """

    def __init__(
        self,
        address: str,
        *,
        greeting: Callable[[], Sequence[bytes]],
        on_message: Callable[[Frames], None],
        on_lost: Callable[[], None] = lambda: None,
        on_tick: Callable[[float], float | None] = lambda _now_s: None,
    ) -> None:
        self._address = address
        self._greeting = greeting
        self._on_message = on_message
        self._on_lost = on_lost
        self._on_tick = on_tick
        self._outbox: deque[Sequence[bytes]] = deque()
        self._bell, self._ear = socket.socketpair()
        self._bell.setblocking(False)
        self._ear.setblocking(False)
        self._rung = threading.Event()
        self._hold = threading.Lock()
        self._holder = 0
        """Thread that holds the line; only that thread itself may conclude anything from it."""
        self._dealer: zmq.backend.Socket | None = None
        """None while there is none: before and after `run`, and between two connections."""
        self._wakes_s: float | None = None
        """When the line's thread will wake by itself."""
        self._closing = False
        self._connected = False
        self._is_lost = False
        """The connection is over, and so is its socket."""

    def send(self, frames: Sequence[bytes]) -> None:
        """Queue one message; what waits when a connection opens is dropped: the welcome asks for the state anew.

        Raises BufferError past `OUTBOX_MESSAGES`.
        """
        if len(self._outbox) >= OUTBOX_MESSAGES:
            raise BufferError(f"{len(self._outbox):,} messages wait to be sent; the bound is {OUTBOX_MESSAGES:,}")
        self._outbox.append(frames)
        if threading.get_ident() != self._holder:  # the holder sends at the end of its round anyway
            self.wake()

    def flush(self) -> None:
        """Send what is queued, as far as it can be at once, instead of behind `on_tick`; for `on_tick` itself."""
        if self._dealer is not None:
            self._flush(self._dealer)

    def settle(self) -> None:
        """Do what there is to do and send it, here and now; if another thread is at it, have it go round once more."""
        if not self._hold.acquire(blocking=False):
            self.wake()
            return
        try:
            self._holder = threading.get_ident()
            dealer = self._dealer
            if dealer is None:
                return
            next_s = self._do(dealer)
            is_due = next_s is not None and (self._wakes_s is None or next_s < self._wakes_s)
            if (
                is_due or self._outbox or multipart.is_readable(dealer)
            ):  # sending may have used up the sign that something came
                self.wake()
        finally:
            self._holder = 0
            self._hold.release()

    def wake(self) -> None:
        """Make the line's thread go round once."""
        if not self._rung.is_set():
            self._rung.set()
            with contextlib.suppress(OSError):  # the line is closed, or the buffer already full of rings
                self._bell.send(b"\0")

    def close(self) -> None:
        """Make `run` send what is queued, if it can at once, and return."""
        self._closing = True
        self.wake()

    def run(self) -> None:
        """Carry messages until `close`. Blocks."""
        context = zmq.Context()
        try:
            while not self._closing:
                self._live(context)
        finally:
            context.term()
            self._bell.close()
            self._ear.close()

    def _live(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        """Carry messages over one connection, until it is lost."""
        dealer = self._open(context)
        quicken()
        monitor = dealer.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        dealer.connect(self._address)
        try:
            self._carry(zmq.backend.Socket(shadow=dealer.underlying), monitor)
        finally:
            with self._hold:
                self._dealer = None
                dealer.disable_monitor()
                monitor.close(linger=0)  # an open socket would keep `term` waiting for ever
                # The goodbye may still be on its way; what was meant for a daemon that is gone must not reach the next one.
                dealer.close(linger=0 if self._is_lost else 500)

    def _open(self, context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
        with quickened():  # with its first socket the context starts its threads
            dealer = context.socket(zmq.DEALER)
        # With 1, libzmq drops what has arrived and is not read yet when the daemon closes: its last orders, to kill say. What 1
        # is for, that nothing meant for one daemon reaches the next, is done by a socket for each connection.
        dealer.setsockopt(zmq.IMMEDIATE, 0)
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
        dealer.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_IVL_MS)
        dealer.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        dealer.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        dealer.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
        return dealer

    def _carry(self, dealer: zmq.backend.Socket, monitor: zmq.Socket[bytes]) -> None:
        ear, signs = self._ear.fileno(), int(monitor.getsockopt(zmq.FD))
        sleep = select.poll()
        for descriptor in (ear, signs, int(dealer.get(zmq.FD))):
            sleep.register(descriptor, select.POLLIN)
        ready: set[int] = {signs}
        self._dealer, self._is_lost = dealer, False
        while not self._closing and not self._is_lost:
            with self._hold:
                self._holder = threading.get_ident()
                if ear in ready:
                    self._hear_bell()
                if signs in ready:
                    self._follow(dealer, monitor)
                self._read(dealer)
                self._flush(dealer)  # an answer does not wait for what the tick finds to do
                self._wakes_s = self._do(dealer)
                patience_ms = 0 if multipart.is_readable(dealer) else self._patience_ms(self._wakes_s)
                self._holder = 0
            ready = {descriptor for descriptor, _ in sleep.poll(patience_ms)}
        with self._hold:
            self._flush(dealer)

    def _do(self, dealer: zmq.backend.Socket) -> float | None:
        next_s = self._on_tick(time.monotonic())
        self._flush(dealer)
        return next_s

    def _patience_ms(self, next_s: float | None) -> int | None:
        """Return how long the line's thread may sleep; None: until something comes."""
        if self._is_lost:
            return 0
        if self._outbox and self._connected:
            return int(RETRY_SEND_S * 1000)
        return None if next_s is None else max(0, int((next_s - time.monotonic()) * 1000) + 1)

    def _hear_bell(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._ear.recv(4096)
        self._rung.clear()  # after reading: a ring in between is silent, and its work is done in this very round

    def _follow(self, dealer: zmq.backend.Socket, monitor: zmq.Socket[bytes]) -> None:
        while monitor.poll(0):
            event = recv_monitor_message(monitor)["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._connected = True
                self._outbox.clear()  # it was meant for a daemon that is gone; what counts is replayed after the hello
                with contextlib.suppress(zmq.Again):  # it is gone already, and the next event says so
                    multipart.send(dealer, self._greeting())
            elif self._connected:
                while multipart.is_readable(dealer):
                    self._read(dealer)
                self._connected, self._is_lost = False, True
                self._on_lost()
                return

    def _read(self, dealer: zmq.backend.Socket) -> None:
        for _ in range(BATCH_MESSAGES):
            if not multipart.is_readable(dealer):
                return
            self._on_message([frame.bytes for frame in multipart.receive(dealer)])

    def _flush(self, dealer: zmq.backend.Socket) -> None:
        while self._outbox and self._connected:
            try:
                multipart.send(dealer, self._outbox[0])
            except zmq.Again:
                return
            self._outbox.popleft()


def prepare_process() -> None:
    """Set what every actor process has in common: files it creates are its owner's alone."""
    os.umask(0o077)
