"""A child of `bench_crowd`: many apps that speak the wire themselves, to see what the SDK would not show.

The SDK drops an event that comes twice. Here every sequence number is compared with the one before it, and every terminal
event is counted. One thread, one DEALER per app. `wire_apps.py SOCKET PREFIX APPS`; the one order is `stream`.
"""

from __future__ import annotations

import secrets
import sys
import time
from dataclasses import dataclass, field
from typing import Final

import zmq
from child import Json, say, serve
from nonce import Tally, text

from inferd import wire
from inferd.drafts import generate_draft
from inferd.messages import control
from inferd.messages.events import TERMINALS, Finished, TextDelta

WINDOW_EVENTS: Final = 80
"""Of each stream: ten of them stay below the 900 of an app."""
WINDOW_BYTES: Final = 2**30
"""Never the limit here."""
PATIENCE_MS: Final = 30_000


@dataclass(slots=True)
class Stream:
    """One request and what came for it."""

    sent: str
    seen_seq: int = 0
    credited_seq: int = 0
    pieces: list[str] = field(default_factory=list)
    ends: int = 0


class App:
    """One app: its line and its streams by request number."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], socket: str, name: str) -> None:
        self.name = name
        self.dealer = context.socket(zmq.DEALER)
        self.dealer.connect(f"ipc://{socket}")
        self.streams: dict[int, Stream] = {}
        self._numbers = 0
        self._send(control.Hello(1, control.PROTOCOL_VERSION, name, secrets.token_hex(16)))
        welcome = wire.decode(self.dealer.recv_multipart(), wire.TO_APP)
        if not isinstance(welcome, control.Welcome):
            raise TypeError(f"greeted with {welcome}")

    def open(self, model: str, number: int, words: int) -> None:
        """Ask for one stream."""
        self._numbers += 1
        self.streams[self._numbers] = stream = Stream(text(self.name, number, words))
        draft = generate_draft(stream.sent, {}, timeout_s=60.0, priority="interactive", model=model)
        window = control.Window(WINDOW_EVENTS, WINDOW_BYTES)
        self.dealer.send_multipart(draft.frames(self._numbers, window, time.monotonic()))

    def read(self, tally: Tally) -> int:
        """Take what has arrived; return how many streams have ended for the first time."""
        ended = 0
        while self.dealer.poll(0):
            frames = self.dealer.recv_multipart()
            header = wire.header_of(frames)
            if header["type"] != wire.EVENTS_TYPE:
                tally.fault(f"{self.name}: {header}")
                continue
            for arrival in wire.split_events(header, frames[1:]):
                ended += self._take(arrival, tally)
        return ended

    def _take(self, arrival: wire.Arrival, tally: Tally) -> bool:
        stream, event = self.streams[arrival.request], arrival.event
        if arrival.seq != wire.STATE_SEQ:
            if stream.ends or arrival.seq != stream.seen_seq + 1:
                tally.fault(f"{self.name}/{arrival.request}: event {arrival.seq} after {stream.seen_seq}")
            stream.seen_seq = arrival.seq
            self._credit(arrival.request, stream)
        if isinstance(event, TextDelta):
            stream.pieces.append(event.text)
        elif isinstance(event, TERMINALS):
            stream.ends += 1
            if not isinstance(event, Finished):
                tally.fault(f"{self.name}/{arrival.request}: {event}")
            return stream.ends == 1
        return False

    def _credit(self, request: int, stream: Stream) -> None:
        """Move the window on, half of it at a time."""
        if stream.seen_seq - stream.credited_seq >= WINDOW_EVENTS // 2:
            stream.credited_seq = stream.seen_seq
            self._send(control.Credit(request, stream.seen_seq, stream.seen_seq + WINDOW_EVENTS, WINDOW_BYTES))

    def _send(self, message: object) -> None:
        self.dealer.send_multipart(wire.encode(message))


class Apps:
    """The apps of this process."""

    def __init__(self, socket: str, names: list[str]) -> None:
        context = zmq.Context()
        self._apps = {app.dealer: app for app in (App(context, socket, name) for name in names)}
        self._poller = zmq.Poller()
        for dealer in self._apps:
            self._poller.register(dealer, zmq.POLLIN)

    def answer(self, order: Json) -> Json:
        """Run streams of every app at once, to their ends."""
        tally = Tally()
        began_s, cpu_s = time.monotonic(), time.process_time()
        open_streams = len(self._apps) * order["streams"]
        for app in self._apps.values():
            for number in range(order["streams"]):
                app.open(order["model"], number, order["words"])
        while open_streams:
            ready = self._poller.poll(PATIENCE_MS)
            if not ready:
                tally.fault(f"{open_streams} streams gave nothing for {PATIENCE_MS} ms")
                break
            open_streams -= sum(self._apps[dealer].read(tally) for dealer, _ in ready)
        for app in self._apps.values():
            app.read(tally)  # what comes after the last end would be one too many
            for number, stream in app.streams.items():
                name = f"{app.name}/{number}"
                tally.book(name, stream.sent, "".join(stream.pieces), stream.seen_seq, stream.ends)
            app.streams.clear()
        return tally.as_answer(time.process_time() - cpu_s) | {"wall_s": time.monotonic() - began_s}


if __name__ == "__main__":
    apps = Apps(sys.argv[1], [f"{sys.argv[2]}{number}" for number in range(int(sys.argv[3]))])
    say(ready=True)
    serve(apps.answer)
