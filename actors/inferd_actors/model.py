"""A model's process: one engine, its streams, and the daemon's orders about both.

Covers: what each message asks, life signs, leaving. Does not cover the socket (`host`), the load (`loading`), how the
engine's words reach this thread (`words`), what becomes of events (`streams`), computing (`engines`).

| thread  | owner         | does                                                                       |
|---------|---------------|----------------------------------------------------------------------------|
| line    | `host.Line`   | what the daemon says, and the clock                                        |
| loading | `Loading`     | `Engine.load`; ends with it                                                |
| engine  | the engine    | computes; speaks through `EngineWords`, and sends that itself (`settle`)   |
| leaving | `Model`       | `Engine.close`; ends with it                                               |

`Model` and its streams belong to whoever holds the line: `Line` lets one thread in at a time.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol, assert_never

from inferd import wire
from inferd.errors import InferenceError, InvalidRequest, ModelFailed
from inferd.messages import control
from inferd_actors import engines, messages
from inferd_actors.engine import Engine, EngineFactory, StreamId, Submission
from inferd_actors.host import ActorSpec, Line, prepare_process
from inferd_actors.loading import Loading, OpenAhead
from inferd_actors.refusals import as_event
from inferd_actors.service import PROTOCOL
from inferd_actors.streams import HEARD_LIVE, Command, Grant, Pass, Send, Stop, Streams
from inferd_actors.words import EngineWords

ALIVE_S: Final = 1.0
"""Between life signs to the daemon."""
FAULT: Final = 70
"""Exit code of a process whose engine broke (`EX_SOFTWARE`)."""


class Outlet(Protocol):
    """What a model needs of its line; `host.Line` is one."""

    def send(self, frames: Sequence[bytes]) -> None:
        """Queue one message; from any thread."""

    def flush(self) -> None:
        """Send what is queued, as far as it can be at once; by whoever holds the line."""

    def wake(self) -> None:
        """Have `Model.tick` called; from any thread."""

    def settle(self) -> None:
        """Have `Model.tick` called, here and now unless it is at work; from any thread."""

    def close(self) -> None:
        """Send what is queued and end; from any thread."""


def serve(spec: ActorSpec) -> None:
    """Live as this model's process until told to leave. Blocks."""
    live(spec, engines.factory)


def live(spec: ActorSpec, factory: Callable[[str], EngineFactory]) -> None:
    """Live as a process that serves streams. Blocks. `factory`: as `Model` takes it."""
    prepare_process()

    def tick(now_s: float) -> float | None:
        return model.tick(now_s)

    line = Line(
        spec.address,
        greeting=lambda: model.greeting(time.monotonic()),
        on_message=lambda frames: model.hear(frames, time.monotonic()),
        on_lost=lambda: model.lost(time.monotonic()),
        on_tick=tick,
    )
    model = Model(spec, line, _die, factory=factory)
    line.run()


def _die(reason: str) -> None:
    sys.stderr.write(f"{reason}\n")
    sys.stderr.flush()
    os._exit(FAULT)


class Model:
    """One model's process. Every method belongs to whoever holds the line, and returns at once.

    `die(reason)`: called from the engine's thread when the engine cannot go on; it ends the process. `factory`: how an
    engine is found by its name. `prepare`: how its libraries are imported before there is a model.
    """

    def __init__(
        self,
        spec: ActorSpec,
        outlet: Outlet,
        die: Callable[[str], None],
        *,
        factory: Callable[[str], EngineFactory] = engines.factory,
        prepare: Callable[[str], None] = engines.prepare,
        open_ahead: OpenAhead = engines.open_ahead,
    ) -> None:
        self._spec = spec
        self._name = spec.model
        """Empty: it stands by, and its load will name it."""
        self._outlet = outlet
        self._streams = Streams()
        self._words = EngineWords(outlet.settle, die)
        self._loading = Loading(factory, self._words, self._report, prepare, open_ahead)
        self._alive_s = 0.0
        self._is_urgent = False
        """What the daemon was told last."""
        self._leave_s: float | None = None
        """When the streams' grace ends; None: nobody asked to leave."""
        self._leaving: threading.Thread | None = None
        self._released = threading.Event()
        """The engine is closed: what it said until then was the last."""

    # --- the line

    def greeting(self, now_s: float) -> list[bytes]:
        """Return the hello of a new connection."""
        spec, inflight = self._spec, self._streams.inflight(now_s)
        hello = messages.ActorHello(spec.kind, spec.life, os.getpid(), spec.secret, PROTOCOL, self._name, inflight)
        return messages.encode_control(hello)

    def lost(self, now_s: float) -> None:
        """The connection is gone."""
        self._streams.lost(now_s)

    def hear(self, frames: Sequence[wire.Frame], now_s: float) -> None:
        """Take one message of the daemon; one that cannot be read is a newer daemon's, and finds no answer."""
        try:
            message = messages.read_order(frames)
            self._obey(message, frames[1:], now_s)
        except InferenceError:
            return

    def _obey(self, message: object, behind: Sequence[wire.Frame], now_s: float) -> None:
        match message:
            case messages.Submit():
                self._submit(message, behind, now_s)
            case messages.Forward(stream):
                self._forward(stream, behind, now_s)
            case messages.End():
                self._do(self._streams.end(message, now_s))
            case messages.ForwardPing(session):
                self._outlet.send([messages.pong_route(session), *map(bytes, behind)])
            case messages.ActorWelcome():
                self._welcome(message, now_s)
            case messages.Prepare():
                self._loading.prepare(message)
            case messages.Load():
                self._name = self._name or message.model
                self._loading.begin(message)
            case messages.AskStats():
                counters = self._engine.stats() if self._engine else {}
                self._say(messages.Stats({**counters, "streams": float(len(self._streams))}))
            case messages.StepAside(is_aside):
                if self._engine:
                    self._engine.step_aside(is_aside=is_aside)
            case messages.Leave(grace_s):
                self._leave_s = now_s + grace_s
                self._outlet.wake()
            case _:  # a probe; and what is said to keepers
                pass

    def _welcome(self, welcome: messages.ActorWelcome, now_s: float) -> None:
        self._do(self._streams.welcome(welcome.adopted, now_s))
        self._is_urgent = False
        if self._loading.loaded:
            self._say(self._loading.loaded)

    def _report(self, message: object) -> None:
        """Tell how the load goes; called from the loading thread."""
        self._say(message)
        self._outlet.wake()

    @property
    def _engine(self) -> Engine | None:
        """The engine once it is loaded."""
        return self._loading.engine if self._loading.loaded else None

    def _say(self, message: object) -> None:
        self._outlet.send(messages.encode_control(message))

    # --- requests

    def _submit(self, submit: messages.Submit, behind: Sequence[wire.Frame], now_s: float) -> None:
        header = wire.decode(behind, {"request": control.Request})
        key = self._streams.open(submit, header.id, now_s, heard_live=header.op in HEARD_LIVE)
        try:
            submission = self._submission(key, submit, header)
            if self._engine is None or self._leaving:
                raise ModelFailed(f"the process of {self._name} is {'leaving' if self._leaving else 'not loaded'}")
            self._engine.submit(submission)
        except InferenceError as refused:
            self._do(self._streams.events([(key, as_event(refused))], now_s))

    def _submission(self, key: StreamId, submit: messages.Submit, request: control.Request) -> Submission:
        return Submission(
            stream=key,
            model=submit.file.model if submit.file else self._name,
            operation=wire.operation_of(request),
            priority=submit.priority,
            salt=submit.salt,
            queue_s=submit.queue_s,
            load_s=submit.load_s,
            file=submit.file,
        )

    def _forward(self, stream: int, behind: Sequence[wire.Frame], now_s: float) -> None:
        try:
            message = wire.decode(behind, wire.FROM_APP)
        except InvalidRequest:
            self._do(self._streams.cancel(stream, now_s))
            raise
        match message:
            case control.Credit():
                self._do(self._streams.credit(stream, message, now_s))
            case control.Cancel():
                self._do(self._streams.cancel(stream, now_s))
            case control.Feed():
                self._do(self._streams.feed(stream, message, now_s))
            case _:
                self._tell(stream, message, now_s)

    def _tell(self, stream: int, message: object, now_s: float) -> None:
        engine = self._engine
        match message:
            case control.Finish() if engine and (key := self._streams.finish(stream)):
                engine.finish(key)
            case control.Pause() if engine and (key := self._streams.hold(stream, now_s, held=True)):
                engine.pause(key)
            case control.Resume() if engine and (key := self._streams.hold(stream, now_s, held=False)):
                engine.resume(key)
            case control.Played(_, epoch, played_ms) if engine and (key := self._streams.key(stream)):
                engine.played(key, epoch, played_ms)
            case _:  # about a stream that has ended
                pass

    def _do(self, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case Send(frames):
                    self._outlet.send(frames)
                case Grant(stream, may_produce) if self._engine:
                    self._engine.grant(stream, may_produce=may_produce)
                case Pass(stream, piece) if self._engine:
                    self._engine.feed(stream, piece)
                case Stop(stream, reason) if self._engine:
                    self._engine.cancel(stream, reason)
                case Grant() | Pass() | Stop():
                    pass  # no engine, so there is nothing to halt
                case _:
                    assert_never(command)

    # --- time

    def tick(self, now_s: float) -> float | None:
        """Carry on what the engine said; return when to be called next."""
        released = self._released.is_set()
        batch, windows = self._words.take()
        if batch:
            self._do(self._streams.events(batch, now_s))
            self._outlet.flush()  # what follows can wait, and an app cannot
        for key, limit_seq, limit_bytes in windows:
            self._do(self._streams.granted(key, limit_seq, limit_bytes, now_s))
        self._do(self._streams.timers(now_s))
        if self._words.is_urgent != self._is_urgent:
            self._is_urgent = self._words.is_urgent
            self._say(messages.Urgent(self._is_urgent))
        if released:
            self._say(messages.Left("told to"))
            self._outlet.close()
            return None
        self._give_sign(now_s)
        self._leave(now_s)
        due = (self._streams.next_s, self._alive_s + ALIVE_S if self._engine else None, self._leave_s)
        return min((one for one in due if one is not None), default=None)

    def _give_sign(self, now_s: float) -> None:
        """Pass on that the engine's loop goes round: only if it did."""
        engine = self._engine
        if engine is None or now_s < self._alive_s + ALIVE_S:
            return
        self._alive_s = now_s
        if self._words.went_round():
            inflight = len(self._streams)
            self._say(messages.Alive(inflight, int(engine.stats()["steps"]), inflight == 0))

    def _leave(self, now_s: float) -> None:
        """Release the engine once its streams have ended, or had their grace."""
        if self._leave_s is None or self._leaving or (self._streams and now_s < self._leave_s):
            return
        self._leave_s = None
        self._leaving = threading.Thread(target=self._release, name="leaving", daemon=True)
        self._leaving.start()

    def _release(self) -> None:
        """Close the engine; runs in the leaving thread."""
        self._loading.close()
        self._released.set()
        self._outlet.wake()
