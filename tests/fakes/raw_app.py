"""An app made of frames alone: says to a real daemon what the SDK never would, and tells what came back.

`RawApp` speaks ZMTP through libzmq; `RawApp.throw` sends any frames, `ask` any request. It never reconnects, so that being
cut off is seen.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgpack
import zmq

from inferd import wire
from inferd.messages import control, events

PATIENCE_MS: Final = 30_000
"""A hang is a failure; a loaded machine is not."""
ECHO: Final = "inferd/echo:default"
HELLO: Final = {"protocol_min": 1, "protocol_max": 1, "app": "raw"}

T = TypeVar("T")


def packed(value: object) -> bytes:
    """Return any msgpack value, checked by nobody; bytes inside a string's place stay what they are."""
    made: bytes = msgpack.packb(value, use_bin_type=True)
    return made


def request(number: object, body: object, **envelope: object) -> dict[str, object]:
    """Return the fields of a `generate` request to `echo`; anything can be replaced by keyword."""
    usual: dict[str, object] = {
        "type": "request",
        "id": number,
        "op": "generate",
        "body": body,
        "window": {"limit_seq": 64, "limit_bytes": 1 << 20},
        "timeout_ms": 60_000,
        "model": ECHO,
    }
    return {**usual, **envelope}


def words(text: str) -> dict[str, object]:
    """Return the body of a `generate` with one user message."""
    return {"messages": [{"role": "user", "content": text}]}


class RawApp:
    """One connection. Used as a context; `greet`: say hello first and be welcome."""

    def __init__(
        self, socket: Path, *, greet: bool = True, session: str | None = None, routing_id: bytes = b""
    ) -> None:
        self.session = session or secrets.token_hex(16)
        self.arrivals: deque[wire.Arrival] = deque()
        self.answers: deque[object] = deque()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._line = self._context.socket(zmq.DEALER)
        self._line.setsockopt(zmq.RECONNECT_IVL, -1)
        if routing_id:
            self._line.setsockopt(zmq.ROUTING_ID, routing_id)
        self._monitor = self._line.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._line.connect(f"ipc://{socket}")
        if greet:
            self.greet()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Vanish, without a goodbye."""
        self._line.disable_monitor()
        self._monitor.close(linger=0)
        self._context.destroy(linger=0)

    # --- saying

    def throw(self, *frames: bytes) -> bool:
        """Send any frames; return whether the connection still took them."""
        while True:
            try:
                self._line.send_multipart(frames, zmq.NOBLOCK)
            except zmq.Again:
                ready = zmq.zmq_poll([(self._line, zmq.POLLOUT), (self._monitor, zmq.POLLIN)], PATIENCE_MS)
                assert ready, "the daemon neither reads nor closes"
                if self.is_cut:
                    return False
            else:
                return True

    def put(self, fields: Mapping[Any, object], *blobs: bytes) -> None:
        """Send any map as a header."""
        self.throw(packed(fields), *blobs)

    def say(self, message: object) -> None:
        """Send a message of the protocol."""
        self.throw(*wire.encode(message))

    def greet(self, **fields: object) -> object:
        """Say hello and return the answer."""
        self.put({"type": "hello", "app_session": self.session, **HELLO, **fields})
        return self.hear(object)

    def ask(self, number: object, body: object, **envelope: object) -> None:
        """Send a request whose every part may be wrong."""
        self.put(request(number, body, **envelope))

    # --- hearing

    def hear(self, kind: type[T]) -> T:
        """Return the next message that is no event; it must be of this class."""
        while not self.answers:
            self._receive()
        answer = self.answers.popleft()
        assert isinstance(answer, kind), answer
        return answer

    def event(self, number: int | None = None) -> wire.Arrival:
        """Return the next event of a request, or of any; those of others are kept."""
        while True:
            for arrival in self.arrivals:
                if number in (None, arrival.request):
                    self.arrivals.remove(arrival)
                    return arrival
            self._receive()

    def numbered(self) -> wire.Arrival:
        """Return the next event that is no state."""
        while (arrival := self.event()).seq == wire.STATE_SEQ:
            continue
        return arrival

    def end(self, number: int) -> events.Terminal:
        """Return the terminal event of a request; its other events are thrown away."""
        while not isinstance(event := self.event(number).event, events.TERMINALS):
            continue
        return event

    def failure(self, number: int) -> events.Error:
        """Return the error that ends a request."""
        end = self.end(number)
        assert isinstance(end, events.Error), end
        return end

    def text(self, number: int) -> str:
        """Return the whole text of a request that must end well."""
        pieces = []
        while not isinstance(event := self.event(number).event, events.TERMINALS):
            if isinstance(event, events.TextDelta):
                pieces.append(event.text)
        assert isinstance(event, events.Finished), event
        return "".join(pieces)

    def refusal(self) -> control.Refused:
        """Return the `refused` that comes next."""
        return self.hear(control.Refused)

    def is_heard(self) -> bool:
        """Whether this connection still stands and is answered; fails on anything else that came in between."""
        nonce = secrets.randbits(32)
        self.say(control.Ping(nonce))
        return self.hear(control.Pong).nonce == nonce

    def await_cut(self) -> None:
        """Return once the daemon has closed this connection."""
        assert self._monitor.poll(PATIENCE_MS), "the daemon did not close the connection"

    @property
    def is_cut(self) -> bool:
        """Whether the daemon has closed this connection."""
        return bool(self._monitor.poll(0))

    def unread(self) -> list[str]:
        """Return the types of the messages that have come and that nobody has taken, and throw them away."""
        types = [wire.tag(type(answer)) for answer in self.answers]
        while self._line.poll(0):
            types.append(wire.header_of(self._line.recv_multipart())["type"])
        return types

    def _receive(self) -> None:
        ready = dict(zmq.zmq_poll([(self._line, zmq.POLLIN), (self._monitor, zmq.POLLIN)], PATIENCE_MS))
        cause = "the connection was closed" if ready else f"nothing came but {list(self.answers)}"
        assert self._line in ready, cause
        frames = self._line.recv_multipart()
        header = wire.header_of(frames)
        if header["type"] == wire.EVENTS_TYPE:
            self.arrivals += wire.split_events(header, frames[1:])
        else:
            self.answers.append(wire.decode(frames, wire.TO_APP))
