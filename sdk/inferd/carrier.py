"""The sockets of one client's line to the daemon: all zmq of the SDK stands here.

Covers: socket options, the monitor, waiting for any of them, what zmq did not take yet. Does not cover who calls, and when:
that is `pump`, which lets one thread in at a time. Does not cover decisions: `session` takes them all.
"""

from __future__ import annotations

import os
import select
import struct
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import zmq

from inferd import multipart
from inferd.effects import NEVER_S
from inferd.session import Phase

if TYPE_CHECKING:
    from inferd.doorbell import Doorbell
    from inferd.session import Session

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

MONITOR_EVENT: Final = "=HI"
"""First frame of a monitor's message: event, value. Read here because zmq.utils.monitor would import asyncio: 37 ms."""

POLLIN: Final = int(zmq.POLLIN)
POLLOUT: Final = int(zmq.POLLOUT)
"""Plain numbers: arithmetic with the library's enums costs microseconds."""

_contexts: dict[int, zmq.Context[zmq.Socket[bytes]]] = {}
"""pid → the process's context. One inherited by fork stays here unused: using or ending it would hang."""

Ready = Sequence[int]
"""What a rest has found: descriptors that are readable."""


class Carrier:
    """One connection to the daemon: what is pushed is sent, what arrives is shown to the session. For one thread at a time.

    It waits for a daemon as long as it takes. Once a connection broke it is over, and another one is needed.
    """

    def __init__(self, where: str, session: Session, bell: Doorbell) -> None:
        self._dealer = _dealer()
        self._monitor = self._dealer.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        self._dealer.connect(f"ipc://{where}")
        self._session = session
        self._bell = bell
        self._ear = bell.ear.fileno()
        self._signs = int(self._monitor.getsockopt(zmq.FD))
        self.eye = int(self._dealer.getsockopt(zmq.FD))
        """Descriptor that tells of messages; any use of the socket may use up its sign, so look again after each."""
        self._sleep, self._vigil = _poll(self._ear, self._signs, self.eye), _poll(self._ear, self._signs)
        self._outbox: deque[list[bytes]] = deque()
        """What zmq did not take yet: bounded by the requests in flight and their uplink windows."""
        self._is_watched = False
        """No message was there at the last look, and nothing has used the socket since: `eye` tells of the next one."""
        self._is_new = True
        """Nobody has asked the monitor yet: only one that was found empty gives a sign."""
        self.is_over = False

    def push(self, messages: Iterable[list[bytes]]) -> None:
        """Send these, behind what waits for room; what finds none waits too."""
        self._outbox.extend(messages)
        while self._outbox:
            self._is_watched = False
            try:
                multipart.send(self._dealer, self._outbox[0])
            except zmq.Again:
                return  # the poll reports when there is room
            self._outbox.popleft()

    def rest(self, until_s: float) -> Ready:
        """Sleep until something happens, or until then, and return what did; nothing is changed by it.

        On bare descriptors: libzmq's own poll asks every socket twice, with two system calls each.
        """
        return _readable(self._sleep, 0 if self._is_new or self.is_ready else _patience_ms(until_s))

    def watch_over(self, until_s: float) -> Ready:
        """Sleep likewise, outside of libzmq and blind to messages: beside a thread that uses the sockets."""
        return _readable(self._vigil, _patience_ms(until_s))

    @property
    def is_ready(self) -> bool:
        """Whether there is a message, or room for what waits. False: `eye` tells of the next message."""
        if not self._outbox:
            return not self._may_rest()
        return bool(int(self._dealer.getsockopt(zmq.EVENTS)) & (POLLIN | POLLOUT))

    def show(self, ready: Ready) -> None:
        """Read what a rest has found, and messages."""
        if self.eye in ready or not self._may_rest():
            self._read()
        if self._is_new or self._signs in ready:
            self._follow()
        if self._ear in ready:
            self._bell.hush()

    def _may_rest(self) -> bool:
        self._is_watched = self._is_watched or not multipart.is_readable(self._dealer)
        return self._is_watched

    def close(self) -> None:
        """Close the sockets; what was handed over just now may linger for `GOODBYE_MS`. Again, it does nothing."""
        self._outbox.clear()
        if not self._dealer.closed:
            self._dealer.disable_monitor()
            self._monitor.close()
            self._dealer.close(linger=GOODBYE_MS)

    def _follow(self) -> None:
        self._is_new = False
        while not self.is_over and self._monitor.poll(0):
            kind, _ = struct.unpack(MONITOR_EVENT, self._monitor.recv_multipart()[0])
            if kind == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._session.connected()
            else:
                while multipart.is_readable(self._dealer):  # what was said before: often the end of a request
                    self._read()
                self._session.disconnected(time.monotonic())
                self.is_over = True

    def _read(self) -> None:
        """Read what there is, if there is something: the eye may tell of what was read already."""
        now_s = time.monotonic()
        self._is_watched = False
        for _ in range(BATCH_MESSAGES):
            try:
                frames = multipart.receive(self._dealer)
            except zmq.Again:
                return
            peer_uid = None if self._session.phase is Phase.UP else _peer_uid(frames[0])
            self._session.receive([frame.bytes for frame in frames], peer_uid, now_s)
            if self._may_rest():
                return


def _poll(*descriptors: int) -> select.poll:
    made = select.poll()
    for descriptor in descriptors:
        made.register(descriptor, select.POLLIN)
    return made


def _readable(sleep: select.poll, patience_ms: int | None) -> Ready:
    return [descriptor for descriptor, _ in sleep.poll(patience_ms)]


def _patience_ms(until_s: float) -> int | None:
    if until_s == NEVER_S:
        return None
    return max(0, int((until_s - time.monotonic()) * 1000) + 1)


def _context() -> zmq.Context[zmq.Socket[bytes]]:
    """Return the process's context, shared by all clients: one libzmq I/O thread serves them all."""
    pid = os.getpid()
    return _contexts.get(pid) or _contexts.setdefault(pid, zmq.Context())


def _dealer() -> zmq.Socket[bytes]:
    dealer = _context().socket(zmq.DEALER)
    for option, value in (
        # With 1, what has arrived and is not read yet is dropped when the daemon closes (seen: 200 of 200 messages). What 1 is
        # for, that nothing sent into a broken connection runs when the daemon is back, is done by a socket for each connection.
        (zmq.IMMEDIATE, 0),
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
