"""The decisions about waiting requests: one event in, commands out.

Covers: what each event does to the lines. Does not cover who may wait (`admission`) nor deadlines (`supervisor`, which
says `Withdrawn`). Pure.

Rules it keeps:
1. A request is dispatched at most once, and only to a model that is ready.
2. Classes are strict; within a class apps share fairly; within an app the oldest goes first.
3. Work is conserved: nobody waits while the rule for slots (`line`) leaves room.
4. A line that has nobody in it and whose model is not ready is forgotten.

Cost: a step takes time in the number of apps that wait for the model, not in the number of requests; only turning away
takes time in those who are turned away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

from inferd_daemon.scheduler import commands, events
from inferd_daemon.scheduler.line import NEVER_S, RANKS, Line, LineView
from inferd_daemon.scheduler.shares import Ticket

if TYPE_CHECKING:
    from inferd_daemon.catalogue.names import ModelId
    from inferd_daemon.ids import StreamNo

SHOWN_POSITIONS: Final = 32
"""So many requests of a line hear when their position changes; who is further back has heard it on entry. With all of
2,000 told at every dispatch, the line would cost more than the work."""

SHOW_EVERY_S: Final = 0.2
"""Positions of one line are shown five times a second at most: faster than that nobody reads."""


class Scheduler:
    """All lines. `step` is the only way to change anything; one caller, never at the same time."""

    def __init__(self) -> None:
        self._lines: dict[ModelId, Line] = {}
        self._tickets: dict[StreamNo, Ticket] = {}
        self._now_s = 0.0
        self._commands: list[commands.Command] = []

    def step(self, event: events.Event, now_s: float) -> list[commands.Command]:
        """Return what is to be done about `event`, in order."""
        self._now_s = now_s
        self._commands = []
        self._take(event)
        return self._commands

    def next_timer_s(self) -> float | None:
        """Return when `Ticked` is due; None: nothing waits for time to pass."""
        due_s = min((line.show_at_s for line in self._lines.values()), default=NEVER_S)
        return None if due_s == NEVER_S else due_s

    def view(self, model: ModelId) -> LineView:
        """Return how many requests run on `model` and wait for it."""
        line = self._lines.get(model)
        return LineView(len(line.running), line.n_waiting) if line else LineView()

    def waiting(self, model: ModelId) -> tuple[StreamNo, ...]:
        """Return who waits for `model`, the most urgent classes first; takes time in their number."""
        line = self._lines.get(model)
        return tuple(ticket.stream for ticket in line.waiting()) if line else ()

    def first(self, model: ModelId) -> Ticket | None:
        """Return who is expected to be served next of those who wait for `model`; None: nobody waits."""
        line = self._lines.get(model)
        return next(line.first(1), None) if line else None

    def running(self, model: ModelId) -> tuple[StreamNo, ...]:
        """Return who was dispatched to `model` and has not ended, the oldest dispatch first."""
        line = self._lines.get(model)
        return tuple(line.running) if line else ()

    def _take(self, event: events.Event) -> None:
        match event:
            case events.Queued():
                self._queued(event)
            case events.Withdrawn():
                self._withdrawn(event.stream)
            case events.Ended():
                self._ended(event)
            case events.ModelReady():
                self._ready(event)
            case events.ModelNotReady():
                self._not_ready(event.model)
            case events.WaitersRefused():
                self._turn_away(event.model)
            case events.Ticked():
                for line in self._lines.values():
                    self._show_positions(line)
            case _:
                assert_never(event)

    def _line(self, model: ModelId) -> Line:
        return self._lines.setdefault(model, Line(model))

    def _queued(self, event: events.Queued) -> None:
        if event.stream in self._tickets:
            return
        line = self._line(event.model)
        ticket = Ticket(event.stream, event.model, event.app, RANKS[event.priority], event.arrived_s)
        self._tickets[event.stream] = ticket
        line.add(ticket)
        if line.slots:
            self._serve(line)
        else:
            self._commands.append(commands.WantModel(line.model))
            self._moved(line)
        if ticket.stream not in line.running and not ticket.shown_position:
            self._show(ticket, line.n_ahead(ticket.rank))

    def _withdrawn(self, stream: StreamNo) -> None:
        ticket = self._tickets.get(stream)
        if ticket is not None and stream not in self._lines[ticket.model].running:
            self._drop(ticket, 0)

    def _ended(self, event: events.Ended) -> None:
        ticket = self._tickets.get(event.stream)
        if ticket is not None:
            self._drop(ticket, event.cost_tokens)

    def _drop(self, ticket: Ticket, cost_tokens: int) -> None:
        line = self._lines[ticket.model]
        was_running = ticket.stream in line.running
        del self._tickets[ticket.stream]
        line.drop(ticket, cost_tokens)
        if line.slots:
            self._serve(line)
            return
        self._moved(line)
        if was_running:
            self._report_emptied(line)
        self._forget(line)

    def _ready(self, event: events.ModelReady) -> None:
        line = self._line(event.model)
        line.slots, line.can_park = event.slots, event.can_park
        self._serve(line)

    def _not_ready(self, model: ModelId) -> None:
        line = self._line(model)
        line.slots = 0
        if line.n_waiting:
            self._commands.append(commands.WantModel(model))
        self._report_emptied(line)
        self._forget(line)

    def _turn_away(self, model: ModelId) -> None:
        line = self._line(model)
        for ticket in list(line.waiting()):
            del self._tickets[ticket.stream]
            line.drop(ticket, 0)
            self._commands.append(commands.TurnAway(ticket.stream))
        self._forget(line)

    # --- lines

    def _serve(self, line: Line) -> None:
        """Dispatch to a ready model for as long as the rule for slots allows."""
        while (ticket := line.take()) is not None:
            self._commands.append(commands.Dispatch(ticket.stream))
        self._moved(line)
        if not line.running:
            self._commands.append(commands.StartIdleClock(line.model))

    def _report_emptied(self, line: Line) -> None:
        if not line.running:
            self._commands.append(commands.ReportEmptied(line.model))

    def _forget(self, line: Line) -> None:
        if not (line.slots or line.running or line.n_waiting):
            del self._lines[line.model]

    # --- positions

    def _moved(self, line: Line) -> None:
        """Show the positions of a line that changed: at once after a quiet while, otherwise when it is time."""
        line.show_at_s = min(line.show_at_s, line.shown_s + SHOW_EVERY_S) if line.n_waiting else NEVER_S
        self._show_positions(line)

    def _show_positions(self, line: Line) -> None:
        if self._now_s < line.show_at_s:
            return
        line.show_at_s, line.shown_s = NEVER_S, self._now_s
        for position, ticket in enumerate(line.first(SHOWN_POSITIONS), start=1):
            if ticket.shown_position != position:
                self._show(ticket, position)

    def _show(self, ticket: Ticket, position: int) -> None:
        ticket.shown_position = position
        self._commands.append(commands.ShowPosition(ticket.stream, position))
