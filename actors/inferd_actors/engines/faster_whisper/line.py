"""Whose pass is next: one model hears one thing at a time.

Covers: the order. Pure. Chosen anew at every pass, among those who wait for one, so that whoever turns up with more right is
next, and nobody can be asked twice while another one waits:

1. the higher class
2. final texts, then suspicions of one, which hold a stream up, then partial texts and pieces of files
3. the oldest sound: a stream that was just heard has newer sound than all who wait
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from inferd.messages.control import PRIORITIES, Priority
from inferd_actors.engine import StreamId

RANKS: Final[Mapping[str, int]] = MappingProxyType({"final": 0, "suspicion": 1, "partial": 2, "piece": 2})


@dataclass(frozen=True, slots=True)
class Turn:
    """Somebody who wants a pass."""

    stream: StreamId
    priority: Priority
    kind: Literal["final", "suspicion", "partial", "piece"]
    since_s: float
    """When its sound had come."""


def next_turn(waiting: Iterable[Turn]) -> Turn | None:
    """Return who is next; None if nobody waits."""
    return min(waiting, key=_right, default=None)


def _right(turn: Turn) -> tuple[int, int, float, int]:
    return PRIORITIES.index(turn.priority), RANKS[turn.kind], turn.since_s, turn.stream
