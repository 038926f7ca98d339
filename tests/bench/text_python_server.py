"""Eight streams at once through the daemon, against llama-cpp-python's own server, which answers one after the other.

That server is judged with the better of one thread and one per core.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from functools import partial
from typing import Final

from bare_side import better_count, thread_counts
from measure import Goal, Row, alternate_awaited, ratio_row
from ours import STANDARD, app, service
from questions import stories
from servers import llama_cpp_python
from traffic import Ask, Burst, together

STREAMS: Final = 8
ANSWER_TOKENS: Final = 32
TRIED_TOKENS: Final = 16
CALIBRATIONS: Final = 3
WARM_UP: Final = 10_000
GOAL: Final = Goal(1.7, at_least=True)


def run(pairs: int) -> tuple[list[Row], list[str]]:
    """Return the rows and notes of this bench."""
    return asyncio.run(_run(pairs))


async def _run(pairs: int) -> tuple[list[Row], list[str]]:
    with service(STANDARD) as daemon, ExitStack() as stack:
        servers = {
            threads: stack.enter_context(llama_cpp_python(STANDARD, threads=threads)).ask for threads in thread_counts()
        }

        async def calibrate(threads: int, at: int) -> float:
            return (await together(servers[threads], stories(WARM_UP + at, 1, TRIED_TOKENS))).rate

        async with app(daemon) as ask:
            threads, said = await better_count(calibrate, CALIBRATIONS)
            await _burst(ask, WARM_UP)
            taken = await alternate_awaited(partial(_burst, ask), partial(_burst, servers[threads]), pairs)
    rates = [(mine.rate, theirs.rate) for mine, theirs in taken]
    counted = sum(mine.tokens for mine, _ in taken), sum(theirs.tokens for _, theirs in taken)
    return [ratio_row(f"{STREAMS} streamed / llama_cpp.server", "tokens/s", rates, GOAL)], [
        f"llama_cpp.server, interrupt_requests off: tokens with {said}; {counted[0]} tokens of ours and {counted[1]} of its"
    ]


async def _burst(ask: Ask, number: int) -> Burst:
    return await together(ask, stories(number, STREAMS, ANSWER_TOKENS))
