"""The requests of one session, each from its call to its one end.

Covers: sending, windows, receiving in order, cancel, deadlines, what a broken line means. Does not cover the hello:
that is `session`. Pure.

What a lost line means for a request, in this order:
1. the app has cancelled or left it: ended here, cancelled there with the next hello
2. it may not run twice and cannot go on elsewhere (a stop that was sent; an accepted uplink, whose pieces on their way are
   lost): ConnectionLost
3. accepted: kept for `RECONNECT_PATIENCE_S`, then reattached behind the last event seen
4. not accepted: kept for `connect_timeout_s` and sent again with the same id; the daemon knows the ids that it has
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Final

from inferd import endings, wire
from inferd.calls import Cancel, Consumed, Delivery, Item, Leave, Mailbox, Open, Say
from inferd.effects import NEVER_S
from inferd.errors import InferenceError, InvalidRequest
from inferd.live import Live, Order, Stage
from inferd.messages import control, events, operations
from inferd.windows import Windows

if TYPE_CHECKING:
    from inferd.effects import Effects

RECONNECT_PATIENCE_S: Final = 30.0
"""How long an accepted request waits for the line to come back: a daemon's restart on a busy machine, with room."""
CANCEL_PATIENCE_S: Final = 10.0
"""How long a cancelled request waits for its end: the daemon gives an actor as long before it ends the stream itself."""
ONCE: Final = frozenset({wire.tag(operations.Stop)})
"""Operations that must not reach a second daemon: a stop meant for the old one would end its successor."""


class Requests:
    """Everything that was asked and has not ended."""

    def __init__(self, effects: Effects, where: str, connect_timeout_s: float) -> None:
        self._effects = effects
        self._where = where
        self._connect_timeout_s = connect_timeout_s
        self._live: dict[int, Live] = {}
        self._up = False
        self._limits = control.Limits()
        self._windows = Windows(self._limits.window_events, self._limits.inflight)
        self._abandoned: list[int] = []
        """Requests of a lost line that the daemon should end when it hears from us again."""

    # --- the line

    def line_up(self, limits: control.Limits, *, same_instance: bool) -> None:
        """Go on with everything on a new connection."""
        self._up, self._limits = True, limits
        self._windows = Windows(limits.window_events, limits.inflight)
        for request in self._abandoned if same_instance else ():
            self._effects.send(control.Cancel(request))
        self._abandoned.clear()
        for live in list(self._live.values()):
            live.line_deadline_s = NEVER_S
            if live.stage is Stage.ACCEPTED:
                self._windows.grant(live.call.request, live.limit_seq - live.used_seq)
                self._effects.send(live.reattach())
            else:
                self._send(live)

    def line_down(self, now_s: float) -> None:
        """Decide for each request what the loss of the line means."""
        self._up = False
        for live in list(self._live.values()):
            self._outlive(live, now_s)

    def end_all(self, reason: InferenceError) -> None:
        """End every request: there is no daemon for it."""
        self._up = False
        for live in list(self._live.values()):
            self._end(live, reason)

    def distrust(self, reason: InferenceError, now_s: float) -> None:
        """End every request that an unreadable message may have been about, here and there."""
        for live in list(self._live.values()):
            self._abandon(live, reason, now_s)

    def _outlive(self, live: Live, now_s: float) -> None:
        """Take the decision that the module's docstring numbers."""
        accepted, op = live.stage is Stage.ACCEPTED, live.call.draft.op
        if live.left or live.cancelled:  # 1
            self._abandon(live, endings.left(), now_s)
        elif (live.stage is Stage.SENT and op in ONCE) or (accepted and (op in ONCE or live.call.grants)):  # 2
            self._abandon(live, endings.lost(self._where, started=accepted), now_s)
        elif accepted:  # 3
            live.line_deadline_s = self._effects.look_in(RECONNECT_PATIENCE_S, now_s)
        else:  # 4
            live.stage = Stage.UNSENT
            live.line_deadline_s = self._effects.look_in(self._connect_timeout_s, now_s)

    # --- the app

    def open(self, call: Open, now_s: float, refusal: InferenceError | None) -> None:
        """Begin a request, unless the daemon has refused us or would refuse it."""
        allowed = self._limits.inflight
        live = Live(call, asked_s=now_s, deadline_s=self._effects.look_in(call.draft.timeout_s, now_s))
        if refusal or len(self._live) >= allowed:
            self._tell_end(live, refusal or endings.overfull(len(self._live), allowed))
            return
        self._live[call.request] = live
        if self._up:
            self._send(live)
        else:
            live.line_deadline_s = self._effects.look_in(self._connect_timeout_s, now_s)

    def credit(self, consumed: Consumed) -> None:
        """Move a window behind what the app has taken."""
        live = self._live.get(consumed.request)
        if live is None or live.left:
            return
        live.grant(self._windows.grant(consumed.request, live.limit_seq - consumed.seq), consumed)
        if self._up:
            self._effects.send(live.credit())

    def say(self, say: Say, now_s: float) -> None:
        """Pass an uplink message on; one for a stream that is over is dropped."""
        live = self._live.get(say.request)
        if live and live.stage is Stage.ACCEPTED and not live.left and self._up:
            live.progress(now_s)
            self._effects.send_frames(say.frames)

    def cut(self, command: Cancel | Leave, now_s: float) -> None:
        """End a request early; after its end this is nothing."""
        live = self._live.get(command.request)
        if live is None or live.left:
            return
        if isinstance(command, Leave) or live.stage is Stage.UNSENT:
            self._abandon(live, endings.left(), now_s)
        elif not live.cancelled:
            live.cancelled = True
            self._send_cancel(live, now_s)

    def _send(self, live: Live) -> None:
        """Send a request, its first window inside; the daemon must not see it if it is past a limit."""
        live.grant(self._windows.grant(live.call.request))
        frames = live.call.draft.frames(live.call.request, live.window(), live.asked_s)
        try:
            wire.check_frames(frames, self._limits)
        except InvalidRequest as too_large:
            self._end(live, too_large)
            return
        live.stage, live.known = Stage.SENT, True
        self._effects.send_frames(frames)

    # --- the stream

    def arrive(self, arrival: wire.Arrival, now_s: float) -> None:
        """Take one event; of a request that has ended it is nothing."""
        live = self._live.get(arrival.request)
        if live is None:
            return
        live.stage = Stage.ACCEPTED
        live.progress(now_s)
        expected, order = live.seen_seq + 1, live.count(arrival)
        match arrival.event:
            case _ if order is Order.AGAIN:
                return
            case events.Error() as event:  # nothing incomplete can pass for complete: a gap before it does not matter
                self._end(live, endings.failure(event))
            case events.Cancelled() as event:  # what waited for a window was thrown away: a gap is usual
                self._end(live, endings.cancellation(event))
            case _ if order is Order.GAP:
                self._abandon(live, endings.gap(arrival.seq, expected), now_s)
            case event:
                self._show(live, event, live.receipt() if arrival.seq != wire.STATE_SEQ else None)

    def _show(self, live: Live, event: events.Event | None, receipt: Consumed | None) -> None:
        """Deliver an event that is the next of its stream. None, of a newer daemon, only moves the window."""
        if event is not None:
            live.latest = type(event)
        delivery = Delivery(event, receipt)
        terminal = type(event) in events.ENDS
        grants = live.call.grants
        if grants and (terminal or isinstance(event, events.Granted)):
            self._deliver(live, grants, delivery)
        if not isinstance(event, events.Granted):
            self._deliver(live, live.call.mailbox, delivery)
        if terminal:
            self._forget(live)

    # --- the end

    def expire(self, now_s: float, *, greeted: bool, complaint: str) -> float:
        """End what has waited too long; return when the next one will have. `greeted`, `complaint`: see `endings`."""
        for live in list(self._live.values()):
            if now_s >= live.due_s:
                self._expire(live, now_s, greeted=greeted, complaint=complaint)
        return min((live.due_s for live in self._live.values()), default=NEVER_S)

    def _expire(self, live: Live, now_s: float, *, greeted: bool, complaint: str) -> None:
        started = live.stage is Stage.ACCEPTED
        if live.left:
            self._forget(live)
        elif started and live.line_deadline_s < NEVER_S:  # whichever came first: it was the line that made no progress
            self._abandon(live, endings.lost(self._where, started=True), now_s)
        elif now_s >= live.line_deadline_s:
            self._abandon(live, endings.unreachable(self._where, self._connect_timeout_s, greeted=greeted), now_s)
        elif live.cancelled:
            self._end(live, endings.left("cancelled by the app; the daemon did not confirm it"))
        else:
            self._abandon(live, endings.late(live, complaint), now_s)

    def _abandon(self, live: Live, reason: InferenceError, now_s: float) -> None:
        """End a request for the app, and see to it that the daemon ends it too."""
        self._tell_end(live, reason)
        live.left = True
        if self._up and live.stage is not Stage.UNSENT:
            self._send_cancel(live, now_s)
            return
        if live.known:
            self._abandoned.append(live.call.request)
        self._forget(live)

    def _send_cancel(self, live: Live, now_s: float) -> None:
        self._effects.send(control.Cancel(live.call.request))
        live.deadline_s = self._effects.look_in(CANCEL_PATIENCE_S, now_s)

    def _end(self, live: Live, reason: InferenceError) -> None:
        self._tell_end(live, reason)
        self._forget(live)

    def _forget(self, live: Live) -> None:
        del self._live[live.call.request]
        self._windows.release(live.call.request)

    def _tell_end(self, live: Live, reason: InferenceError) -> None:
        self._deliver(live, live.call.mailbox, copy(reason))  # raised in several threads: each its own traceback
        if live.call.grants:
            self._deliver(live, live.call.grants, copy(reason))

    def _deliver(self, live: Live, mailbox: Mailbox, item: Item) -> None:
        if not live.left:
            self._effects.deliver(mailbox, item)
