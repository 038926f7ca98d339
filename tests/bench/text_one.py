"""One stream through the daemon against the bare loop in a process of its own, greedy and with top_k 40."""

from __future__ import annotations

import asyncio
from typing import Final

from measure import Goal, Row
from text_bare import against_the_loop

STREAMS: Final = 1
ANSWER_TOKENS: Final = 64
"""About a second: long enough that neither the first token nor the clock decides."""
GOAL: Final = Goal(0.93, at_least=True)


def run(pairs: int) -> tuple[list[Row], list[str]]:
    """Return the rows and notes of this bench."""
    return asyncio.run(against_the_loop(STREAMS, ANSWER_TOKENS, GOAL, pairs))
