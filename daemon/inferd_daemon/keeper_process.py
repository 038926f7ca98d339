"""The keeper's threads: they bring facts to `lives`, and carry out what it decides.

Covers: the line to the daemon, signals, the daemon's pipe, watching processes, the order of leaving. Does not cover Ray:
that is behind `Head`, for which `keeper` has the real one.

Main thread: signals and pipe. Line thread: the socket, and every decision (`Lives.step`). Ray thread: every call to the
head, for the keeper's whole life. Watchers: a thread per process that must be seen to end. Facts go to the line thread,
orders to the Ray thread, through two queues that `lives.MAX_LIVES` bounds.
"""

from __future__ import annotations

import contextlib
import os
import queue
import selectors
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol, assert_never

import structlog

from inferd import wire
from inferd.errors import InferenceError
from inferd_actors import messages
from inferd_actors.host import Line
from inferd_daemon import sweep
from inferd_daemon.keeper_files import Place, shared_secret
from inferd_daemon.lives import (
    MAX_LIVES,
    Alone,
    Asked,
    Begin,
    Effect,
    Fact,
    Finish,
    Gone,
    Leave,
    Lives,
    Release,
    Restart,
    Strike,
    Tell,
    Ticked,
    Watch,
    Welcomed,
)

log = structlog.get_logger()

EXIT_NO_RAY: Final = 5
EXIT_BUG: Final = 70
"""EX_SOFTWARE of sysexits.h."""
LEAVE_LIMIT_S: Final = 15.0
"""Ray's shutdown takes 0.1 to 2.4 s; one that hangs is left behind, and dies with this process."""
PROTOCOL: Final = 1
KEEPER_LIFE: Final = 0

Post = Callable[[Fact], None]

ENDED: Final = b"E"
LEAVES: Final = b"L"
TOOK_SIGNALS: Final = b"S"
"""What the other threads ring the main thread for."""


class Head(Protocol):
    """What starts and kills actor processes. Every method is called in one thread that lives as long as the keeper."""

    calls: int
    """Calls to actors so far: a handful per life, none per request."""

    def up(self) -> None:
        """Start; post `RayCame`, or `RayFailed`. Blocks."""

    def down(self) -> None:
        """Stop, with every actor; return when no process is left. Blocks."""

    def begin(self, order: messages.Spawn) -> None:
        """Start an actor; post `Started` or `Fell`, and `Fell` when it ends. Does not block."""

    def finish(self, life: int) -> None:
        """Kill an actor; unknown ones are ignored. Does not block."""

    def release(self, life: int) -> None:
        """Forget an actor that is over."""


class Keeper:
    """One run of the keeper process."""

    def __init__(
        self, place: Place, make_head: Callable[[Post, Callable[[], None]], Head], orphan_limit_s: float
    ) -> None:
        """`make_head(post, took_signals)`: the latter is to be called whenever Ray may have replaced signal handlers."""
        self._place = place
        self._secret = shared_secret(place.secret)
        self._lives = Lives(time.monotonic(), alone_limit_s=orphan_limit_s)
        self._facts: deque[Fact] = deque()
        self._orders: queue.Queue[Begin | Finish | Release | Restart | Leave] = queue.Queue(4 * MAX_LIVES)
        self._head = make_head(self.post, lambda: self._ring(TOOK_SIGNALS))
        self._line = Line(
            place.endpoint,
            greeting=self._greeting,
            on_message=self._hear,
            on_lost=self._lost,
            on_tick=self._tick,
        )
        self._welcomed = False
        self._exit_code = EXIT_BUG
        self._bell, self._ear = socket.socketpair()
        self._signalled, self._signals = socket.socketpair()
        self._signalled.setblocking(False)

    def run(self, parent_fd: int | None) -> int:
        """Keep until told otherwise and return the exit code. Blocks; main thread, because of the signals."""
        line, ray = (
            threading.Thread(target=self._alarmed, args=(work,), name=name, daemon=True)
            for name, work in (("line", self._line.run), ("ray", self._drive))
        )
        line.start()
        ray.start()
        self._attend(parent_fd)
        self._line.close()
        line.join(LEAVE_LIMIT_S)
        return self._exit_code

    def post(self, fact: Fact) -> None:
        """Bring a fact to the line thread. Any thread."""
        self._facts.append(fact)
        self._line.wake()

    # --- main thread

    def _attend(self, parent_fd: int | None) -> None:
        """Turn signals and the end of the daemon's pipe into facts; return when a thread has ended, or hangs."""
        signal.set_wakeup_fd(self._signalled.fileno(), warn_on_full_buffer=False)
        self._take_signals()
        with selectors.DefaultSelector() as selector:
            selector.register(self._ear, selectors.EVENT_READ)
            selector.register(self._signals, selectors.EVENT_READ)
            if parent_fd is not None:
                selector.register(parent_fd, selectors.EVENT_READ)
            limit_s: float | None = None
            while ready := {key.fileobj for key, _ in selector.select(limit_s)}:
                rung = self._ear.recv(64) if self._ear in ready else b""
                if ENDED in rung:
                    return
                if LEAVES in rung:
                    limit_s = LEAVE_LIMIT_S
                if TOOK_SIGNALS in rung:
                    self._take_signals()
                if self._signals in ready:
                    self._signals.recv(64)
                    self.post(Asked("told by a signal"))
                if parent_fd in ready:
                    selector.unregister(parent_fd)
                    self.post(Asked("the daemon is gone"))
        log.error("ray_hangs", waited_s=LEAVE_LIMIT_S)

    def _take_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)  # the wake-up tells of it, outside of any handler

    def _ring(self, reason: bytes) -> None:
        """Have the main thread do something. Any thread."""
        self._bell.send(reason)

    def _alarmed(self, work: Callable[[], None]) -> None:
        """Do a thread's work and ring when it has ended, however it did."""
        try:
            work()
        except Exception:
            log.exception("thread_failed")
        finally:
            self._ring(ENDED)

    # --- line thread

    def _greeting(self) -> Sequence[bytes]:
        return messages.encode_control(messages.ActorHello("keeper", KEEPER_LIFE, os.getpid(), self._secret, PROTOCOL))

    def _hear(self, frames: Sequence[wire.Frame]) -> None:
        try:
            message = wire.decode(frames, messages.TO_ACTOR)
        except InferenceError as wrong:
            log.warning("order_refused", reason=wrong.message)
            return
        match message:
            case messages.ActorWelcome():
                self._welcomed = True
                self._step(Welcomed())
            case messages.Spawn() | messages.Assign() | messages.Kill() | messages.Shutdown():
                self._step(message)
            case messages.AskStats():
                counters = {"lives": float(len(self._lives)), "ray_calls": float(self._head.calls)}
                self._line.send(messages.encode_control(messages.Stats(counters)))
            case _:
                log.warning("order_refused", reason=f"{wire.tag(type(message))} is not for the keeper")

    def _lost(self) -> None:
        if self._welcomed:
            self._welcomed = False
            self._step(Alone())

    def _tick(self, now_s: float) -> float | None:
        while self._facts:
            self._step(self._facts.popleft())
        if now_s >= self._lives.next_s:
            self._step(Ticked())
        next_s = self._lives.next_s
        return None if next_s == float("inf") else next_s

    def _step(self, fact: Fact) -> None:
        for effect in self._lives.step(fact, time.monotonic()):
            self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Tell():
                _log_told(effect)
                if self._welcomed:
                    self._line.send(messages.encode_control(effect.message))
            case Watch():
                watch(effect.pid, self.post, Gone(effect.life))
            case Strike():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(effect.pid, signal.SIGKILL)
            case Begin() | Finish() | Restart() | Release():
                self._orders.put_nowait(effect)
            case Leave():
                self._orders.put_nowait(effect)
                self._ring(LEAVES)
            case _:
                assert_never(effect)

    # --- Ray thread

    def _drive(self) -> None:
        self._head.up()
        while True:
            match order := self._orders.get():
                case Begin():
                    self._head.begin(order.spawn)
                case Finish():
                    self._head.finish(order.life)
                case Release():
                    self._head.release(order.life)
                    sweep.prune_logs(self._place.ray_dir, order.living)
                case Restart():
                    self._head.down()
                    sweep.prune_sessions(self._place.ray_dir)
                    self._head.up()
                case Leave():
                    log.info("keeper_leaves", reason=order.reason)
                    self._head.down()
                    self._exit_code = EXIT_NO_RAY if order.failed else 0
                    return
                case _:
                    assert_never(order)


def watch(pid: int, post: Post, fact: Fact) -> None:
    """Post `fact` when this process has ended, from a thread that lives as long as the process does."""

    def wait() -> None:
        sweep.await_exit(pid)
        post(fact)

    threading.Thread(target=wait, name=f"watch-{pid}", daemon=True).start()


def _log_told(told: Tell) -> None:
    match told.message:
        case messages.KeeperReady(lives, ray_pids):
            log.info("keeper_ready", lives=len(lives), ray_pids=ray_pids)
        case message:
            log.info(wire.tag(type(message)), **wire.fields_of(message))
