"""One and eight streams beside a process that takes all it can get of a core.

Against the bare loop with the better of one thread and one per core, tried in the same conditions; and against llama-server
as it starts by itself. The sampler chain changes from pair to pair.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from bare_side import Bare, bare_loop, better_count
from child import Child
from measure import Goal, Row, alternate_awaited, ratio_row
from ours import STANDARD, app, service
from questions import stories
from servers import llama
from traffic import Ask, Burst, together

TOKENS: Final[Mapping[int, int]] = {1: 16, 8: 8}
"""Streams → tokens of each answer; llama-server writes 2 to 6 tokens/s here, so that 48 would take half a minute each time."""
TRIED_TOKENS: Final = 8
"""Of each answer while the bare loop's threads are chosen: the worse count may do a token or two per second."""
CALIBRATIONS: Final = 3
WARM_UP: Final = 10_000
LOOP_GOAL: Final = Goal(0.95, at_least=True)
SERVER_GOAL: Final = Goal(1.5, at_least=True)


def run(pairs: int) -> tuple[list[Row], list[str]]:
    """Return the rows and notes of this bench."""
    return asyncio.run(_run(pairs))


async def _run(pairs: int) -> tuple[list[Row], list[str]]:
    with service(STANDARD) as daemon, bare_loop(STANDARD) as bare, llama(STANDARD) as server:
        async with app(daemon) as ask:
            with Child("spinner.py") as spinner:
                spinner.hear()
                rows, notes = list[Row](), list[str]()
                for streams, tokens in TOKENS.items():
                    found, said = await _compare(ask, bare, server.ask, streams, tokens, pairs)
                    rows += found
                    notes.append(said)
    return rows, notes


async def _compare(ours: Ask, bare: Bare, server: Ask, streams: int, tokens: int, pairs: int) -> tuple[list[Row], str]:
    async def calibrate(threads: int, at: int) -> float:
        return (await bare(stories(WARM_UP + at, streams, TRIED_TOKENS), threads)).rate

    async def through_daemon(number: int) -> Burst:
        return await together(ours, stories(number, streams, tokens))

    async def references(number: int) -> tuple[Burst, Burst]:
        asked = stories(number, streams, tokens)
        return await bare(asked, threads), await together(server, asked)

    threads, said = await better_count(calibrate, CALIBRATIONS)
    await through_daemon(WARM_UP)
    taken = await alternate_awaited(through_daemon, references, pairs)
    to_loop = [(mine.rate, loop.rate) for mine, (loop, _) in taken]
    to_server = [(mine.rate, theirs.rate) for mine, (_, theirs) in taken]
    return [
        ratio_row(f"busy: {streams} streamed / bare loop, better count", "tokens/s", to_loop, LOOP_GOAL),
        ratio_row(f"busy: {streams} streamed / llama-server", "tokens/s", to_server, SERVER_GOAL),
    ], f"busy: bare loop of {streams}: tokens with {said}"
