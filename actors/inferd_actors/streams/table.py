"""All live requests of a model's process.

Covers: the daemon's numbers ⇄ the engine's, what happens to whom, apps that are too slow, what a lost line means. Does not
cover one stream's window and end (`stream`), nor the messages' make-up (`sending`). Pure; the time comes in.
The engine knows streams by keys of this process: a restarted daemon gives them new numbers, and the engine need not hear.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from inferd.errors import ConnectionLost, DeadlineExceeded, InvalidRequest
from inferd.messages.events import (
    Content,
    Granted,
    Parked,
    Resumed,
)
from inferd_actors.engine import EngineEvent, StreamId
from inferd_actors.messages import Adopted, End, Inflight, Submit
from inferd_actors.refusals import as_event
from inferd_actors.streams.commands import Command, Grant, Pass, Stop
from inferd_actors.streams.sending import Flow, messages
from inferd_actors.streams.stream import Stream

if TYPE_CHECKING:
    from inferd.messages.control import Credit, Feed
    from inferd.messages.events import CancelReason
    from inferd.wire import PackedEvent

SLOW_READER_S: Final = 10.0
"""Without credit and with something waiting: the stream is ended and its slot given back."""
STARVED_FEED_S: Final = 10.0
"""Without sound for a stream that hears live and could take some: likewise. A microphone sends without a pause."""
LOOK_S: Final = 0.5
"""How often streams that wait for their apps are looked at while there are any."""
LOST_LINE_S: Final = 30.0
"""How long streams go on without a daemon, and ended ones are kept: as long as an app waits for the line to come back."""
ENDED_BYTES: Final = 4 * 2**20
"""Of events whose stream has ended and that the app has not acknowledged, all together."""


class Streams:
    """The requests between submit and terminal event. Every method returns at once and says what is to be done."""

    def __init__(self) -> None:
        self._keys = itertools.count(1)
        self._by_key: dict[StreamId, Stream] = {}
        self._by_number: dict[int, Stream] = {}
        self._awaiting: dict[StreamId, Stream] = {}
        """Those that wait for their apps."""
        self._ended: dict[StreamId, tuple[Stream, float]] = {}
        """With the moment of their end; only a new daemon asks for them."""
        self._ended_bytes = 0
        self._look_s = 0.0
        self._lost_s: float | None = None

    def __len__(self) -> int:
        return len(self._by_key)

    def open(self, submit: Submit, request: int, now_s: float, *, heard_live: bool = False) -> StreamId:
        """Take a request; return the key under which the engine is to know it. `heard_live`: see `uplink.HEARD_LIVE`."""
        key = StreamId(next(self._keys))
        stream = Stream(key, submit, request, now_s, heard_live=heard_live)
        self._by_key[key] = self._by_number[submit.stream] = stream
        return key

    def key(self, number: int) -> StreamId | None:
        """Return the engine's key for a live stream."""
        stream = self._by_number.get(number)
        return stream.key if stream else None

    # --- from the engine

    def events(self, batch: Iterable[tuple[StreamId, EngineEvent]], now_s: float) -> list[Command]:
        """Take the events of a step; those of streams that have ended are ignored."""
        outgoing: dict[StreamId, list[PackedEvent]] = {}
        for key, event in batch:
            stream = self._by_key.get(key)
            if stream is not None:
                outgoing.setdefault(key, []).extend(_told(stream, event, now_s))
        return self._went([(self._by_key[key], packed) for key, packed in outgoing.items()], now_s)

    def granted(self, key: StreamId, limit_seq: int, limit_bytes: int, now_s: float) -> list[Command]:
        """The engine takes more of the uplink."""
        stream = self._by_key.get(key)
        if stream is None:
            return []
        stream.uplink.widen(limit_seq, limit_bytes)
        if stream.starved_s is None:
            stream.listen(now_s)
        granted = stream.state(Granted(stream.uplink.limit_seq, stream.uplink.limit_bytes))
        return self._went([(stream, [granted])], now_s)

    # --- from the app

    def credit(self, number: int, credit: Credit, now_s: float) -> list[Command]:
        """The app acknowledges, and lets more through."""
        stream = self._by_number.get(number)
        if stream is None:
            return []
        return self._went([(stream, stream.widen(credit.seen_seq, credit.limit_seq, credit.limit_bytes, now_s))], now_s)

    def feed(self, number: int, piece: Feed, now_s: float) -> list[Command]:
        """The app feeds; a piece out of turn or past the window ends the stream `invalid_request`."""
        stream = self._by_number.get(number)
        if stream is None or stream.verdict:
            return []
        try:
            stream.uplink.check(piece)
        except InvalidRequest as wrong:
            stream.verdict = as_event(wrong)
            return self._stop(stream, "app", now_s)
        stream.listen(now_s)
        self._watch(stream)
        return [Pass(stream.key, piece)]

    def finish(self, number: int) -> StreamId | None:
        """The app has fed everything; return whom the engine is to tell, None if it has ended."""
        stream = self._by_number.get(number)
        if stream is None:
            return None
        stream.uplink.finish()
        stream.starved_s = None
        self._watch(stream)
        return stream.key

    def hold(self, number: int, now_s: float, *, held: bool) -> StreamId | None:
        """The app pauses or resumes; return whom the engine is to tell. A paused app may read and feed nothing."""
        stream = self._by_number.get(number)
        if stream is None:
            return None
        stream.held = held
        if stream.stalled_s is not None:
            stream.stalled_s = now_s
        stream.listen(now_s)
        self._watch(stream)
        return stream.key

    def cancel(self, number: int, now_s: float) -> list[Command]:
        """The app wants no more."""
        stream = self._by_number.get(number)
        return self._stop(stream, "app", now_s) if stream else []

    # --- from the daemon

    def end(self, order: End, now_s: float) -> list[Command]:
        """The daemon wants no more."""
        stream = self._by_number.get(order.stream)
        if stream is None:
            return []
        if order.reason != "deadline":
            return self._stop(stream, order.reason, now_s)
        timeout_s = stream.submit.timeout_ms / 1000
        late = f"nothing progressed for {timeout_s:g} s: ask with a longer timeout, or at a quieter time"
        stream.verdict = as_event(DeadlineExceeded(late, details={"timeout_s": timeout_s}))
        return self._stop(stream, "app", now_s)

    def lost(self, now_s: float) -> None:
        """The line is down: streams go on within their windows, and what they say is kept."""
        self._lost_s = now_s

    def inflight(self, now_s: float) -> tuple[Inflight, ...]:
        """Return what a new daemon has to know of each stream, ended ones whose end may be unheard included."""
        self._forget_ended(now_s - LOST_LINE_S)
        ended = [stream for stream, _ in self._ended.values()]
        return tuple(stream.inflight() for stream in (*self._by_key.values(), *ended))

    def welcome(self, adopted: Iterable[Adopted], now_s: float) -> list[Command]:
        """The line is up: go on with the adopted streams from what their apps have seen, end the others."""
        self._lost_s = None
        ended = [stream for stream, _ in self._ended.values()]
        known = {(one.submit.app_session, one.request): one for one in (*self._by_key.values(), *ended)}
        taken = [(known.pop(name), one) for one in adopted if (name := (one.app_session, one.request)) in known]
        live = [one.key for one in known.values() if one.key in self._by_key]
        for stream in known.values():
            self._forget(stream)
        self._by_number = {one.stream: stream for stream, one in taken if stream.key in self._by_key}
        adopting = (command for stream, one in taken for command in self._adopt(stream, one, now_s))
        return [*(Stop(key, "disconnected") for key in live), *adopting]

    def _adopt(self, stream: Stream, adopted: Adopted, now_s: float) -> list[Command]:
        unseen = stream.renumber(adopted.session, adopted.stream, adopted.seen_seq)
        if stream.stalled_s is not None:
            stream.stalled_s = now_s
        stream.listen(now_s)
        if unseen is not None:
            return self._went([(stream, unseen)], now_s)
        gone = "events behind the last one seen are no longer kept: ask again"
        stream.verdict = as_event(ConnectionLost(gone, details={"started": True}))
        stream.last_seq = adopted.seen_seq
        return [Stop(stream.key, "disconnected"), *self._went([(stream, stream.give_up("disconnected"))], now_s)]

    # --- time

    def timers(self, now_s: float) -> list[Command]:
        """End who has waited too long for its app, or for a daemon."""
        if self._lost_s is not None:
            return self._abandon() if now_s - self._lost_s >= LOST_LINE_S else []
        if now_s < self._look_s:
            return []
        self._look_s = now_s + LOOK_S
        commands: list[Command] = []
        for stream in tuple(self._awaiting.values()):
            if reason := _overdue(stream, now_s):
                commands += self._stop(stream, reason, now_s)
        return commands

    @property
    def next_s(self) -> float | None:
        """When `timers` has something to do, None: not by the clock."""
        if self._lost_s is not None:
            return self._lost_s + LOST_LINE_S if self._by_key else None
        return self._look_s if self._awaiting else None

    # --- common

    def _stop(self, stream: Stream, reason: CancelReason, now_s: float) -> list[Command]:
        if stream.concluded:
            return self._went([(stream, stream.give_up(reason))], now_s)
        return [Stop(stream.key, reason)]

    def _abandon(self) -> list[Command]:
        commands: list[Command] = [Stop(key, "disconnected") for key in self._by_key]
        for stream in tuple(self._by_key.values()):
            self._forget(stream)
        return commands

    def _went(self, flows: Sequence[Flow], now_s: float) -> list[Command]:
        """Bring the table in line with streams that just moved; return what follows from it."""
        commands: list[Command] = []
        for stream, _ in flows:
            if stream.halt_changed():
                commands.append(Grant(stream.key, stream.may_produce))
            self._settle(stream, now_s)
        if self._lost_s is None:
            commands += messages(flows, now_s)
        return commands

    def _settle(self, stream: Stream, now_s: float) -> None:
        if stream.ended and stream.key in self._by_key:
            self._forget(stream)
            self._ended[stream.key] = stream, now_s
            self._ended_bytes += stream.replay.size_bytes
            self._forget_ended(now_s - LOST_LINE_S)
        elif not stream.ended:
            self._watch(stream)

    def _watch(self, stream: Stream) -> None:
        if stream.awaits_app:
            self._awaiting[stream.key] = stream
        else:
            self._awaiting.pop(stream.key, None)

    def _forget(self, stream: Stream) -> None:
        self._by_key.pop(stream.key, None)
        self._awaiting.pop(stream.key, None)
        if self._by_number.get(stream.number) is stream:
            del self._by_number[stream.number]
        if self._ended.pop(stream.key, None):
            self._ended_bytes -= stream.replay.size_bytes

    def _forget_ended(self, before_s: float) -> None:
        while self._ended:
            stream, ended_s = next(iter(self._ended.values()))
            if ended_s >= before_s and self._ended_bytes <= ENDED_BYTES:
                return
            self._forget(stream)


def _told(stream: Stream, event: EngineEvent, now_s: float) -> Sequence[PackedEvent]:
    if stream.concluded:
        return ()
    if isinstance(event, Content):
        return stream.add(event, now_s)
    if isinstance(event, Parked | Resumed):
        stream.parked = isinstance(event, Parked)
        stream.listen(now_s)
        return [stream.state(event)]
    return stream.conclude(event)


def _overdue(stream: Stream, now_s: float) -> CancelReason | None:
    """Return why a stream has waited too long for its app, once; None if it has not."""
    stalled_s, starved_s = stream.stalled_s, stream.starved_s
    if stalled_s is not None and now_s - stalled_s >= SLOW_READER_S and not stream.held:
        stream.stalled_s = now_s
        return "slow_reader"
    if starved_s is not None and now_s - starved_s >= STARVED_FEED_S:
        stream.starved_s = now_s
        return "starved_feed"
    return None
