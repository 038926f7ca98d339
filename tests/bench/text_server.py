"""1, 4, 8 and 16 streams at once through the daemon, against llama-server with as many slots and as much cache.

Total tokens per second, and the 95th percentile of the time between two pieces of text. llama-server runs with one thread and
with one per core; for each number of streams it is judged by the better one. The sampler chain changes from pair to pair.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import Final

from bare_side import better_count, thread_counts
from measure import Goal, Row, alternate_awaited, ratio_row
from ours import STANDARD, app, service
from questions import stories
from servers import llama
from traffic import Ask, Burst, together

TOKENS: Final[Mapping[int, int]] = {1: 64, 4: 48, 8: 48, 16: 32}
"""Streams → tokens of each answer: one to four seconds for all."""
CALIBRATIONS: Final = 2
WARM_UP: Final = 10_000
RATE_GOAL: Final = Goal(0.97, at_least=True)
GAP_GOAL: Final = Goal(1 / 0.97)
SETTINGS: Final = (
    f"llama-server: --ctx-size {STANDARD.cache_tokens} --parallel {STANDARD.slots}, cache divided by slot, "
    "prompt cache on (its default), OpenMP (its default)"
)


def run(pairs: int) -> tuple[list[Row], list[str]]:
    """Return the rows and notes of this bench."""
    return asyncio.run(_run(pairs))


async def _run(pairs: int) -> tuple[list[Row], list[str]]:
    with service(STANDARD) as daemon, ExitStack() as stack:
        servers = {threads: stack.enter_context(llama(STANDARD, threads=threads)).ask for threads in thread_counts()}
        async with app(daemon) as ask:
            await together(ask, stories(WARM_UP, STANDARD.slots, 8))
            rows, notes = list[Row](), [SETTINGS, STANDARD.note]
            for streams, tokens in TOKENS.items():
                found, said = await _compare(ask, servers, streams, tokens, pairs)
                rows += found
                notes.append(said)
    return rows, notes


async def _compare(
    ours: Ask, servers: Mapping[int, Ask], streams: int, tokens: int, pairs: int
) -> tuple[list[Row], str]:
    async def calibrate(threads: int, at: int) -> float:
        return (await _burst(servers[threads], streams, tokens, WARM_UP + at)).rate

    threads, said = await better_count(calibrate, CALIBRATIONS)
    taken = await alternate_awaited(
        partial(_burst, ours, streams, tokens), partial(_burst, servers[threads], streams, tokens), pairs
    )
    rates = [(mine.rate, theirs.rate) for mine, theirs in taken]
    gaps = [(mine.gap_p95_s * 1e3, theirs.gap_p95_s * 1e3) for mine, theirs in taken]
    counted = sum(mine.tokens for mine, _ in taken), sum(theirs.tokens for _, theirs in taken)
    return (
        [
            ratio_row(f"{streams} streamed / llama-server", "tokens/s", rates, RATE_GOAL),
            ratio_row(f"{streams} streamed / llama-server: p95 between tokens", "ms", gaps, GAP_GOAL),
        ],
        f"llama-server, {streams} streamed: tokens with {said}; {counted[0]} tokens of ours and {counted[1]} of its in all",
    )


async def _burst(ask: Ask, streams: int, tokens: int, number: int) -> Burst:
    return await together(ask, stories(number, streams, tokens))
