"""Eight streams at once through the daemon, against llama-cpp-python's own server, which answers one after the other."""

from __future__ import annotations

import asyncio
from typing import Final

from measure import Goal, Row, alternate_awaited, ratio_row
from ours import STANDARD, app, service
from questions import stories
from servers import llama_cpp_python
from traffic import Ask, Burst, together

STREAMS: Final = 8
ANSWER_TOKENS: Final = 32
WARM_UP: Final = 10_000
GOAL: Final = Goal(1.7, at_least=True)


def run(pairs: int) -> tuple[list[Row], list[str]]:
    """Return the rows and notes of this bench."""
    return asyncio.run(_run(pairs))


async def _run(pairs: int) -> tuple[list[Row], list[str]]:
    with service(STANDARD) as daemon, llama_cpp_python(STANDARD) as server:
        async with app(daemon) as ask:
            for side in (ask, server.ask):
                await together(side, stories(WARM_UP, STREAMS, 2))
            taken = await alternate_awaited(lambda at: _burst(ask, at), lambda at: _burst(server.ask, at), pairs)
    rates = [(mine.rate, theirs.rate) for mine, theirs in taken]
    counted = sum(mine.tokens for mine, _ in taken), sum(theirs.tokens for _, theirs in taken)
    return [ratio_row(f"{STREAMS} streamed / llama_cpp.server", "tokens/s", rates, GOAL)], [
        f"llama_cpp.server: a thread per core, interrupt_requests off; {counted[0]} tokens of ours and {counted[1]} of its"
    ]


async def _burst(ask: Ask, number: int) -> Burst:
    return await together(ask, stories(number, STREAMS, ANSWER_TOKENS))
