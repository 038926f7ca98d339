"""The I/O thread on real sockets: identity, bad peers, forwarding, and peers that leave."""

from __future__ import annotations

import os
import queue
import secrets
import socket
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest
import zmq

from inferd import wire
from inferd.errors import ModelNotFound
from inferd.messages import control
from inferd.messages.events import Accepted, Error, Finished, TextDelta
from inferd.messages.operations import Generate, Message
from inferd_actors import messages as actors
from inferd_daemon.crossing import (
    ActorCame,
    ActorLost,
    AppCame,
    AppLeft,
    Arrived,
    Conclude,
    Dispatch,
    Ended,
    Expect,
    Fact,
    Fence,
    Order,
    Serve,
    Tell,
)
from inferd_daemon.switchboard import MAX_OFFENCES, Switchboard
from inferd_daemon.wires import Wires

T = TypeVar("T", bound=Fact)

PATIENCE_MS = 20_000
"""A hang is a failure; a loaded machine is not."""
SECRET = "5" * 32
GENERATE = Generate((Message("user", "hello"),))


def _resolve(name: str) -> str:
    if name != "m":
        raise ModelNotFound(f"no model is called {name}")
    return name


@dataclass
class Office:
    """Wires under test, with their facts in a queue."""

    wires: Wires
    board: Switchboard
    folder: Path
    facts: queue.SimpleQueue[Fact]
    context: zmq.Context[zmq.Socket[bytes]]
    lines: list[zmq.Socket[bytes]] = field(default_factory=list)

    def post(self, *orders: Order) -> None:
        self.wires.post(orders)

    def fact(self, kind: type[T]) -> T:
        while True:
            fact = self.facts.get(timeout=PATIENCE_MS / 1000)
            if isinstance(fact, kind):
                return fact

    def dealer(self, name: str = "apps", routing_id: bytes = b"") -> zmq.Socket[bytes]:
        dealer = self.context.socket(zmq.DEALER)
        self.lines.append(dealer)
        if routing_id:
            dealer.setsockopt(zmq.ROUTING_ID, routing_id)
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.setsockopt(zmq.RCVTIMEO, PATIENCE_MS)
        dealer.connect(f"ipc://{self.folder}/{name}")
        return dealer


class App:
    """A client made of frames alone."""

    def __init__(self, office: Office, *, greet: bool = True, name: str = "test") -> None:
        self.line = office.dealer()
        self.pending: list[wire.Arrival] = []
        if greet:
            self.send(control.Hello(1, 1, name, secrets.token_hex(16)))
            assert isinstance(self.receive(), control.Welcome)

    def send(self, message: object) -> None:
        self.line.send_multipart(wire.encode(message))

    def ask(self, number: int, *, window: int = 64) -> None:
        request = control.Request(number, "", {}, control.Window(window, 1 << 20), 60_000, model="m")  # type: ignore[arg-type]
        self.line.send_multipart(wire.encode_request(request, GENERATE))

    def receive(self) -> object:
        frames = self.line.recv_multipart()
        header = wire.header_of(frames)
        if header["type"] != wire.EVENTS_TYPE:
            return wire.decode(frames, wire.TO_APP)
        self.pending += wire.split_events(header, frames[1:])
        return None

    def event(self) -> wire.Arrival:
        while not self.pending:
            assert self.receive() is None
        return self.pending.pop(0)


class Actor:
    """A model actor made of frames alone."""

    def __init__(self, office: Office, life: int, *, secret: str = SECRET, pid: int | None = None) -> None:
        self.line = office.dealer("actors")
        hello = actors.ActorHello("model", life, os.getpid() if pid is None else pid, secret, 1, "m")
        self.line.send_multipart(actors.encode_control(hello))

    def hear(self) -> tuple[object, list[bytes]]:
        while True:
            frames = self.line.recv_multipart()
            message = wire.decode(frames, actors.TO_ACTOR)
            if not isinstance(message, actors.Probe):
                return message, frames[1:]

    def events(self, session: int, rows: Sequence[actors.Row], packed: Sequence[wire.PackedEvent]) -> None:
        facts = [wire.pack(wire.fields_of(actors.Facts("done")))[0] for row in rows if row.is_terminal]
        route = actors.pack_route(actors.KIND_EVENTS, session, rows)
        self.line.send_multipart([route, *facts, *wire.join_events(packed)])


@pytest.fixture
def office() -> Iterator[Office]:
    with tempfile.TemporaryDirectory(prefix="ifw-") as folder, zmq.Context() as context:
        facts: queue.SimpleQueue[Fact] = queue.SimpleQueue()
        welcome = control.Welcome(1, "i" * 32, "test", os.getpid(), capabilities=("uplink",))
        board = Switchboard(welcome, _resolve)
        endpoints = (f"ipc://{folder}/apps", f"ipc://{folder}/actors")

        def deliver(batch: Sequence[Fact]) -> None:
            for fact in batch:
                facts.put(fact)

        wires = Wires(board, *endpoints, deliver, uid=os.getuid())
        wires.start()
        office = Office(wires, board, Path(folder), facts, context)
        yield office
        for line in office.lines:
            line.close()
        wires.stop()


def _dispatched(office: Office, app: App, life: int = 1) -> tuple[Actor, actors.Submit]:
    office.post(Expect(life, "model", SECRET))
    actor = Actor(office, life)
    assert isinstance(actor.hear()[0], actors.ActorWelcome)
    app.ask(1)
    arrived = office.fact(Arrived)
    submit = actors.Submit(arrived.stream, arrived.session, "a" * 32, "t", "interactive", "", 0, 0, 0.0, 0.0, 1000)
    office.post(Tell(arrived.stream, Accepted("t")), Dispatch(arrived.stream, life, submit))
    message, behind = actor.hear()
    assert isinstance(message, actors.Submit)
    assert wire.operation_of(wire.decode(behind, wire.FROM_APP)) == GENERATE
    assert app.event().event == Accepted("t")
    return actor, message


def test_the_hello_carries_the_kernels_word_on_who_calls(office: Office) -> None:
    App(office, name="someone")
    came = office.fact(AppCame)
    assert (came.app, came.peer.uid, came.peer.pid) == ("someone", os.getuid(), os.getpid())


def test_nothing_is_done_for_a_peer_that_has_not_said_hello(office: Office) -> None:
    app = App(office, greet=False)
    app.ask(1)
    refused = app.receive()
    assert isinstance(refused, control.Refused)
    assert refused.code == "protocol_error"


def test_an_app_of_another_version_is_told_so(office: Office) -> None:
    app = App(office, greet=False)
    app.send(control.Hello(7, 9, "future", "a" * 32))
    refused = app.receive()
    assert isinstance(refused, control.Refused)
    assert refused.code == "version_mismatch"


def test_an_unknown_required_capability_is_a_version_mismatch_and_a_known_one_is_not(office: Office) -> None:
    app = App(office, greet=False)
    app.send(control.Hello(1, 1, "future", "a" * 32, required=("uplink", "telepathy")))
    refused = app.receive()
    assert isinstance(refused, control.Refused)
    assert "telepathy" in refused.message
    app.send(control.Hello(1, 1, "now", "a" * 32, required=("uplink",)))
    assert isinstance(app.receive(), control.Welcome)


def test_events_reach_the_app_as_the_actor_packed_them_and_the_end_is_a_fact(office: Office) -> None:
    app = App(office)
    actor, submit = _dispatched(office, app)
    packed = [wire.pack_event(1, 1, TextDelta("hi")), wire.pack_event(1, 2, Finished("m"))]
    actor.events(submit.session, [actors.Row(submit.stream, 2, 2, 99, is_terminal=True)], packed)
    assert [app.event().event, app.event().event] == [TextDelta("hi"), Finished("m")]
    assert office.fact(Ended).facts.code == "done"
    assert office.board.counts == (1, 0, 1)


def test_credits_of_one_app_may_not_sum_past_the_limit(office: Office) -> None:
    app = App(office)
    app.ask(1, window=800)
    app.ask(2, window=101)
    arrival = app.event()
    assert arrival.request == 2
    assert isinstance(arrival.event, Error)
    assert arrival.event.details == {"field": "limit_seq", "limit": 900}


def test_an_actor_with_a_wrong_secret_or_pid_is_not_let_in(office: Office) -> None:
    office.post(Expect(1, "model", SECRET), Expect(2, "model", SECRET), Expect(3, "model", SECRET))
    Actor(office, 1, secret="6" * 32)
    Actor(office, 2, pid=1)
    Actor(office, 3)
    assert office.fact(ActorCame).hello.life == 3


def test_a_fenced_life_is_deaf_and_its_stream_ends_with_the_next_sequence_number(office: Office) -> None:
    app = App(office)
    actor, submit = _dispatched(office, app)
    row = actors.Row(submit.stream, 1, 1, 9, is_terminal=False)
    actor.events(submit.session, [row], [wire.pack_event(1, 1, TextDelta("a"))])
    assert app.event().event == TextDelta("a")
    office.post(Fence(1))
    office.fact(ActorLost)
    actor.events(submit.session, [row], [wire.pack_event(1, 2, TextDelta("late"))])
    office.post(Conclude(submit.stream, Error("model_failed", "it died")))
    arrival = app.event()
    assert (arrival.seq, type(arrival.event)) == (2, Error)
    assert office.board.counts == (1, 0, 0)


def test_an_actor_that_speaks_for_a_stream_of_another_life_is_cut_off(office: Office) -> None:
    app = App(office)
    _, submit = _dispatched(office, app)
    office.post(Expect(2, "model", SECRET))
    thief = Actor(office, 2)
    thief.hear()
    row = actors.Row(submit.stream, 1, 1, 9, is_terminal=False)
    thief.events(submit.session, [row], [wire.pack_event(1, 1, TextDelta("stolen"))])
    assert office.fact(ActorLost).life == 2
    app.send(control.Ping(5))
    assert app.receive() == control.Pong(5, "i" * 32)


def test_pings_go_to_the_actor_and_back_and_are_refused_when_it_is_not_there(office: Office) -> None:
    app = App(office)
    app.send(control.Ping(1, "nobody"))
    app.send(control.Ping(2, "m"))
    unknown, unloaded = app.receive(), app.receive()
    assert isinstance(unknown, control.Pong)
    assert isinstance(unloaded, control.Pong)
    assert (unknown.code, unloaded.code) == ("model_not_found", "unsupported_mode")
    office.post(Expect(4, "model", SECRET), Serve("m", 4))
    actor = Actor(office, 4)
    actor.hear()
    office.fact(ActorCame)
    app.send(control.Ping(3, "m"))
    forwarded, behind = actor.hear()
    assert isinstance(forwarded, actors.ForwardPing)
    actor.line.send_multipart([actors.pong_route(forwarded.session), *behind])
    pong = app.receive()
    assert isinstance(pong, control.Pong)
    assert (pong.nonce, pong.life, pong.code) == (3, 4, "")


def test_a_closed_connection_is_noticed_without_another_message(office: Office) -> None:
    app = App(office)
    session = office.fact(AppCame).session
    app.line.close()
    assert office.fact(AppLeft).session == session
    assert office.board.counts == (0, 0, 0)


def test_a_confused_app_is_heard_a_few_times_and_then_cut_off(office: Office) -> None:
    app, healthy = App(office), App(office)
    for _ in range(MAX_OFFENCES):
        app.line.send(b"\xc1 this is no header")
    office.fact(AppLeft)
    healthy.send(control.Ping(1))
    assert isinstance(healthy.receive(), control.Pong)


@pytest.mark.parametrize(
    "greeting",
    [b"\x01\x00\x05hello", b"GET / HTTP/1.1\r\n\r\n", secrets.token_bytes(4096), b""],
    ids=["zmtp1", "http", "random", "mute"],
)
def test_peers_of_another_protocol_deliver_nothing_and_harm_nobody(office: Office, greeting: bytes) -> None:
    for _ in range(20):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as raw:
            raw.connect(str(office.folder / "apps"))
            raw.sendall(greeting)
    app = App(office)
    app.send(control.Ping(9))
    while (said := app.receive()) is None:  # a probe, since its descriptor was a closed one's: a message without events
        assert app.pending == []
    assert isinstance(said, control.Pong)
    assert office.board.counts == (1, 0, 0)


def test_claimed_routing_ids_do_not_end_the_process(office: Office) -> None:
    """Libzmq aborts when a claimed id is the one that its counter reaches next; the counter's start is made unknown."""
    for step in range(50):
        dealer = office.dealer(routing_id=b"\x00" + (0x6B8B4567 + step).to_bytes(4, "big"))
        dealer.send_multipart(wire.encode(control.Hello(1, 1, "claimer", secrets.token_hex(16))))
    apps = [App(office) for _ in range(60)]
    apps[-1].send(control.Ping(1))
    assert isinstance(apps[-1].receive(), control.Pong)
