"""Pings and their pongs: signs of life of the daemon or of a model's process.

Covers: sending again after a reconnect, deadlines. Pure; part of `session`.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inferd import endings
from inferd.calls import Probe
from inferd.effects import NEVER_S
from inferd.errors import InferenceError, from_code
from inferd.messages import control

if TYPE_CHECKING:
    from inferd.effects import Effects


@dataclass(slots=True)
class Asked:
    """A ping without its pong."""

    probe: Probe
    deadline_s: float
    line_deadline_s: float = NEVER_S

    @property
    def due_s(self) -> float:
        """The earlier of its deadlines."""
        return min(self.deadline_s, self.line_deadline_s)


class Probes:
    """The pings of one session that are not answered yet."""

    def __init__(self, effects: Effects, where: str, connect_timeout_s: float) -> None:
        self._effects = effects
        self._where = where
        self._connect_timeout_s = connect_timeout_s
        self._asked: dict[int, Asked] = {}
        self._up = False

    def ask(self, probe: Probe, now_s: float) -> None:
        """Send a ping, now or when there is a line."""
        asked = self._asked[probe.nonce] = Asked(probe, self._effects.look_in(probe.timeout_s, now_s))
        if self._up:
            self._effects.send(control.Ping(probe.nonce, probe.model))
        else:
            asked.line_deadline_s = self._effects.look_in(self._connect_timeout_s, now_s)

    def answer(self, pong: control.Pong) -> None:
        """Deliver a pong, or the error in it; one that nobody waits for is nothing."""
        asked = self._asked.get(pong.nonce)
        if asked:
            reason = from_code(pong.code, pong.message) if pong.code else pong
            self._effects.deliver(asked.probe.mailbox, reason)
            del self._asked[pong.nonce]  # last, here and below: an interrupt may come between; nobody is forgotten

    def line_up(self) -> None:
        """Send again what was not answered: asking twice harms nobody."""
        self._up = True
        for asked in self._asked.values():
            asked.line_deadline_s = NEVER_S
            self._effects.send(control.Ping(asked.probe.nonce, asked.probe.model))

    def line_down(self, now_s: float) -> None:
        """Wait for another line."""
        self._up = False
        for asked in self._asked.values():
            asked.line_deadline_s = self._effects.look_in(self._connect_timeout_s, now_s)

    def end_all(self, reason: InferenceError) -> None:
        """Fail them all."""
        self._up = False
        for asked in self._asked.values():
            self._effects.deliver(asked.probe.mailbox, copy(reason))
        self._asked.clear()

    def expire(self, now_s: float, *, greeted: bool) -> float:
        """Fail those that have waited too long; return when the next one will have. `greeted`: see `endings`."""
        for nonce, asked in list(self._asked.items()):
            if now_s < asked.due_s:
                continue
            if now_s >= asked.line_deadline_s:
                end: InferenceError = endings.unreachable(self._where, self._connect_timeout_s, greeted=greeted)
            else:
                end = endings.unanswered(asked.probe.timeout_s, asked.probe.model)
            self._effects.deliver(asked.probe.mailbox, end)
            del self._asked[nonce]
        return min((asked.due_s for asked in self._asked.values()), default=NEVER_S)
