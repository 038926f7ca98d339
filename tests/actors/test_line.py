"""An actor's line to the daemon, over real sockets: last orders, the connection after it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq
from waiting import until

from inferd_actors.host import Line

PATIENCE_MS = 30_000
ORDERS = 200


class Daemon:
    """The daemon's end: a bare ROUTER that knows one peer by its greeting."""

    def __init__(self, address: str) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.router = self.context.socket(zmq.ROUTER)
        self.router.bind(address)
        self.peer, self.greeting = self.read()

    def read(self) -> tuple[bytes, bytes]:
        assert self.router.poll(PATIENCE_MS), "nothing came"
        peer, frame = self.router.recv_multipart()
        return peer, frame

    def order(self, text: str) -> None:
        self.router.send_multipart([self.peer, text.encode()])

    def close(self) -> None:
        """Leave as the daemon does: what was sent may still go out."""
        self.router.close(linger=PATIENCE_MS)
        self.context.term()


class Actor:
    """A line in a thread of its own that can be kept from reading on."""

    def __init__(self, address: str) -> None:
        self.heard: list[str] = []
        self.lost = threading.Event()
        self.may_read = threading.Event()
        self.may_read.set()
        self.line = Line(address, greeting=lambda: [b"hello"], on_message=self._hear, on_lost=self.lost.set)
        self.thread = threading.Thread(target=self.line.run)

    def _hear(self, frames: list[bytes]) -> None:
        self.heard.append(frames[0].decode())
        assert self.may_read.wait(PATIENCE_MS / 1000)


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/s"


@contextmanager
def living(address: str) -> Iterator[Actor]:
    actor = Actor(address)
    actor.thread.start()
    try:
        yield actor
    finally:
        actor.may_read.set()
        actor.line.close()
        actor.thread.join(PATIENCE_MS / 1000)
        assert not actor.thread.is_alive()


def test_the_last_orders_of_a_daemon_that_leaves_are_heard_and_the_next_one_is_greeted(address: str) -> None:
    with living(address) as actor:
        daemon = Daemon(address)
        actor.may_read.clear()
        orders = [str(number) for number in range(ORDERS)]
        for order in orders:
            daemon.order(order)
        daemon.close()
        assert actor.heard in ([], ["0"])
        actor.may_read.set()
        assert actor.lost.wait(PATIENCE_MS / 1000)
        assert actor.heard == orders
        later = Daemon(address)
        assert later.greeting == b"hello"
        later.close()


def test_what_was_meant_for_one_daemon_does_not_reach_the_next(address: str) -> None:
    with living(address) as actor:
        daemon = Daemon(address)
        actor.line.send([b"for the first"])
        assert daemon.read() == (daemon.peer, b"for the first")
        actor.may_read.clear()
        daemon.order("wait")
        until(lambda: actor.heard == ["wait"], "it is busy")
        daemon.close()
        actor.line.send([b"for the first, too late"])
        actor.may_read.set()
        assert actor.lost.wait(PATIENCE_MS / 1000)
        actor.line.send([b"before there is a second"])
        later = Daemon(address)
        assert later.greeting == b"hello"
        actor.line.send([b"for the second"])
        assert later.read() == (later.peer, b"for the second")
        later.order("welcome")
        until(lambda: actor.heard == ["wait", "welcome"], "it hears the second")
        later.close()


def test_a_line_that_is_closed_while_nobody_listens_ends(address: str) -> None:
    with living(address) as actor:
        actor.line.send([b"nobody hears"])
