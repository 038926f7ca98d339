"""A real keeper as a subprocess and a bare switchboard that it and its actors connect to, for the keeper's own tests."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import psutil
import zmq

from inferd import wire
from inferd_actors import messages
from inferd_daemon.keeper_environment import tag_of
from inferd_daemon.keeper_files import Place

M = TypeVar("M")

PATIENCE_S = 60.0
"""Longest wait for anything: a loaded two-core machine starts Ray ten times slower than an idle one."""


ASK_S = 1.0
"""How often a wait looks whether it is in vain."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One message and who sent it."""

    peer: bytes
    message: object


class BareSwitchboard:
    """The daemon's end of `actors.sock`, reduced to reading and writing. Owned by one thread."""

    def __init__(self, place: Place, check: Callable[[], None] = lambda: None) -> None:
        """`check()` raises when waiting is in vain."""
        self._check = check
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.LINGER, 0)
        self._router.bind(place.endpoint)
        self.heard: list[Heard] = []
        self.keeper = b""
        self.actors: dict[int, bytes] = {}

    def close(self) -> None:
        """Vanish, as a daemon that is killed."""
        self._router.close()
        self._context.term()

    def send(self, peer: bytes, message: object) -> None:
        """Send a message to a peer."""
        self._router.send_multipart([peer, *wire.encode(message)])

    def order(self, message: object) -> None:
        """Send the keeper an order."""
        self.send(self.keeper, message)

    def read(self, timeout_s: float) -> bool:
        """Take one message if one comes in time; hellos are welcomed."""
        if not self._router.poll(int(timeout_s * 1000)):
            return False
        peer, route, *frames = self._router.recv_multipart()
        assert messages.read_route(route).kind == messages.KIND_CONTROL
        message = wire.decode(frames, messages.FROM_ACTOR)
        self.heard.append(Heard(peer, message))
        if isinstance(message, messages.ActorHello):
            if message.kind == "keeper":
                self.keeper = peer
            else:
                self.actors[message.life] = peer
            self.send(peer, messages.ActorWelcome("0" * 32))
        return True

    def wait_for(self, kind: type[M], chosen: Callable[[M], bool] = lambda _: True) -> M:
        """Return the first such message that has come or comes, and forget it."""
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            for one in self.heard:
                if isinstance(one.message, kind) and chosen(one.message):
                    self.heard.remove(one)
                    return one.message
            if not self.read(ASK_S):
                self._check()
                assert time.monotonic() < deadline_s, f"no {kind.__name__} among {self.heard}"

    def spawn(self, life: int, kind: messages.Kind = "router", gpu_share: float = 0.0) -> int:
        """Have an actor started and return its process id, told by the keeper and by itself."""
        self.order(messages.Spawn(life, kind, f"test/{kind}:x", f"secret-of-{life:04}", gpu_share))
        spawned = self.wait_for(messages.Spawned, lambda one: one.life == life)
        hello = self.wait_for(messages.ActorHello, lambda one: one.life == life)
        assert (hello.pid, hello.kind, hello.secret) == (spawned.pid, kind, f"secret-of-{life:04}")
        return spawned.pid

    def died(self, life: int) -> messages.Died:
        """Return the keeper's word that this life is over."""
        return self.wait_for(messages.Died, lambda one: one.life == life)


@dataclass
class KeeperProcess:
    """One keeper with a runtime directory of its own. `service`: without a pipe to its daemon."""

    place: Place
    environment: Mapping[str, str] = field(default_factory=dict)
    service: bool = False
    process: subprocess.Popen[bytes] | None = None
    _pipe: int | None = None

    @property
    def pid(self) -> int:
        """The keeper's process id."""
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        """What it wrote to stderr."""
        return (self.place.runtime_dir / "keeper.log").read_text(errors="replace")

    def start(self, *more: str) -> None:
        """Start it."""
        command = [
            sys.executable,
            "-P",
            "-m",
            "inferd_daemon.keeper",
            "--runtime-dir",
            str(self.place.runtime_dir),
            *more,
        ]
        passed: tuple[int, ...] = ()
        if not self.service:
            theirs, self._pipe = os.pipe()
            command += ["--parent-fd", str(theirs)]
            passed = (theirs,)
        with (self.place.runtime_dir / "keeper.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=passed,
                start_new_session=True,
            )
        for handle in passed:
            os.close(handle)

    def check(self) -> None:
        """Raise AssertionError with its log when it has ended."""
        assert self.process is not None
        assert self.process.poll() is None, f"the keeper ended with {self.process.returncode}:\n{self.log}"

    def let_go(self) -> None:
        """Close the pipe, as the end of the daemon does."""
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None

    def tree(self) -> list[psutil.Process]:
        """Return the keeper and every living process below it."""
        keeper = psutil.Process(self.pid)
        return [keeper, *keeper.children(recursive=True)]

    def ended(self) -> int:
        """Return its exit code once it has ended."""
        assert self.process is not None
        return self.process.wait(PATIENCE_S)

    def tagged(self) -> list[psutil.Process]:
        """Return all processes on this machine that a keeper of this directory started."""
        return list(_tagged(self.place))


def _tagged(place: Place) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            tag = tag_of(process.environ())
            if tag and tag.runtime_dir == str(place.runtime_dir) and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except (psutil.Error, OSError):
            continue


@contextmanager
def keeping(*, service: bool = False, environment: Mapping[str, str] | None = None) -> Iterator[KeeperProcess]:
    """Offer a keeper, not started yet, in a short directory; in the end it is stopped and nothing may be left."""
    with (
        tempfile.TemporaryDirectory(prefix="ifk-") as runtime,
        keeping_in(Path(runtime), service=service, environment=environment) as keeper,
    ):
        yield keeper


@contextmanager
def keeping_in(
    runtime: Path, *, service: bool = False, environment: Mapping[str, str] | None = None
) -> Iterator[KeeperProcess]:
    """Offer a keeper, not started yet, in a directory that is there; in the end it is stopped and nothing may be left."""
    keeper = KeeperProcess(Place(runtime), environment or {}, service)
    try:
        yield keeper
    finally:
        keeper.let_go()
        if keeper.process is not None and keeper.process.poll() is None:
            if service:
                keeper.process.terminate()
            keeper.ended()
        left = keeper.tagged()
        for process in left:
            process.kill()
    assert not left, f"left behind: {left}\n{keeper.log}"


@contextmanager
def answering(place: Place, check: Callable[[], None] = lambda: None) -> Iterator[BareSwitchboard]:
    """Offer the daemon's end for the length of a block."""
    switchboard = BareSwitchboard(place, check)
    try:
        yield switchboard
    finally:
        switchboard.close()
