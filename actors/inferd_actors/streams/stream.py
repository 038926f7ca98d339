"""One live request: its numbers, its window, what waits for it, and its one end.

Covers: when an event may go, and as which one. Does not cover grouping by app and the table of all streams: `table`. Pure.

What becomes of a terminal event, in this order:
1. the daemon or this process has already said why the stream ends: that reason stands in for the engine's `cancelled`
2. cancelled or failed: what still waits is thrown away, and the end goes out at once
3. only text waits: it goes out in front of the end, whatever the window says
4. sound waits: it goes out as credit allows, and then the end
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd import wire
from inferd.messages.events import Cancelled, Error, Usage
from inferd_actors.messages import Facts, Inflight, Submit
from inferd_actors.streams.backlog import Backlog
from inferd_actors.streams.replay import Replay
from inferd_actors.streams.uplink import Uplink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferd.messages.events import CancelReason, Content, Event, Terminal
    from inferd.wire import PackedEvent
    from inferd_actors.engine import StreamId


class Stream:
    """A request from submit to the moment when its terminal event is on its way."""

    def __init__(self, key: StreamId, submit: Submit, request: int, now_s: float, *, heard_live: bool = False) -> None:
        self.key = key
        self.number = submit.stream
        self.session = submit.session
        self.submit = submit
        self.request = request
        self.uplink = Uplink()
        self.replay = Replay()
        self.seen_seq = 0
        self.last_seq = 0
        self.ended = False
        """The terminal event has its number."""
        self.verdict: Error | None = None
        """Why it ends, when the engine is only told to stop."""
        self.may_produce = True
        self.held = False
        """The app has paused it."""
        self.parked = False
        """The engine has given its slot to a more urgent one."""
        self.stalled_s: float | None = None
        """Since when something waits and the app has acknowledged nothing; None: nothing waits."""
        self.starved_s: float | None = None
        """Since when the engine could take more of what it hears live and the app has fed nothing; None: it could not."""
        self._heard_live = heard_live
        self._limit_seq = submit.limit_seq
        self._limit_bytes = submit.limit_bytes
        self._sent_bytes = 0
        self._backlog = Backlog()
        self._terminal: Terminal | None = None
        self._usage = Usage()
        self._began_s = now_s
        self._first_s: float | None = None

    @property
    def concluded(self) -> bool:
        """Whether the engine has said its last word about it."""
        return self._terminal is not None

    @property
    def awaits_app(self) -> bool:
        """Whether its app may come too late: with credit, or with sound."""
        return self.stalled_s is not None or self.starved_s is not None

    def listen(self, now_s: float) -> None:
        """Wait for sound from now on, if the engine holds a slot for it and could take some."""
        engaged = self._heard_live and not (self.concluded or self.held or self.parked)
        self.starved_s = now_s if engaged and self.uplink.is_open else None

    def state(self, event: Event) -> PackedEvent:
        """Return a state event, packed: it is outside the numbers and the window."""
        return wire.pack_event(self.request, wire.STATE_SEQ, event)

    def add(self, event: Content, now_s: float) -> list[PackedEvent]:
        """Return what goes out because the engine produced this."""
        if self._first_s is None:
            self._first_s = now_s
        if isinstance(event, Usage):
            self._usage = event
        if not self._backlog and self._open:
            return [self._number(event)]
        self._backlog.add(event)
        if self.stalled_s is None:
            self.stalled_s = now_s
        return []

    def conclude(self, event: Terminal) -> list[PackedEvent]:
        """Return what goes out because the engine ended the stream; a second end changes nothing."""
        if self._terminal is not None:
            return []
        self._terminal = self.verdict if self.verdict and isinstance(event, Cancelled) else event  # 1
        self.starved_s = None
        if isinstance(self._terminal, Cancelled | Error):  # 2
            self._backlog.clear()
        return self._flow()

    def widen(self, seen_seq: int, limit_seq: int, limit_bytes: int, now_s: float) -> list[PackedEvent]:
        """Return what goes out because of this credit; numbers lower than before, or invented, change nothing."""
        seen_seq = min(seen_seq, self.last_seq)
        if seen_seq > self.seen_seq or limit_seq > self._limit_seq or limit_bytes > self._limit_bytes:
            self.stalled_s = now_s if self._backlog else None
        self.seen_seq = max(self.seen_seq, seen_seq)
        self.replay.forget(self.seen_seq)
        self._limit_seq = max(self._limit_seq, limit_seq)
        self._limit_bytes = max(self._limit_bytes, limit_bytes)
        return self._flow()

    def give_up(self, reason: CancelReason) -> list[PackedEvent]:
        """Return the end of a stream that does not wait for its engine: it is done with it, or not to be asked."""
        self._terminal = self.verdict or Cancelled(reason, self._usage)
        self._backlog.clear()
        return self._flow()

    def renumber(self, session: int, number: int, seen_seq: int) -> Sequence[PackedEvent] | None:
        """Go on under a new daemon's numbers; return what its app has not seen, None if some of that is gone."""
        self.session, self.number, self.seen_seq = session, number, seen_seq
        return self.replay.behind(seen_seq)

    def halt_changed(self) -> bool:
        """Tell whether the engine is to hear a new `may_produce`, which is set here."""
        wanted = not self._backlog.is_full and (self.may_produce or not self._backlog)
        changed = wanted != self.may_produce
        self.may_produce = wanted
        return changed and not self.concluded

    def _flow(self) -> list[PackedEvent]:
        flowing: list[PackedEvent] = []
        while self._backlog and (self._open or (self._terminal and self._backlog.is_text)):  # 3, 4
            flowing.append(self._number(self._backlog.take()))
        if not self._backlog:
            self.stalled_s = None
            if self._terminal and not self.ended:
                flowing.append(self._number(self._terminal))
                self.ended = True
        return flowing

    @property
    def _open(self) -> bool:
        return self.last_seq < self._limit_seq and self._sent_bytes < self._limit_bytes

    def _number(self, event: Event) -> PackedEvent:
        self.last_seq += 1
        packed = wire.pack_event(self.request, self.last_seq, event)
        size_bytes = packed.size_bytes
        self._sent_bytes += size_bytes
        self.replay.add(packed, size_bytes)
        return packed

    # --- what the daemon is told

    def facts(self, now_s: float) -> Facts:
        """Return what the daemon books for a stream that has ended."""
        end = self._terminal
        usage = getattr(end, "usage", self._usage)
        return Facts(
            code=end.code if isinstance(end, Error) else "cancelled" if isinstance(end, Cancelled) else "done",
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            first_event_s=None if self._first_s is None else self._first_s - self._began_s,
            busy_s=now_s - self._began_s,
        )

    def inflight(self) -> Inflight:
        """Return how a new daemon would know this stream."""
        known = self.submit
        return Inflight(
            app_session=known.app_session,
            app=known.app,
            request=self.request,
            last_seq=self.last_seq,
            seen_seq=self.seen_seq,
            priority=known.priority,
            trace_id=known.trace_id,
        )
