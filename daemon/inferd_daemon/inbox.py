"""Events on their way to a pure part, and its commands on their way out: one event at a time, to the end.

Covers: the order. Events that come of carrying out a command follow after all commands of the event before. Runs in the loop.
See also: `fleet`, `steward` and `custodian`, which have one each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from inferd_daemon.telemetry import survived

E = TypeVar("E")
C = TypeVar("C")


class Inbox(Generic[E, C]):
    """`decide(event, now_s)` returns commands, `carry_out(command, now_s)` may come back here with further events."""

    def __init__(self, decide: Callable[[E, float], Iterable[C]], carry_out: Callable[[C, float], None]) -> None:
        self._decide = decide
        self._carry_out = carry_out
        self._events: deque[E] = deque()
        self._is_open = False

    def put(self, *events: E, now_s: float) -> None:
        """Have these decided on and carried out, now or as soon as what is being carried out has been."""
        self._events += events
        if self._is_open:
            return
        self._is_open = True
        try:
            while self._events:
                for command in self._decide(self._events.popleft(), now_s):
                    with survived(type(command).__name__):  # the others are about other things, and booked already
                        self._carry_out(command, now_s)
        finally:
            self._is_open = False
