"""The first token of an urgent request while eight batch streams run, against the same request on an idle engine."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Final

from measure import Goal, Row, alternate_awaited, percentile, ratio_row
from ours import STANDARD, app, service
from questions import Question, story
from traffic import Ask, running, together

STREAMS: Final = 8
REQUESTS: Final = 20
"""Of each block: its 95th percentile has one above it."""
BATCH_TOKENS: Final = 512
"""So long that few of them end, and read a new prompt, within a block."""
VOICE, BATCH = 20_000, 30_000
"""First numbers of their stories."""
GOAL: Final = Goal(2.5)


def run(pairs: int) -> tuple[list[Row], list[str]]:
    """Return the row and notes of this bench."""
    return asyncio.run(_run(pairs))


async def _run(pairs: int) -> tuple[list[Row], list[str]]:
    numbers = count(VOICE)
    with service(STANDARD) as daemon:
        async with app(daemon, "bench-batch") as batch, app(daemon, "bench-voice") as voice:

            async def block(_: int) -> list[float]:
                return [await _first_ms(voice, next(numbers)) for _ in range(REQUESTS)]

            async def beside(at: int) -> list[float]:
                async with running(batch, STREAMS, lambda round_, stream: _batch(at, round_, stream)):
                    return await block(at)

            await beside(pairs)
            taken = await alternate_awaited(beside, block, pairs)
    firsts = [(percentile(ours, 0.95), percentile(idle, 0.95)) for ours, idle in taken]
    middle = [percentile([one for block in side for one in block], 0.5) for side in zip(*taken, strict=True)]
    return [ratio_row(f"voice beside {STREAMS} batch streams / idle: p95 first token", "ms", firsts, GOAL)], [
        f"voice: medians {middle[0]:.0f} ms beside, {middle[1]:.0f} ms idle; blocks of {REQUESTS} requests",
        STANDARD.note,
    ]


async def _first_ms(ask: Ask, number: int) -> float:
    question = Question(story(number, 0), max_tokens=1, priority="voice")
    return (await together(ask, [question])).heard[0].first_s * 1e3


def _batch(at: int, round_: int, stream: int) -> Question:
    return Question(story(BATCH + 100 * at + round_, stream), BATCH_TOKENS, priority="batch")
