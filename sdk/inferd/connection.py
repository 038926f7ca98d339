"""One client's line to the daemon: one thread that owns one ZeroMQ socket. All zmq of the SDK stands here.

Covers: socket options, the thread, reconnecting, exit. Does not cover decisions: `session` takes them all. Both clients
use it; they differ in how deliveries cross to them (`post`). See also: `line`, which survives fork.

Why a thread for an asyncio client too: a ZeroMQ socket in an event loop costs 100 to 200 us more per hop, and its
edge-triggered descriptor loses wake-ups unless every use of the socket is followed by another look.
"""

from __future__ import annotations

import atexit
import os
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import zmq

from inferd.calls import Close, Item, Mailbox, Open, Probe
from inferd.doorbell import Doorbell
from inferd.effects import NEVER_S
from inferd.errors import ConnectionLost
from inferd.session import Phase, Session

if TYPE_CHECKING:
    from inferd.calls import Command
    from inferd.drafts import Draft

Post = Callable[[dict[Mailbox, list[Item]]], None]
"""Takes deliveries across to the app; called in the I/O thread, must not block."""

HEARTBEAT_IVL_MS: Final = 2_000
HEARTBEAT_TIMEOUT_MS: Final = 6_000
"""A stopped daemon is noticed after this; both figures are the gateway's own."""
HANDSHAKE_IVL_MS: Final = 3_000
RECONNECT_MS: Final = 50
RECONNECT_MAX_MS: Final = 1_000
MAX_FRAME_BYTES: Final = 32 * 2**20
"""Twice the largest blob that a well-behaved daemon sends."""
HIGH_WATER_MESSAGES: Final = 1_000
"""libzmq's own default, said aloud: one client's windows sum to 900 events and stay below it."""
BATCH_MESSAGES: Final = 64
"""Messages read before what they caused is delivered and sent: shares wake-ups, and stays far below a millisecond."""
GOODBYE_MS: Final = 200
"""How long a goodbye may linger after closing, which itself does not wait."""
JOIN_S: Final = 2.0
"""Longest wait for the thread at close and exit; it only has to finish a batch."""

MONITOR_EVENT: Final = "=HI"
"""First frame of a monitor's message: event, value. Read here because zmq.utils.monitor would import asyncio: 37 ms."""

_contexts: dict[int, zmq.Context[zmq.Socket[bytes]]] = {}
"""pid → the process's context. One inherited by fork stays here unused: using or ending it would hang."""
_running: set[Connection] = set()
"""What has to be stopped at exit: a thread inside libzmq must not meet the end of the interpreter."""


class Connection:
    """A session driven by a thread, which starts with the first call. Of no use in a forked child.

    Every method may be called from any thread; only `join` blocks. A connection that was shut stays shut.
    """

    def __init__(self, session: Session, where: str, post: Post) -> None:
        self.pid = os.getpid()
        self._session = session
        self._where = where
        self._post = post
        self._commands: deque[Command] = deque()
        self._lock = threading.Lock()
        self._count = 0
        self._shut = False
        self._bell: Doorbell | None = None
        self._thread: threading.Thread | None = None

    def open(
        self, draft: Draft, mailbox: Mailbox, grants: Mailbox | None = None, *, progress_extends: bool = False
    ) -> int:
        """Begin a request and return its number. Raises ConnectionLost after `shut`."""
        with self._lock:  # numbers grow in the order in which the commands stand
            number = self._number()
            self._commands.append(Open(number, draft, mailbox, grants, progress_extends))
        self._ring()
        return number

    def probe(self, model: str | None, timeout_s: float, mailbox: Mailbox) -> None:
        """Send a ping; its pong, or an error, goes to `mailbox`. Raises ConnectionLost after `shut`."""
        with self._lock:
            self._commands.append(Probe(self._number(), model, timeout_s, mailbox))
        self._ring()

    def tell(self, command: Command) -> None:
        """Pass on a command about an open request. Fit for finalizers: takes no lock. In a forked child: nothing."""
        if self.pid == os.getpid():
            self._commands.append(command)
            self._ring()

    def shut(self) -> None:
        """Begin the end: every open call ends, then the thread."""
        if self.pid == os.getpid():
            with self._lock:
                self._shut = True
            self.tell(Close())

    def join(self) -> None:
        """Wait until the thread has ended, at most `JOIN_S`."""
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join(JOIN_S)

    def _number(self) -> int:
        if self._shut:
            raise ConnectionLost("this client is closed: make a new one", retryable=False, details={"started": False})
        if self._thread is None:
            self._bell = Doorbell()
            self._thread = threading.Thread(target=self._run, args=(self._bell,), name="inferd-line", daemon=True)
            _running.add(self)
            self._thread.start()
        self._count += 1
        return self._count

    def _ring(self) -> None:
        if self._bell:
            self._bell.ring()

    def _run(self, bell: Doorbell) -> None:
        try:
            self._carry(_Carrier(self._where, bell, self._session, self._post))
        finally:  # after a fault of ours, too: nobody may wait for an answer that cannot come
            with self._lock:
                self._shut = True
            self._session.close()
            self._obey()
            self._post(self._session.take()[1])
            bell.close()
            _running.discard(self)

    def _carry(self, carrier: _Carrier) -> None:
        try:
            while True:
                self._obey()
                carrier.push()
                if self._session.closed:
                    return
                carrier.rest(unless=self._commands)
        finally:
            carrier.close()

    def _obey(self) -> None:
        now_s = time.monotonic()
        while self._commands:
            self._session.obey(self._commands.popleft(), now_s)
        self._session.tick(now_s)


class _Carrier:
    """The I/O thread's hands: what the session wants sent is sent, what arrives is shown to it."""

    def __init__(self, where: str, bell: Doorbell, session: Session, post: Post) -> None:
        self._dealer = _dealer()
        self._monitor = self._dealer.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        self._dealer.connect(f"ipc://{where}")
        self._bell = bell
        self._session = session
        self._post = post
        self._outbox: deque[list[bytes]] = deque()
        """What zmq did not take yet: bounded by the requests in flight and their uplink windows."""

    def push(self) -> None:
        """Hand over what the session has for the app and for the daemon."""
        outgoing, deliveries = self._session.take()
        if deliveries:
            self._post(deliveries)
        self._outbox.extend(outgoing)
        while self._outbox:
            try:
                self._dealer.send_multipart(self._outbox[0], zmq.NOBLOCK)
            except zmq.Again:
                return  # the poll reports when there is room
            self._outbox.popleft()

    def rest(self, *, unless: deque[Command]) -> None:
        """Sleep until something happens and show it to the session; do not sleep if there are commands."""
        ear = self._bell.ear.fileno()
        flags = zmq.POLLIN | zmq.POLLOUT if self._outbox else zmq.POLLIN
        sources: list[Any] = [(self._dealer, flags), (self._monitor, zmq.POLLIN), (ear, zmq.POLLIN)]
        self._bell.doze()
        ready: dict[Any, int] = dict(zmq.zmq_poll(sources, 0 if unless else self._patience_ms()))
        if ear in ready:
            self._bell.rise()
        if self._monitor in ready:
            self._follow()
        if ready.get(self._dealer, 0) & zmq.POLLIN:
            self._read()

    def close(self) -> None:
        """Close the sockets; what was handed over just now may linger for `GOODBYE_MS`."""
        self._dealer.disable_monitor()
        self._monitor.close()
        self._dealer.close(linger=GOODBYE_MS)

    def _patience_ms(self) -> int:
        if self._session.next_s == NEVER_S:
            return -1
        return max(0, int((self._session.next_s - time.monotonic()) * 1000) + 1)

    def _follow(self) -> None:
        while self._monitor.poll(0):
            self._outbox.clear()  # meant for a connection that is gone; the session says what to send again
            kind, _ = struct.unpack(MONITOR_EVENT, self._monitor.recv_multipart()[0])
            if kind == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._session.connected()
            else:
                self._session.disconnected(time.monotonic())

    def _read(self) -> None:
        now_s = time.monotonic()
        for _ in range(BATCH_MESSAGES):
            try:
                if self._session.phase is Phase.UP:
                    self._session.receive(self._dealer.recv_multipart(zmq.NOBLOCK), None, now_s)
                else:
                    frames = self._dealer.recv_multipart(zmq.NOBLOCK, copy=False)
                    self._session.receive([frame.bytes for frame in frames], _peer_uid(frames[0]), now_s)
            except zmq.Again:
                return


def _context() -> zmq.Context[zmq.Socket[bytes]]:
    """Return the process's context, shared by all clients: one libzmq I/O thread serves them all."""
    pid = os.getpid()
    return _contexts.get(pid) or _contexts.setdefault(pid, zmq.Context())


def _dealer() -> zmq.Socket[bytes]:
    dealer = _context().socket(zmq.DEALER)
    for option, value in (
        (zmq.IMMEDIATE, 1),  # else requests queue while the daemon is down, and run when it is back
        (zmq.LINGER, 0),
        (zmq.HEARTBEAT_IVL, HEARTBEAT_IVL_MS),
        (zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS),
        (zmq.HANDSHAKE_IVL, HANDSHAKE_IVL_MS),
        (zmq.RECONNECT_IVL, RECONNECT_MS),
        (zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS),
        (zmq.MAXMSGSIZE, MAX_FRAME_BYTES),
        (zmq.SNDHWM, HIGH_WATER_MESSAGES),
        (zmq.RCVHWM, HIGH_WATER_MESSAGES),
    ):
        dealer.setsockopt(option, value)
    return dealer


def _peer_uid(frame: zmq.Frame) -> int | None:
    """Return the uid of the process that listens at the other end, as the kernel tells it; None if it does not."""
    try:
        address = frame.get("Peer-Address")
        return int(str(address).rsplit(":", 3)[-3])  # localhost:UID:GID:PID, the pid empty on macOS
    except (zmq.ZMQError, ValueError, IndexError):
        return None


@atexit.register
def _stop_all() -> None:
    """Stop the threads while the interpreter is whole; in a forked child they are not running."""
    stopping = list(_running)
    for connection in stopping:
        connection.shut()
    for connection in stopping:
        connection.join()
