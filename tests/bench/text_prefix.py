"""The first token behind a shared prompt of 1,500 tokens that was read before, eight apps asking in turn; against llama-server.

Each app is a client of its own and says that its prompt is shared; llama-server finds it in its slots' and its prompt cache.
Only what follows the shared part is new: another question for each app and pair.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from itertools import count
from typing import Final

from bare_side import better_count, thread_counts
from measure import Goal, Row, alternate_awaited, ratio_row
from ours import Room, app, service
from questions import Question, long_prompt
from servers import llama
from traffic import Ask, Heard, together

APPS: Final = 8
SHARED_TOKENS: Final = 1_500
ROOM: Final = Room(context_tokens=2_048, slots=APPS, cache_tokens=16_384)
CALIBRATIONS: Final = 3
"""Rounds of all apps: in each but the first the shared part is in the cache."""
GOAL: Final = Goal(1.0)


def run(pairs: int) -> tuple[list[Row], list[str]]:
    """Return the rows and notes of this bench."""
    return asyncio.run(_run(pairs))


async def _run(pairs: int) -> tuple[list[Row], list[str]]:
    with service(ROOM) as daemon, ExitStack() as running:
        servers = {threads: running.enter_context(llama(ROOM, threads=threads)).ask for threads in thread_counts()}
        async with AsyncExitStack() as stack:
            apps = [await stack.enter_async_context(app(daemon, f"bench-{number}")) for number in range(APPS)]

            async def calibrate(threads: int, _at: int) -> float:
                return 1e3 / _median_ms(await _round([servers[threads]] * APPS, next(numbers)))

            numbers = count()
            threads, said = await better_count(calibrate, CALIBRATIONS)
            ours, theirs = partial(_round, apps), partial(_round, [servers[threads]] * APPS)
            cold = (await ours(next(numbers)))[0]
            first = next(numbers)
            await ours(first), await theirs(first)
            taken = await alternate_awaited(lambda at: ours(first + 1 + at), lambda at: theirs(first + 1 + at), pairs)
    firsts = [(_median_ms(mine), _median_ms(its)) for mine, its in taken]
    tokens = {heard.prompt_tokens for mine, its in taken for heard in (*mine, *its)}
    told = (
        f"prefix: prompts of {min(tokens):,} to {max(tokens):,} tokens, ours took {cold.first_s * 1e3:.0f} ms cold; "
        f"llama-server: --parallel {ROOM.slots} --ctx-size {ROOM.cache_tokens}, its prompt cache on, first tokens with {said}"
    )
    return [ratio_row(f"first token behind {SHARED_TOKENS:,} shared / llama-server", "ms", firsts, GOAL)], [
        told,
        ROOM.note,
    ]


async def _round(apps: Sequence[Ask], number: int) -> list[Heard]:
    """Let every app ask, one after the other."""
    return [(await together(ask, [_question(number, at)])).heard[0] for at, ask in enumerate(apps)]


def _question(number: int, at: int) -> Question:
    shared = {"role": "system", "content": long_prompt("Log book", SHARED_TOKENS)}
    own = {"role": "user", "content": f"Question {number} of app {at}: where is the ship?"}
    return Question([shared, own], max_tokens=2, shared_prefix=True)


def _median_ms(heard: Sequence[Heard]) -> float:
    return statistics.median(one.first_s for one in heard) * 1e3
