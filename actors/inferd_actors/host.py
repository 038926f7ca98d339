"""An actor's line to the daemon: connects out, greets on every connection, carries messages both ways.

Covers: the only socket of an actor process (and of the keeper), its one thread, reconnecting. Does not cover what is said:
the keeper, `model` and the service actors bring their own `on_message`. See also: `sdk/PROTOCOL.md` part II.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import zmq
from zmq.utils.monitor import recv_monitor_message

from inferd import multipart
from inferd_actors.messages import Kind

Frames = list[bytes]

POLLIN, EVENTS = (int(one) for one in (zmq.POLLIN, zmq.EVENTS))
"""As plain numbers: an enum's arithmetic costs microseconds at every message."""
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
    gpu_share: float = 0.0


class Line:
    """One connection to the daemon, owned by the thread that calls `run`.

    `greeting()` makes the hello's frames, on each connection anew. `on_message(frames)`, `on_lost()` and `on_tick(now_s)`
    are called in the owning thread; `on_tick` runs after every wake-up and returns when it wants the next one (None: not
    by the clock). `send`, `wake` and `close` may be called from any thread and never block.
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
        self._owner = 0
        self._closing = False
        self._connected = False

    def send(self, frames: Sequence[bytes]) -> None:
        """Queue one message; what waits when a connection opens is dropped: the welcome asks for the state anew.

        Raises BufferError past `OUTBOX_MESSAGES`.
        """
        if len(self._outbox) >= OUTBOX_MESSAGES:
            raise BufferError(f"{len(self._outbox):,} messages wait to be sent; the bound is {OUTBOX_MESSAGES:,}")
        self._outbox.append(frames)
        if threading.get_ident() != self._owner:  # the owner sends at the end of its round anyway
            self.wake()

    def wake(self) -> None:
        """Make the owning thread go round once."""
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
        self._owner = threading.get_ident()
        context = zmq.Context()
        dealer = self._open(context)
        monitor = dealer.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        dealer.connect(self._address)
        try:
            self._carry(dealer, monitor)
        finally:
            dealer.disable_monitor()
            monitor.close(linger=0)  # an open socket would keep `term` waiting for ever
            dealer.close(linger=500)  # the goodbye may still be on its way
            context.term()
            self._bell.close()
            self._ear.close()

    def _open(self, context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
        dealer = context.socket(zmq.DEALER)
        dealer.setsockopt(zmq.IMMEDIATE, 1)
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
        dealer.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_IVL_MS)
        dealer.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        dealer.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        dealer.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
        return dealer

    def _carry(self, dealer: zmq.Socket[bytes], monitor: zmq.Socket[bytes]) -> None:
        ear = self._ear.fileno()
        readable: list[tuple[Any, int]] = [(one, POLLIN) for one in (ear, monitor, dealer)]
        next_s: float | None = None
        while not self._closing:
            for source, _ in zmq.zmq_poll(readable, self._patience_ms(next_s)):
                if source is dealer:
                    self._read(dealer)
                    self._flush(dealer)  # an answer does not wait for what the tick finds to do
                elif source is monitor:
                    self._follow(dealer, monitor)
                else:
                    self._hear_bell()
            next_s = self._on_tick(time.monotonic())
            self._flush(dealer)
        self._flush(dealer)

    def _patience_ms(self, next_s: float | None) -> int:
        if self._outbox and self._connected:
            return int(RETRY_SEND_S * 1000)
        return -1 if next_s is None else max(0, int((next_s - time.monotonic()) * 1000) + 1)

    def _hear_bell(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._ear.recv(4096)
        self._rung.clear()  # after reading: a ring in between is silent, and its work is done in this very round

    def _follow(self, dealer: zmq.Socket[bytes], monitor: zmq.Socket[bytes]) -> None:
        while monitor.poll(0):
            event = recv_monitor_message(monitor)["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._connected = True
                self._outbox.clear()  # it was meant for a daemon that is gone; what counts is replayed after the hello
                with contextlib.suppress(zmq.Again):  # it is gone already, and the next event says so
                    multipart.send(dealer, self._greeting())
            elif self._connected:
                self._connected = False
                self._on_lost()

    def _read(self, dealer: zmq.Socket[bytes]) -> None:
        for _ in range(BATCH_MESSAGES):
            self._on_message([frame.bytes for frame in multipart.receive(dealer)])
            if not int(dealer.getsockopt(EVENTS)) & POLLIN:  # cheaper than an exception after every batch
                return

    def _flush(self, dealer: zmq.Socket[bytes]) -> None:
        while self._outbox and self._connected:
            try:
                multipart.send(dealer, self._outbox[0])
            except zmq.Again:
                return
            self._outbox.popleft()


def prepare_process() -> None:
    """Set what every actor process has in common: files it creates are its owner's alone."""
    os.umask(0o077)
