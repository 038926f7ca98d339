"""The I/O thread: both ROUTER sockets, who is behind each connection, and forwarding. The only zmq in the daemon.

Covers: sockets, their options and monitors, per-peer backlogs, descriptors, the hand-over to the loop. Does not cover what
a message means: `switchboard` decides that. Why one synchronous thread: two hops cost 0.49 ms that way and 0.68 ms with an
asyncio forwarder (measured on two cores).
"""

from __future__ import annotations

import contextlib
import ctypes
import resource
import secrets
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import zmq
import zmq.backend

from inferd import multipart, wire
from inferd_actors.messages import Probe
from inferd_actors.slices import quicken, quickened
from inferd_daemon.crossing import Fact, Frames, Order, WiresFailed
from inferd_daemon.session import Peer
from inferd_daemon.switchboard import Kick, Outgoing, Switchboard

SRCFD: Final = int(zmq.SRCFD)
"""As a plain number: an enum's arithmetic costs microseconds at every message."""
HWM_MESSAGES: Final = 1_000
"""Above the 900 events that an app's windows may sum to, so an honest peer never meets it."""
MAX_FRAME_BYTES: Final = 32 * 2**20
"""Twice the announced blob: passing it costs the peer its connection, so only a hostile one does."""
HEARTBEAT_IVL_MS: Final = 2_000
HEARTBEAT_TIMEOUT_MS: Final = 6_000
"""A SIGSTOPped peer is dropped after this."""
HANDSHAKE_MS: Final = 3_000
"""How long a mute connection may hold a descriptor."""
BACKLOG: Final = 1_024
"""Connections waiting to be accepted: a storm of apps at login."""
BATCH_MESSAGES: Final = 64
"""Messages read from one socket before the other and the orders get their turn."""
RETRY_S: Final = 0.02
"""How soon a peer whose pipe was full is tried again; one ROUTER stays writable for the others, so no poll tells."""
BACKLOG_MESSAGES: Final = 4_096
"""Waiting messages of one peer: four full windows; past it the peer does not read at all and is closed."""
CONNECTIONS: Final = 1_024
"""Open ones of one socket, all of our own uid. Far below the descriptor limit (65,536), where libzmq aborts the process."""
CONNECTIONS_SHARE: Final = 4
"""Under a low descriptor limit each of the two sockets may hold this fraction of it: the other half is for connections
that were accepted and not yet counted."""
MONITOR_HWM_EVENTS: Final = 1
"""libzmq stops accepting while this many events, and the 1,000 of its own end, are unread (measured: 1,017 connections
were accepted while nobody read): what bounds the connections that are not yet counted."""
MONITOR_EVENT: Final = "=HI"
"""First frame of a monitor's message: event, value (of the two events asked for: the descriptor)."""
PROBES: Final = 5
"""So often a suspect is probed, `RETRY_S` apart; the first probe was too early in one of some twenty closes (measured)."""
COPY_BELOW_BYTES: Final = 65_536
"""Larger frames are handed over without a copy (1 MB: 178 instead of 491 us, measured)."""
PROBE_APP: Final = wire.join_events(())
PROBE_ACTOR: Final = wire.encode(Probe())
"""Messages without content: harmless to a living peer, EHOSTUNREACH for a dead one."""


@dataclass(slots=True)
class PeerLine:
    """What the thread knows about one connection."""

    address: str
    peer: Peer
    fd: int
    waiting: deque[Frames] = field(default_factory=deque)
    urgent: deque[Frames] = field(default_factory=deque)


class Router:
    """One ROUTER with its monitor: reading with identity, sending without blocking, noticing who left."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, *, probe: Frames, uid: int) -> None:
        """Bind. The caller holds the lock on the path and has removed a leftover file: binding would steal it."""
        # Generated routing ids count up from an unseeded rand(); a peer that claims the next one aborts the process.
        ctypes.CDLL(None).srand(secrets.randbits(31))
        with quickened():  # with its first socket the context starts its threads
            self.socket = context.socket(zmq.ROUTER)
        self._bare = zmq.backend.Socket(shadow=self.socket.underlying)
        for option, value in (
            (zmq.ROUTER_MANDATORY, 1),
            (zmq.SNDHWM, HWM_MESSAGES),
            (zmq.RCVHWM, HWM_MESSAGES),
            (zmq.LINGER, 0),
            (zmq.MAXMSGSIZE, MAX_FRAME_BYTES),
            (zmq.HEARTBEAT_IVL, HEARTBEAT_IVL_MS),
            (zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS),
            (zmq.HANDSHAKE_IVL, HANDSHAKE_MS),
            (zmq.BACKLOG, BACKLOG),
            (zmq.IPC_FILTER_UID, uid),
        ):
            self.socket.setsockopt(option, value)
        self.socket.setsockopt(zmq.ZAP_DOMAIN, b"inferd")  # turns ZMTP 1 and 2 peers away, which have no identity
        self.monitor = self.socket.get_monitor_socket(zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        self.monitor.setsockopt(zmq.RCVHWM, MONITOR_HWM_EVENTS)
        self.signs = int(self.monitor.getsockopt(zmq.FD))
        """Descriptor that tells when the monitor has something to say."""
        self.eye = int(self.socket.getsockopt(zmq.FD))
        """Descriptor that tells of messages; any use of the socket may use up its sign."""
        self._is_watched = False
        """No message was there when the socket was looked at last, and nobody has used it since."""
        self.socket.bind(endpoint)
        Path(endpoint.removeprefix("ipc://")).chmod(0o600)
        self._probe = probe
        self._lines: dict[bytes, PeerLine] = {}
        self._by_fd: dict[int, set[bytes]] = {}
        self._connections: set[int] = set()
        """Descriptors of open connections."""
        self._most = min(CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // CONNECTIONS_SHARE)
        self.stuck: set[bytes] = set()
        """Peers whose messages wait for room in their pipe."""
        self._suspects: dict[bytes, int] = {}
        """Peers whose descriptor was closed, or reused by them: how often they are still to be probed."""

    def read(self) -> tuple[bytes, Peer, Frames] | None:
        """Return the next message with its sender; None if there is none, or that one has no identity."""
        self._is_watched = False
        try:
            routing, *frames = multipart.receive(self._bare)
        except zmq.Again:
            return None
        peer_id = routing.bytes
        line = self._line(peer_id, frames[0]) if frames else None
        return None if line is None else (peer_id, line.peer, [_content(frame) for frame in frames])

    def may_rest(self) -> bool:
        """Return whether there is no message, and the descriptor will tell of the next one: until another use of the socket."""
        self._is_watched = self._is_watched or not multipart.is_readable(self._bare)
        return self._is_watched

    def _line(self, peer_id: bytes, frame: zmq.Frame) -> PeerLine | None:
        """Return who sent this frame, by the kernel's word on every message: a routing id can be chosen by anybody."""
        try:
            address, fd = str(frame.get("Peer-Address")), int(frame.get(SRCFD))
        except (zmq.ZMQError, ValueError):  # no handshake, so nobody vouches for it: hostile
            return None
        line = self._lines.get(peer_id)
        if line is None or line.address != address or line.fd != fd:
            self.forget(peer_id)
            line = self._lines[peer_id] = PeerLine(address, Peer.parse(address), fd)
            self._by_fd.setdefault(fd, set()).add(peer_id)
        return line

    def send(self, peer_id: bytes, frames: Frames, *, urgent: bool) -> bool:
        """Send or queue one message; return False when the peer is gone."""
        line = self._lines.get(peer_id)
        if line is None:
            return False
        if line.waiting or line.urgent:
            (line.urgent if urgent else line.waiting).append(frames)
            return len(line.waiting) + len(line.urgent) <= BACKLOG_MESSAGES and self.flush(peer_id)
        sent = self._try(peer_id, frames)
        if sent is False:
            (line.urgent if urgent else line.waiting).append(frames)
            self.stuck.add(peer_id)
        return sent is not None

    def flush(self, peer_id: bytes) -> bool:
        """Send what waits for a peer, urgent first; return False when the peer is gone."""
        line = self._lines.get(peer_id)
        if line is None:
            return False
        for queue in (line.urgent, line.waiting):
            while queue:
                sent = self._try(peer_id, queue[0])
                if sent is None:
                    return False
                if sent is False:
                    return True
                queue.popleft()
        self.stuck.discard(peer_id)
        return True

    def _try(self, peer_id: bytes, frames: Frames) -> bool | None:
        """Return True: sent. False: the pipe is full. None: nobody is there."""
        self._is_watched = False
        try:
            multipart.send(self._bare, (peer_id, *frames), copy=max(map(len, frames)) < COPY_BELOW_BYTES)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return None
        return True

    @property
    def is_waiting(self) -> bool:
        """Whether something is to be tried again soon."""
        return bool(self.stuck or self._suspects)

    def follow(self) -> None:
        """Read the monitor: who connects is counted, and whoever's descriptor closed is suspected."""
        with contextlib.suppress(zmq.Again):
            while True:
                event, fd = struct.unpack(MONITOR_EVENT, self.monitor.recv_multipart(zmq.NOBLOCK)[0])
                if event == zmq.EVENT_ACCEPTED:
                    self._count(fd)
                else:
                    self._connections.discard(fd)
                    self._suspects.update(dict.fromkeys(self._by_fd.get(fd, ()), PROBES))

    def departed(self) -> list[bytes]:
        """Return the suspects that have left: a closed descriptor is a hint, a failed send the proof.

        The monitor speaks a moment before the pipe is gone, so a send that works proves nothing yet and is repeated.
        """
        if not self._suspects:
            return []
        self._is_watched = False
        multipart.is_readable(self._bare)  # has libzmq take note of ended pipes, which a send does not always do
        gone = [peer_id for peer_id in self._suspects if self._try(peer_id, self._probe) is None]
        self._suspects = {
            peer_id: probes - 1 for peer_id, probes in self._suspects.items() if probes > 1 and peer_id not in gone
        }
        return gone

    def _count(self, fd: int) -> None:
        self._connections.add(fd)
        if len(self._connections) > self._most:
            _shut(fd)

    def forget(self, peer_id: bytes) -> None:
        """Drop everything kept about a peer."""
        self.stuck.discard(peer_id)
        self._suspects.pop(peer_id, None)
        line = self._lines.pop(peer_id, None)
        if line is not None:
            peers = self._by_fd.get(line.fd, set())
            peers.discard(peer_id)
            if not peers:
                self._by_fd.pop(line.fd, None)

    def kick(self, peer_id: bytes) -> None:
        """Close one connection; ROUTER has no call for it, so its descriptor is shut down."""
        line = self._lines.get(peer_id)
        if line is not None and self._try(peer_id, self._probe) is not None:
            _shut(line.fd)
        self.forget(peer_id)

    def close(self, linger_ms: int) -> None:
        """Close, giving what was sent this long to leave."""
        self.socket.disable_monitor()
        self.monitor.close(linger=0)
        self.socket.close(linger=linger_ms)


def _content(frame: zmq.Frame) -> bytes | memoryview:
    """Return what is in a frame: a copy of a small one, which takes a third of the time of a view (measured)."""
    return frame.bytes if len(frame) < COPY_BELOW_BYTES else frame.buffer


def _shut(fd: int) -> None:
    """End a connection; without a duplicate, for which there may be no descriptor left."""
    with contextlib.suppress(OSError):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=fd)
        try:
            connection.shutdown(socket.SHUT_RDWR)
        finally:
            connection.detach()


class Wires:
    """The thread. `start` it, `post` orders to it, receive facts in batches, `stop` it.

    `deliver(facts)` is called in the I/O thread, once per round that had any; it must only hand over.
    """

    def __init__(
        self,
        board: Switchboard,
        apps_endpoint: str,
        actors_endpoint: str,
        deliver: Callable[[Sequence[Fact]], None],
        *,
        uid: int,
    ) -> None:
        self._board = board
        self._endpoints = (apps_endpoint, actors_endpoint)
        self._uid = uid
        self._deliver = deliver
        self._orders: deque[Order] = deque()
        self._bell, self._ear = socket.socketpair()
        self._bell.setblocking(False)
        self._ear.setblocking(False)
        self._rung = False
        self._stopping = False
        self._thread = threading.Thread(target=self._live, name="wires", daemon=True)

    def start(self) -> None:
        """Bind both sockets and begin. Raises zmq.ZMQError when a path cannot be bound."""
        context = zmq.Context()
        self._context = context
        apps, actors = self._endpoints
        self._apps = Router(context, apps, probe=PROBE_APP, uid=self._uid)
        self._actors = Router(context, actors, probe=PROBE_ACTOR, uid=self._uid)
        self._thread.start()

    def post(self, orders: Sequence[Order]) -> None:
        """Hand orders over, to be carried out in this order; called by the loop, never blocks."""
        self._orders.extend(orders)
        self._ring()

    def stop(self) -> None:
        """Carry out what was posted, close the sockets and end the thread. Blocks up to a second."""
        self._stopping = True
        self._ring()
        self._thread.join()

    def _ring(self) -> None:
        if not self._rung:
            self._rung = True
            with contextlib.suppress(OSError):  # closed, or full of rings already
                self._bell.send(b"\0")

    def _live(self) -> None:
        quicken()
        try:
            self._run()
        except Exception as broken:  # noqa: BLE001 - the daemon must learn of it, whatever it is
            self._deliver([WiresFailed(f"{type(broken).__name__}: {broken}")])
        finally:
            for router in (self._apps, self._actors):
                router.close(linger_ms=500)
            self._context.term()
            self._bell.close()
            self._ear.close()

    def _run(self) -> None:
        """Sleep on bare descriptors: libzmq's own poll asks every socket twice, with two system calls each."""
        apps, actors = self._apps, self._actors
        sleep, ready = select.poll(), [apps.signs, actors.signs, apps.eye, actors.eye]
        for descriptor in (self._ear.fileno(), *ready):
            sleep.register(descriptor, select.POLLIN)
        while not self._stopping or self._orders:
            self._round(ready, time.monotonic())
            # Whatever used the sockets last may have used up their sign.
            unseen = [router.eye for router in (actors, apps) if not router.may_rest()]
            patience_ms = 0 if unseen else int(RETRY_S * 1000) if apps.is_waiting or actors.is_waiting else None
            ready = unseen + [descriptor for descriptor, _ in sleep.poll(patience_ms)]

    def _round(self, ready: Sequence[int], now_s: float) -> None:
        """Do everything that there is to do; actors first, since what they send was waited for the longest."""
        apps, actors, board = self._apps, self._actors, self._board
        if actors.eye in ready:
            self._read(actors, board.actor_said, now_s)
        if apps.eye in ready:
            self._read(apps, board.app_said, now_s)
        if self._ear.fileno() in ready:
            self._hear_bell()
        for router in (apps, actors):
            if router.signs in ready:
                router.follow()
        if apps.is_waiting:
            self._try_again(apps, board.app_gone)
        if actors.is_waiting:
            self._try_again(actors, board.actor_gone)
        if board.facts:
            facts, board.facts = board.facts, []
            self._deliver(facts)

    def _try_again(self, router: Router, gone: Callable[[bytes], None]) -> None:
        self._forget(router, router.departed(), gone)
        self._forget(router, [one for one in tuple(router.stuck) if not router.flush(one)], gone)

    def _read(self, router: Router, said: Callable[[bytes, Peer, Frames, float], None], now_s: float) -> None:
        for _ in range(BATCH_MESSAGES):
            message = router.read()
            if message is not None:
                self._obey()  # whoever speaks may have been announced by an order that was posted before
                said(*message, now_s)
                self._carry_out()
            if router.may_rest():
                return

    def _hear_bell(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._ear.recv(4_096)
        self._rung = False  # after reading: an order posted in between is carried out just now
        self._obey()

    def _obey(self) -> None:
        while self._orders:
            self._board.obey(self._orders.popleft())
            self._carry_out()

    def _forget(self, router: Router, departed: Sequence[bytes], gone: Callable[[bytes], None]) -> None:
        for peer_id in departed:
            gone(peer_id)
            router.forget(peer_id)
        self._carry_out()

    def _carry_out(self) -> None:
        """Do what the switchboard decided; a peer found missing is one more thing for it to decide."""
        board = self._board
        while board.sends:
            sends, board.sends = board.sends, []
            for act in sends:
                router = self._apps if act.to_app else self._actors
                gone = board.app_gone if act.to_app else board.actor_gone
                match act:
                    case Outgoing(peer_id=peer_id, frames=frames, control=urgent):
                        if not router.send(peer_id, frames, urgent=urgent):
                            gone(peer_id)
                            router.kick(peer_id)
                    case Kick(peer_id=peer_id):
                        gone(peer_id)
                        router.kick(peer_id)
