"""An actor that was let in and has turned bad, as a hostile model file can make it: it costs its own life, nothing else.

Covers: the switchboard alone, fed with frames; also what apps say in the moments before an actor has their request. Real
sockets: `test_wires` and the system tests.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Mapping

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd import wire
from inferd.errors import ModelNotFound
from inferd.messages import control
from inferd.messages.events import Error, Finished, TextDelta
from inferd.messages.operations import Generate, Message
from inferd_actors import messages as actors
from inferd_daemon import crossing
from inferd_daemon.session import Peer
from inferd_daemon.switchboard import Kick, Outgoing, Switchboard

ME = Peer(os.getuid(), os.getgid(), os.getpid())
SECRET = "5" * 32
BAD, GOOD = b"bad actor", b"good actor"
APP, OTHER = b"app", b"other app"
BAD_LIFE, GOOD_LIFE = 7, 8
WINDOW = control.Window(64, 1 << 20)


def _resolve(name: str) -> str:
    raise ModelNotFound(name)


class Desk:
    """A switchboard with two apps, a request of each, and the two actors that serve them: stream 3 bad, 4 good."""

    def __init__(self) -> None:
        self.board = Switchboard(control.Welcome(1, "i" * 32, "test", os.getpid()), _resolve)
        for app in (APP, OTHER):
            self.app(app, control.Hello(1, 1, "app", "a" * 32))
        for app in (APP, OTHER):
            self.ask(app, 1)
        for life, actor in ((BAD_LIFE, BAD), (GOOD_LIFE, GOOD)):
            self.board.obey(crossing.Expect(life, "model", SECRET))
            hello = actors.ActorHello("model", life, os.getpid(), SECRET, control.PROTOCOL_VERSION)
            self.board.actor_said(actor, ME, actors.encode_control(hello), 0.0)
        arrived = [fact for fact in self.board.facts if isinstance(fact, crossing.Arrived)]
        self.streams = [fact.stream for fact in arrived]
        self.sessions = [fact.session for fact in arrived]
        for fact, life in zip(arrived, (BAD_LIFE, GOOD_LIFE), strict=True):
            self.dispatch(fact, life)
        self.take()

    def app(self, peer_id: bytes, message: object) -> None:
        self.board.app_said(peer_id, ME, wire.encode(message), 0.0)

    def ask(self, peer_id: bytes, number: int) -> None:
        request = control.Request(number, "", {}, WINDOW, 60_000)  # type: ignore[arg-type]
        self.board.app_said(peer_id, ME, wire.encode_request(request, Generate((Message("user", "hi"),))), 0.0)

    def dispatch(self, fact: crossing.Arrived, life: int) -> None:
        submit = actors.Submit(fact.stream, fact.session, "a" * 32, "t", "interactive", "", 0, 0, 0.0, 0.0, 1000)
        self.board.obey(crossing.Dispatch(fact.stream, life, submit))

    def take(self) -> tuple[list[Outgoing | Kick], list[crossing.Fact]]:
        taken = self.board.sends, self.board.facts
        self.board.sends, self.board.facts = [], []
        return taken

    def row(self, which: int = 0, last_seq: int = 1, n_events: int = 1, *, is_terminal: bool = False) -> actors.Row:
        return actors.Row(self.streams[which], last_seq, n_events, 9, is_terminal)


TEXT = wire.join_events([wire.pack_event(1, 1, TextDelta("x"))])
DONE = wire.join_events([wire.pack_event(1, 1, Finished("m"))])
FACTS = wire.pack(wire.fields_of(actors.Facts("done")))[0]


def _lies(desk: Desk) -> Mapping[str, list[bytes]]:
    def events(rows: list[actors.Row], *frames: bytes, session: int = desk.sessions[0]) -> list[bytes]:
        return [actors.pack_route(actors.KIND_EVENTS, session, rows), *frames]

    end = desk.row(is_terminal=True)
    return {
        "no facts": events([end], *DONE),
        "facts and no events": events([end], FACTS),
        "facts that are no map": events([end], msgpack.packb([1]), *DONE),
        "facts with a wrong field": events([end], msgpack.packb({"code": ""}), *DONE),
        "two ends of one stream": events([end, end], FACTS, FACTS, *DONE),
        "an end and more of one stream": events([end, desk.row()], FACTS, *TEXT),
        "no frames": events([desk.row()]),
        "a stream of another life": events([desk.row(1)], *TEXT, session=desk.sessions[1]),
        "its own stream for another app": events([desk.row()], *TEXT, session=desk.sessions[1]),
        "a stream that never was": events([actors.Row(999, 1, 1, 9, is_terminal=False)], *TEXT),
        "a huge seq": events([desk.row(last_seq=2**64 - 1)], *TEXT),
        "a negative seq": events([desk.row(last_seq=-1)], *TEXT),
        "events by the million": events([desk.row(n_events=10**6)], *TEXT),
        "a row too short": [msgpack.packb([1, desk.sessions[0], [[desk.streams[0], 1]]]), *TEXT],
        "a pong without frames": [actors.pack_route(actors.KIND_PONG, desk.sessions[1])],
        "events under the name of a pong": [actors.pack_route(actors.KIND_PONG, desk.sessions[1]), *DONE],
        "a welcome under the name of a pong": [
            actors.pack_route(actors.KIND_PONG, desk.sessions[1]),
            *wire.encode(control.Welcome(1, "i" * 32, "bad", 1)),
        ],
        "a pong of half a number": [actors.pong_route(desk.sessions[1]), msgpack.packb(0.5)],
        "a pong of less than nothing": [actors.pong_route(desk.sessions[1]), msgpack.packb(-1)],
        "two pongs in one": [actors.pong_route(desk.sessions[1]), msgpack.packb(1), msgpack.packb(2)],
        "another's death": actors.encode_control(actors.Died(GOOD_LIFE, "killed by words")),
        "another's birth": actors.encode_control(actors.Spawned(GOOD_LIFE, 1)),
        "the keeper's words": actors.encode_control(actors.KeeperReady()),
        "the keeper's trouble": actors.encode_control(actors.KeeperTrouble("none")),
        "nothing at all": [b""],
        "no message": [actors.pack_route(actors.KIND_CONTROL)],
    }


@pytest.mark.parametrize("lie", _lies(Desk()))
def test_an_actor_that_lies_is_closed_and_no_app_hears_of_it(lie: str) -> None:
    desk = Desk()
    desk.board.actor_said(BAD, ME, _lies(desk)[lie], 1.0)
    sends, facts = desk.take()
    assert [(type(send), send.peer_id) for send in sends] == [(Kick, BAD)]
    assert not facts
    assert desk.board.events_total == 0
    assert desk.board.counts == (2, 2, 2)


def test_an_honest_end_passes_and_a_second_one_costs_the_life() -> None:
    desk = Desk()
    frames = [
        actors.pack_route(actors.KIND_EVENTS, desk.sessions[0], [desk.row(is_terminal=True)]),
        FACTS,
        *DONE,
    ]
    desk.board.actor_said(BAD, ME, frames, 1.0)
    sends, facts = desk.take()
    assert [(send.peer_id, list(send.frames)) for send in sends if isinstance(send, Outgoing)] == [(APP, DONE)]
    assert facts == [crossing.Ended(desk.streams[0], actors.Facts("done"))]
    desk.board.actor_said(BAD, ME, frames, 1.0)
    sends, facts = desk.take()
    assert [type(send) for send in sends] == [Kick]
    assert not facts


def _mutated(frames: list[bytes], rng: random.Random) -> list[bytes]:
    frames = [bytearray(frame) for frame in frames]  # type: ignore[misc]
    for _ in range(rng.randint(1, 4)):
        frame = bytearray(rng.choice(frames))
        if frame:
            frame[rng.randrange(len(frame))] = rng.randrange(256)
        frames[rng.randrange(len(frames))] = bytes(frame[: rng.randint(0, len(frame))] if rng.random() < 0.3 else frame)
    if rng.random() < 0.2:
        frames.insert(rng.randint(0, len(frames)), rng.randbytes(rng.randint(0, 20)))
    if rng.random() < 0.2:
        frames.pop(rng.randrange(len(frames)))
    return [bytes(frame) for frame in frames]


@given(st.integers(0, 2**32))
def test_no_bytes_of_an_actor_raise_in_the_thread_that_serves_everybody(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    desk = Desk()
    whole = [
        [actors.pack_route(actors.KIND_EVENTS, desk.sessions[0], [desk.row()]), *TEXT],
        [actors.pack_route(actors.KIND_EVENTS, desk.sessions[0], [desk.row(is_terminal=True)]), FACTS, *DONE],
        [actors.pong_route(desk.sessions[0]), *actors.forward_ping(1, 1)[1:]],
        actors.encode_control(actors.Loaded(1, can_park=False, context_tokens=1, memory_bytes=1, load_s=0.1)),
        actors.encode_control(actors.Alive(1, 1, idle=False)),
    ]
    for _ in range(20):
        desk.board.actor_said(BAD, ME, _mutated(rng.choice(whole), rng) or [b""], 1.0)
        sends, _facts = desk.take()
        assert all(isinstance(send, Kick) or send.frames for send in sends)
        assert not any(send.peer_id == OTHER for send in sends)
    for stream in desk.streams:
        desk.board.obey(crossing.Conclude(stream, Error("model_failed", "it died")))
    assert desk.board.counts[1] == 0


# --- apps, in the moments before an actor has their request


@pytest.fixture
def waiting() -> tuple[Desk, crossing.Arrived]:
    """A desk where request 2 of the first app has arrived and nobody has it."""
    desk = Desk()
    desk.ask(APP, 2)
    _, facts = desk.take()
    (arrived,) = facts
    assert isinstance(arrived, crossing.Arrived)
    return desk, arrived


def _forwarded(sends: list[Outgoing | Kick]) -> list[str]:
    tags = []
    for send in sends:
        assert isinstance(send, Outgoing)
        front = wire.header_of(send.frames)["type"]
        tags.append(wire.header_of(send.frames[1:])["type"] if front == "forward" else front)
    return tags


def test_a_cancel_that_meets_its_request_s_dispatch_reaches_the_actor(waiting: tuple[Desk, crossing.Arrived]) -> None:
    desk, arrived = waiting
    desk.app(APP, control.Cancel(2))
    assert desk.take()[1] == [crossing.CancelAsked(arrived.stream)]
    desk.dispatch(arrived, GOOD_LIFE)
    assert _forwarded(desk.take()[0]) == ["submit", "cancel"]


def test_what_is_said_before_dispatch_follows_the_request_in_order_and_is_bounded(
    waiting: tuple[Desk, crossing.Arrived],
) -> None:
    desk, arrived = waiting
    for message in itertools.islice(itertools.cycle([control.Pause(2), control.Resume(2)]), 50):
        desk.app(APP, message)
    for _ in range(50):
        desk.app(APP, control.Cancel(2))
    desk.dispatch(arrived, GOOD_LIFE)
    forwarded = [tag for tag in _forwarded(desk.take()[0]) if tag != "refused"]
    assert forwarded[:4] == ["submit", "pause", "resume", "pause"]
    assert forwarded[-1] == "cancel"
    assert len(forwarded) == 10


def test_a_malformed_message_with_the_number_of_a_running_request_does_not_end_it() -> None:
    desk = Desk()
    desk.board.app_said(APP, ME, [msgpack.packb({"type": "request", "id": 1, "op": 5})], 1.0)
    (sent,) = desk.take()[0]
    assert isinstance(sent, Outgoing)
    assert isinstance(wire.decode(sent.frames, wire.TO_APP), control.Refused)
