"""Peers that mean harm, at both sockets of a real daemon: they deliver nothing, cost nobody anything, and leave nothing.

Covers: bytes that are no ZMTP, claimed routing ids, forged hellos, floods of connections, peers that do not read. What each
test proves beside its own point: the same process lives, its models too, and its descriptors are back where they were.
Does not cover honest apps' mistakes (`test_bad_input`) and random ones (`test_fuzz`).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from daemon_process import DaemonProcess, running
from raw_app import ECHO, RawApp, packed, request, words
from waiting import until
from zmtp import GREETING, READY, dialled, frame, greeted, is_closed

from inferd import Done, TextDelta
from inferd.messages import control
from inferd_actors import messages as actors

SLOW = "test/slow:echo"
CONFIG = """
[models."test/slow:echo"]
engine = "echo"
engine_options = { tokens_per_s = 40, slots = 64 }
"""
SECRET = "5" * 32
FIRST_ROUTER, SECOND_ROUTER = 0x6B8B4567, 0xE43C9869
"""Where libzmq's counters of routing ids start in every process whose `rand` nobody seeded."""
MIB = 2**20
FEW = 8
"""Descriptors that come for reasons of their own: attendants that connect late, the harness's own questions."""


@pytest.fixture(scope="module")
def started() -> Iterator[DaemonProcess]:
    with running(CONFIG) as process:
        with process.client() as client:
            for model in (ECHO, SLOW):
                client.generate("ready", model=model)
        yield process


@pytest.fixture
def daemon(started: DaemonProcess) -> Iterator[DaemonProcess]:
    """The daemon, which must be as it was when the test is over."""
    process = psutil.Process(started.pid)
    lives = [started.model(model).life for model in (ECHO, SLOW)]
    before = process.num_fds()
    yield started
    with started.client("after") as client:
        assert client.generate("still here", model=ECHO).text.split() == ["still", "here"]
        assert client.daemon.status().pid == started.pid
    assert [started.model(model).life for model in (ECHO, SLOW)] == lives
    until(lambda: process.num_fds() <= before + FEW, f"descriptors are back at {before}")
    with started.client("after") as client:
        until(lambda: [app.app for app in client.daemon.status().apps] == ["after"], "no session is left")


# --- bytes that are no ZMTP, or bad ZMTP

HELLO = packed({"type": "hello", "protocol_min": 1, "protocol_max": 1, "app": "half", "app_session": "d" * 32})
NO_PEERS: Mapping[str, bytes] = {
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "ZMTP 1": b"\x01\x00\x05hello",
    "ZMTP 2": b"\xff" + bytes(8) + b"\x7f\x01\x05\x00\x00\x00\x05hello",
    "random bytes": secrets.token_bytes(4096),
    "nothing": b"",
    "half a greeting": GREETING[:30],
    "a greeting and no more": GREETING,
    "an unknown mechanism": GREETING.replace(b"NULL", b"GSSA"),
    "a name and password": GREETING.replace(b"NULL\0", b"PLAIN") + b"\x04\x10\x05HELLO\x04root\x04root",
    "a socket that is none": GREETING + READY.replace(b"DEALER", b"SYSTEM"),
    "a publisher": GREETING + b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB",
    "a property past its end": GREETING + b"\x04\x1c\x05READY\x0bSocket-Type\x7f\xff\xff\xff DEALER"[:30],
}
BAD_PEERS: Mapping[str, bytes] = {
    "a frame of 2^63 bytes": b"\x02\x7f" + b"\xff" * 7 + b"x",
    "a frame of 33 MiB": b"\x02" + (33 * MIB).to_bytes(8, "big") + b"x",
}
"""What follows a handshake that was in order."""


def test_peers_of_other_protocols_are_closed_and_deliver_nothing(daemon: DaemonProcess) -> None:
    with daemon.client() as client, ExitStack() as held:
        before = client.daemon.status()
        strangers = []
        for path in (daemon.socket, daemon.socket.with_name("actors.sock")):
            for kind, saying in (*NO_PEERS.items(), *BAD_PEERS.items()):
                peer = held.enter_context(greeted(path) if kind in BAD_PEERS else dialled(path))
                peer.sendall(saying)
                strangers.append((kind, path.name, peer))
        assert client.generate("one two", model=ECHO).text.split() == ["one", "two"]
        for kind, name, stranger in strangers:
            assert is_closed(stranger), (kind, name)
        after = client.daemon.status()
        assert after.requests_total == before.requests_total + 2
        assert {app.app for app in after.apps} == {"test"}


def test_a_message_that_is_cut_off_in_the_middle_is_none(daemon: DaemonProcess) -> None:
    with daemon.client() as client:
        with greeted(daemon.socket) as stranger:
            stranger.sendall(frame(HELLO))
            stranger.sendall(frame(packed(request(1, words("hello"))), more=True))
            stranger.sendall(frame(bytes(MIB))[:1000])
            until(lambda: "half" in [app.app for app in client.daemon.status().apps], "its hello is heard")
        until(lambda: "half" not in [app.app for app in client.daemon.status().apps], "its end is noticed")
        assert daemon.model(ECHO).busy == 0


# --- routing ids


def test_claimed_routing_ids_do_not_end_the_daemon() -> None:
    """Libzmq aborts when a claimed id is the one that its counter reaches next; here the counters start elsewhere."""
    with tempfile.TemporaryDirectory(prefix="ifd-") as root, ExitStack() as held:
        daemon = DaemonProcess(Path(root))  # a fresh one: its counters have not passed the claimed range
        try:
            daemon.start(wait=False)
            held.enter_context(daemon.client(connect_timeout_s=30)).ping(timeout_s=30)
            for name, start in (("inferd.sock", FIRST_ROUTER), ("actors.sock", SECOND_ROUTER)):
                for step in range(1, 51):
                    claimed = b"\0" + (start + step).to_bytes(4, "big")
                    claimer = RawApp(daemon.socket.with_name(name), greet=False, routing_id=claimed)
                    held.enter_context(claimer).throw(packed({"type": "hello"}))
            for name in ("inferd.sock", "actors.sock"):
                for _ in range(60):
                    held.enter_context(greeted(daemon.socket.with_name(name)))
            assert held.enter_context(RawApp(daemon.socket)).is_heard()
        finally:
            assert daemon.stop() == 0


def test_a_routing_id_that_is_taken_gives_nobody_the_others_stream(daemon: DaemonProcess) -> None:
    with (
        RawApp(daemon.socket, routing_id=b"mine") as owner,
        RawApp(daemon.socket, greet=False, routing_id=b"mine") as thief,
    ):
        owner.ask(1, words("mine " * 20), model=SLOW)
        thief.put({"type": "hello", "protocol_min": 1, "protocol_max": 1, "app": "thief", "app_session": "t" * 32})
        thief.say(control.Cancel(1))
        assert owner.text(1).split() == ["mine"] * 20
        assert not thief.unread()


# --- forged sessions


def test_the_session_of_another_app_can_be_named_but_not_taken(daemon: DaemonProcess) -> None:
    with RawApp(daemon.socket) as owner, RawApp(daemon.socket, session=owner.session) as thief:
        owner.ask(1, words("mine " * 40), model=SLOW)
        owner.numbered()
        for message in (
            control.Credit(1, 1, 500, 1 << 20),
            control.Finish(1),
            control.Cancel(1),
            control.Reattach(1, seen_seq=0, limit_seq=500, limit_bytes=1 << 20),
        ):
            thief.say(message)
        lost = thief.failure(1)
        assert lost.code == "connection_lost"
        assert owner.text(1).split()[-1] == "mine"
        assert thief.is_heard()
        assert not thief.arrivals


def test_the_kernels_word_stands_beside_every_app_whatever_it_says(daemon: DaemonProcess) -> None:
    with RawApp(daemon.socket) as raw, daemon.client() as client:
        raw.greet(app="systemd", pid=1, uid=0)
        until(lambda: "systemd" in [app.app for app in client.daemon.status().apps], "it is seen under its name")
        (row,) = (app for app in client.daemon.status().apps if app.app == "systemd")
        assert (row.uid, row.pid) == (os.getuid(), os.getpid())


# --- strangers at the actors' socket

ROUTE = actors.pack_route(actors.KIND_CONTROL)


def _hello(life: int, kind: actors.Kind = "model", secret: str = SECRET) -> list[bytes]:
    return actors.encode_control(actors.ActorHello(kind, life, os.getpid(), secret, control.PROTOCOL_VERSION))


def test_nobody_becomes_an_actor_or_the_keeper_without_the_secret(daemon: DaemonProcess) -> None:
    life = daemon.model(ECHO).life
    spoken: list[list[bytes]] = [
        _hello(life),
        _hello(life + 1),
        _hello(0, "keeper"),
        _hello(0),
        actors.encode_control(actors.Died(life, "says a stranger")),
        actors.encode_control(actors.KeeperTrouble("says a stranger")),
        [actors.pong_route(1), *actors.forward_ping(1, 1)[1:]],
        [actors.pack_route(actors.KIND_EVENTS, 1, [actors.Row(1, 1, 1, 9, is_terminal=False)])],
        [ROUTE],
        [b""],
        [ROUTE, b"\xdd\xff\xff\xff\xff"],
        [ROUTE, b"\x91" * 60_000],
        [ROUTE, b"\xdd" + (8 * MIB).to_bytes(4, "big") + b"\x90" * 8 * MIB],
    ]
    for frames in spoken:
        with RawApp(daemon.socket.with_name("actors.sock"), greet=False) as stranger:
            stranger.throw(*frames)
            stranger.await_cut()
            assert set(stranger.unread()) <= {"probe"}  # whether it is still there; says nothing
    with daemon.client() as client:
        assert client.daemon.status().keeper == "ready"


# --- those who take and do not give


PINGS_AT_ONCE = 100
PINGS = frame(packed({"type": "ping", "nonce": 1})) * PINGS_AT_ONCE


def test_a_peer_that_asks_and_does_not_read_is_closed_and_its_answers_do_not_pile_up(daemon: DaemonProcess) -> None:
    process = psutil.Process(daemon.pid)
    with daemon.client() as client, client.stream("stay " * 40, model=SLOW) as stream:
        received = iter(stream)
        next(event for event in received if isinstance(event, TextDelta))
        rss_bytes = process.memory_info().rss
        with greeted(daemon.socket) as deaf:
            deaf.sendall(frame(HELLO))
            sent = 0
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                while sent < 100_000:
                    deaf.sendall(PINGS)
                    sent += PINGS_AT_ONCE
        assert sent < 100_000
        assert process.memory_info().rss - rss_bytes < 64 * MIB
        done = list(received)[-1]
    assert isinstance(done, Done)
    assert done.reply.text.split() == ["stay"] * 40


def test_a_hundred_apps_that_vanish_at_once_leave_nothing_running(daemon: DaemonProcess) -> None:
    with ExitStack() as held:
        apps = [held.enter_context(RawApp(daemon.socket)) for _ in range(100)]
        for app in apps:
            app.ask(1, words("w " * 1000), model=SLOW)
            app.ask(2, {}, op="loopback")
        apps[0].numbered()
    until(lambda: not any(_is_busy(daemon, model) for model in (SLOW, ECHO)), "nothing runs any more")


def _is_busy(daemon: DaemonProcess, model: str) -> bool:
    row = daemon.model(model)
    return bool(row.busy or row.queued)


DESCRIPTORS = 2_048
"""A few times less than the two holders below take."""
HOLDER = """
import resource, socket, sys
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(4000, hard), hard))
held = []
try:
    while len(held) < 2500:
        held.append(socket.socket(socket.AF_UNIX))
        held[-1].connect(sys.argv[1])
except OSError:
    pass
print(len(held), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("name", ["inferd.sock", "actors.sock"])
def test_connections_far_beyond_the_cap_do_not_end_a_daemon_with_few_descriptors(name: str) -> None:
    """Libzmq aborts its process when no descriptor is left."""
    with tempfile.TemporaryDirectory(prefix="ifd-") as root:
        daemon = DaemonProcess(Path(root), descriptors=DESCRIPTORS)
        try:
            daemon.start(wait=False)
            with daemon.client("early", connect_timeout_s=30) as early:
                early.ping(timeout_s=30)
                process = psutil.Process(daemon.pid)
                before = process.num_fds()
                holders = [_holder(daemon.socket.with_name(name)) for _ in range(2)]
                assert sum(int(_line(holder)) for holder in holders) > DESCRIPTORS
                early.ping(timeout_s=30)
                assert process.num_fds() < DESCRIPTORS
                for holder in holders:
                    holder.communicate("")
                until(lambda: process.num_fds() <= before + FEW, "descriptors are back")
            with RawApp(daemon.socket) as late:
                assert late.is_heard()
        finally:
            assert daemon.stop() == 0


def _holder(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _line(holder: subprocess.Popen[str]) -> str:
    assert holder.stdout is not None
    return holder.stdout.readline()
