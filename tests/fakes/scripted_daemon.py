"""A daemon that says what a test tells it to, over a real socket: for tests of the SDK alone.

Covers: the wire's frames, the hello, and nothing else of a daemon: no queue, no model, no rules. What it hears is kept by
message class until a test asks for it; what it says, a test says, or the script given for requests.
"""

from __future__ import annotations

import queue
import socket
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

import zmq

from inferd import wire
from inferd.messages import control, events

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

M = TypeVar("M")

PATIENCE_S = 20.0
"""How long a test waits for what must come; only a failing test waits that long."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A request, and the connection on which it came."""

    peer: bytes
    request: control.Request


Script = Callable[["ScriptedDaemon", Heard], None]
"""What to do about a request; called in the daemon's thread."""


class ScriptedDaemon:
    """A ROUTER in a thread; `with` binds it and ends it. The file of an earlier one at the same path is replaced."""

    def __init__(
        self,
        path: Path,
        *,
        instance: str = "1nstance",
        protocol: int = control.PROTOCOL_VERSION,
        limits: control.Limits | None = None,
        refusal: control.Refused | None = None,
        mute: bool = False,
        script: Script | None = None,
    ) -> None:
        self._path = path
        self._welcome = control.Welcome(protocol, instance, "scripted", 1, limits or control.Limits())
        self._refusal = refusal
        self._mute = mute
        self._script = script
        self._heard: dict[type, queue.SimpleQueue[tuple[bytes, object]]] = defaultdict(queue.SimpleQueue)
        self._out: deque[list[bytes]] = deque()
        self._seqs: dict[tuple[bytes, int], int] = defaultdict(int)
        self._bell, self._ear = socket.socketpair()
        self._closing = False
        self._bound = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scripted-daemon")
        self.peer = b""
        """The connection that greeted last."""

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._bound.wait(PATIENCE_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._bell.send(b"\0")
        self._thread.join(PATIENCE_S)
        self._bell.close()
        self._ear.close()

    def next(self, kind: type[M]) -> M:
        """Return the next message of this class that no test has asked for yet; waits for it."""
        message = self._heard[kind].get(timeout=PATIENCE_S)[1]
        assert isinstance(message, kind)
        return message

    def heard_no(self, kind: type) -> bool:
        """Return whether nothing more of this class has arrived so far."""
        return self._heard[kind].empty()

    def request(self) -> Heard:
        """Return the next request; waits for it."""
        peer, request = self._heard[control.Request].get(timeout=PATIENCE_S)
        assert isinstance(request, control.Request)
        return Heard(peer, request)

    def tell(self, request: int, *said: events.Event, peer: bytes | None = None) -> None:
        """Send events of a request in one message, numbered on from its last one."""
        self.send([self.numbered(request, event, peer=peer) for event in said], peer=peer)

    def numbered(self, request: int, event: events.Event, *, peer: bytes | None = None) -> wire.PackedEvent:
        """Return an event with the next number of its stream."""
        if isinstance(event, events.STATES):
            return wire.pack_event(request, wire.STATE_SEQ, event)
        stream = peer or self.peer, request
        self._seqs[stream] += 1
        return wire.pack_event(request, self._seqs[stream], event)

    def send(self, packed: list[wire.PackedEvent], *, peer: bytes | None = None) -> None:
        """Send events as they are, in one message."""
        self.send_frames(wire.join_events(packed), peer=peer)

    def send_message(self, message: object, *, peer: bytes | None = None) -> None:
        """Send a message that is no event."""
        self.send_frames(wire.encode(message), peer=peer)

    def send_frames(self, frames: list[bytes], *, peer: bytes | None = None) -> None:
        """Send anything, to the connection that greeted last unless told otherwise."""
        self._out.append([peer or self.peer, *frames])
        if threading.current_thread() is not self._thread:
            self._bell.send(b"\0")

    # --- the thread

    def _run(self) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        router = context.socket(zmq.ROUTER)
        router.setsockopt(zmq.LINGER, 200)
        router.setsockopt(zmq.SNDHWM, 0)  # a ROUTER drops what passes the mark
        self._path.unlink(missing_ok=True)
        router.bind(f"ipc://{self._path}")
        poller = zmq.Poller()
        poller.register(router, zmq.POLLIN)
        poller.register(self._ear, zmq.POLLIN)
        self._bound.set()
        while not self._closing:
            ready = dict(poller.poll())
            if self._ear.fileno() in ready:
                self._ear.recv(4096)
            if router in ready:
                self._hear(router.recv_multipart())
            self._speak(router)
        self._speak(router)
        router.close()
        context.term()

    def _speak(self, router: zmq.Socket[bytes]) -> None:
        while self._out:
            router.send_multipart(self._out.popleft())

    def _hear(self, frames: list[bytes]) -> None:
        peer, *rest = frames
        message = wire.decode(rest, wire.FROM_APP)
        if isinstance(message, control.Hello):
            self._greet(peer)
        if isinstance(message, control.Ping) and message.model is None:
            self.send_message(control.Pong(message.nonce, self._welcome.instance), peer=peer)
        self._heard[type(message)].put((peer, message))
        if self._script and isinstance(message, control.Request):
            self._script(self, Heard(peer, message))

    def _greet(self, peer: bytes) -> None:
        self.peer = peer
        if not self._mute:
            self.send_message(self._refusal or self._welcome, peer=peer)


def answering(*said: events.Event) -> Script:
    """Return a script that accepts every request and answers it with these events."""

    def script(daemon: ScriptedDaemon, heard: Heard) -> None:
        daemon.tell(heard.request.id, events.Accepted("trace-1"), *said, peer=heard.peer)

    return script
