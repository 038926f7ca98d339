"""The loop of the echo engine: one thread that steps all streams together, as a batching engine does.

Covers: steps, halts, ends. Does not cover what is said (`talk`, `mirror`), who works (`seats`), when (`pace`), `loading`.
One step gives every stream that may produce one word, so its events make one batch; in between the thread sleeps.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from mmap import mmap
from typing import Final, assert_never

from inferd.errors import InferenceError, QueueFull, UnsupportedMode
from inferd.messages.control import Feed
from inferd.messages.events import Cancelled, CancelReason, Finished, Parked, Resumed, Usage
from inferd.messages.operations import Generate, Loopback
from inferd_actors.engine import Capacity, EngineEvent, OnProgress, Sink, StreamId, Submission
from inferd_actors.engines import options as settings
from inferd_actors.engines.desk import ALIVE_S, Begin, Desk, Drop, Flow, Hear, Hold, Order, Take, TakeNoMore
from inferd_actors.engines.echo import talk
from inferd_actors.engines.echo.loading import pretend
from inferd_actors.engines.echo.mirror import Mirror
from inferd_actors.engines.echo.options import Options
from inferd_actors.engines.echo.pace import Pace
from inferd_actors.engines.echo.seats import Seats
from inferd_actors.engines.echo.talk import Talk
from inferd_actors.refusals import as_event

WAITING: Final = 4_096
"""Streams that may wait for a slot here; the daemon keeps its own queue and sends hardly more than there are slots."""


@dataclass(slots=True)
class Stream:
    """A live request."""

    work: Talk | Mirror
    may_produce: bool = True
    held: bool = False
    parked: bool = False


class Echo(Desk):
    """The echo engine. See the engine contract for its methods."""

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self._options = Options()
        self._ballast: mmap | None = None
        self._streams: dict[StreamId, Stream] = {}
        self._seats = Seats(self._options.slots, self._options.can_park)
        self._producing: dict[StreamId, Talk] = {}
        """Seated answers that nothing halts."""
        self._batch: list[tuple[StreamId, EngineEvent]] = []
        self._pace = Pace(self._options.tokens_per_s)
        self._counters = dict.fromkeys(("steps", "prompt_tokens", "completion_tokens", "busy"), 0.0)

    # --- loading

    def load(self, path: str, options: Mapping[str, str | int | float | bool], on_progress: OnProgress) -> Capacity:
        """Take as long and as much memory as the options say; `path` is ignored."""
        del path
        self._options = chosen = settings.read(options, Options)
        self._ballast = pretend(chosen, on_progress, self._closing)
        self._seats = Seats(chosen.slots, chosen.can_park)
        self._pace = Pace(chosen.tokens_per_s)
        self._begin(self._loop, "echo")
        return Capacity(chosen.slots, chosen.can_park, chosen.context_tokens, chosen.memory_bytes)

    def stats(self) -> Mapping[str, float]:
        """Return the counters."""
        due = len(self._producing) + self._untaken
        return {**self._counters, "busy": float(len(self._streams)), "due": float(due)}

    # --- the loop

    def _loop(self) -> None:
        while not self._closing.is_set():
            for order in self._taken():
                self._obey(order)
            self._settle()
            self._step(time.monotonic())
            self._tell_urgent(is_urgent=any(one.submission.priority == "voice" for one in self._producing.values()))
            self._emit()
            self._sink.alive()
            left_s = self._pace.left_s(time.monotonic())
            self._rest(ALIVE_S if left_s is None else min(ALIVE_S, left_s))
        for order in self._taken():
            self._obey(order)
        for stream in tuple(self._streams):
            self._cancel(stream, "shutdown")
        self._emit()
        if self._ballast is not None:
            self._ballast.close()

    def _step(self, now_s: float) -> None:
        if not self._producing:
            self._pace.rest()
            return
        if not self._pace.due(now_s):
            return
        self._misbehave()
        if self._is_stuck:
            return
        for stream, answer in tuple(self._producing.items()):
            said_before = answer.said
            self._deliver(stream, answer.step())
            self._counters["completion_tokens"] += answer.said - said_before
        self._counters["steps"] += 1

    def _misbehave(self) -> None:
        crash, hang = self._options.crash_after_tokens, self._options.hang_after_tokens
        said = max(answer.said for answer in self._producing.values()) if crash or hang else 0
        if crash and said >= crash:
            os.kill(os.getpid(), signal.SIGKILL)
        if hang and said >= hang:
            self._closing.wait()

    @property
    def _is_stuck(self) -> bool:
        """Whether it pretends to work."""
        stuck = self._options.stick_after_tokens
        return bool(stuck) and any(answer.said >= stuck for answer in self._producing.values())

    def _deliver(self, stream: StreamId, events: list[EngineEvent]) -> None:
        self._batch += ((stream, event) for event in events)
        if events and isinstance(events[-1], Finished):
            self._forget(stream)

    def _emit(self) -> None:
        if self._batch:
            batch, self._batch = self._batch, []
            self._sink.emit(batch)

    # --- orders

    def _obey(self, order: Order) -> None:
        match order:
            case Begin(submission):
                self._admit(submission)
            case Take(stream, piece):
                self._take(stream, piece)
            case TakeNoMore(stream):
                if (live := self._streams.get(stream)) and isinstance(live.work, Mirror):
                    live.work.complete = True
                    self._refresh(stream)
            case Flow(stream, may_produce):
                if live := self._streams.get(stream):
                    live.may_produce = may_produce
                    self._refresh(stream)
            case Hold(stream, held):
                if live := self._streams.get(stream):
                    live.held = held
                    self._refresh(stream)
            case Drop(stream, reason):
                self._cancel(stream, reason)
            case Hear():
                pass
            case _:
                assert_never(order)

    def _admit(self, submission: Submission) -> None:
        try:
            self._streams[submission.stream] = Stream(self._begun(submission))
        except InferenceError as refused:
            self._batch.append((submission.stream, as_event(refused)))
        else:
            self._seats.join(submission)

    def _begun(self, submission: Submission) -> Talk | Mirror:
        most = self._options.slots + WAITING
        if len(self._streams) >= most:
            raise QueueFull(f"{len(self._streams):,} streams live here and {most:,} may", details={"limit": most})
        match submission.operation:
            case Generate() as asked:
                answer = talk.begin(submission, asked, self._options.context_tokens)
                self._counters["prompt_tokens"] += answer.prompt_tokens
                return answer
            case Loopback(rate_hz):
                return Mirror(submission, rate_hz)
            case other:
                operation = type(other).__name__
                raise UnsupportedMode(f"the echo engine does not serve {operation}", details={"operation": operation})

    def _take(self, stream: StreamId, piece: Feed) -> None:
        live = self._streams.get(stream)
        if live is None or not isinstance(live.work, Mirror):
            return
        try:
            live.work.take(piece)
        except InferenceError as refused:
            self._batch.append((stream, as_event(refused)))
            self._forget(stream)
        else:
            self._refresh(stream)

    def _cancel(self, stream: StreamId, reason: CancelReason) -> None:
        live = self._streams.get(stream)
        if live is not None:
            usage = live.work.usage if isinstance(live.work, Talk) else Usage()
            self._batch.append((stream, Cancelled(reason, usage)))
            self._forget(stream)

    def _forget(self, stream: StreamId) -> None:
        self._streams.pop(stream, None)
        self._producing.pop(stream, None)
        self._seats.leave(stream)

    # --- who works

    def _settle(self) -> None:
        sat, rose = self._seats.settle()
        for stream in sorted(rose):
            self._streams[stream].parked = True
            self._batch.append((stream, Parked()))
            self._refresh(stream)
        for stream in sorted(sat):
            if self._streams[stream].parked:
                self._streams[stream].parked = False
                self._batch.append((stream, Resumed()))
            self._refresh(stream)

    def _refresh(self, stream: StreamId) -> None:
        """Bring a stream's part in the loop in line with its seat and its halts."""
        live = self._streams[stream]
        works = stream in self._seats.seated and live.may_produce and not live.held
        match live.work:
            case Talk() as answer if works:
                self._producing[stream] = answer
            case Talk():
                self._producing.pop(stream, None)
            case Mirror() as mirror if works:
                self._deliver(stream, mirror.step())
                if stream in self._streams and (window := mirror.window()):
                    self._sink.grant(stream, *window)
            case Mirror():
                pass
            case _:
                assert_never(live.work)
