"""Eight streams through the daemon against the bare loop with a hand-made batch of eight, greedy and with top_k 40."""

from __future__ import annotations

import asyncio
from typing import Final

from measure import Goal, Row
from text_bare import against_the_loop

STREAMS: Final = 8
ANSWER_TOKENS: Final = 48
GOAL: Final = Goal(0.93, at_least=True)


def run(pairs: int) -> tuple[list[Row], list[str]]:
    """Return the rows and notes of this bench."""
    return asyncio.run(against_the_loop(STREAMS, ANSWER_TOKENS, GOAL, pairs))
