"""Whose piece is computed next, and who makes way. Pure.

1. the more urgent class, whatever the others need
2. in a class who runs out of sound first; who has none yet is out of it
3. who came first

A piece that is being computed makes way for a more urgent class, and in its own for somebody who has no sound yet if its
listener has `EASY_MS` left: it is begun again later, which costs less than the wait would.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from inferd_actors.engine import StreamId
from inferd_actors.engines import aside
from inferd_actors.engines.aside import VOICE

EASY_MS: Final = 1_000.0
FAR_MS: Final = 1_200.0
"""Sound that a listener has left for whom nothing is urgent: four times what a sentence takes beside other work (0.3 s on two
cores)."""


class Claim(NamedTuple):
    """A stream that has something to compute. Sorts as the turns are."""

    rank: int
    """Of its class, the most urgent first."""
    ahead_ms: float
    """Sound that its listener has left."""
    order: int
    stream: StreamId


def first(claims: Iterable[Claim]) -> Claim | None:
    """Return whose turn it is; None: nobody's."""
    return min(claims, default=None)


def can_wait(claim: Claim) -> bool:
    """Tell whether it steps aside for voice work elsewhere: by its class, or with a listener who has enough to hear."""
    return claim.ahead_ms >= FAR_MS if claim.rank == VOICE else aside.can_wait(claim.rank)


def makes_way(working: Claim, waiting: Claim) -> bool:
    """Tell whether the one that is computed is to be put off."""
    if waiting.rank != working.rank:
        return waiting.rank < working.rank
    return waiting.ahead_ms <= 0 and working.ahead_ms >= EASY_MS
