"""The bare loop's side of the text benches: a child that holds the model and answers all questions of a burst at once.

See `bare_loop` for what it does. Waiting for it leaves the event loop free, so that the SDK's line stays alive meanwhile.
"""

from __future__ import annotations

import asyncio
import signal
import statistics
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Final

from child import Child
from ours import Room, model_file
from questions import Question
from servers import CORES
from traffic import Burst, Heard

TRY_S: Final = 20.0
"""Beside other work a thread per core may do a token per second: that is known to be the worse count long before it ends."""

Bare = Callable[[Sequence[Question], int], Awaitable[Burst]]
"""Answers all questions at once with so many threads. Cancelling ends the answers."""


@contextmanager
def bare_loop(room: Room) -> Iterator[Bare]:
    """Run the child for the length of a block."""
    with Child("bare_loop.py", str(model_file()), str(room.cache_tokens), str(room.slots)) as child:
        child.hear()

        async def answer(questions: Sequence[Question], threads: int) -> Burst:
            orders = [{"messages": one.messages, **one.options} for one in questions]
            child.tell(questions=orders, threads=threads)
            hearing = asyncio.ensure_future(asyncio.to_thread(child.hear))
            try:
                told = await asyncio.shield(hearing)
            except asyncio.CancelledError:
                child.signal(signal.SIGUSR1)
                await hearing
                raise
            return Burst(tuple(Heard(**{**one, "arrivals_s": tuple(one["arrivals_s"])}) for one in told["heard"]))

        yield answer


async def _within(limit_s: float, rate: Awaitable[float]) -> float:
    try:
        async with asyncio.timeout(limit_s):
            return await rate
    except TimeoutError:
        return 0.0


def thread_counts() -> tuple[int, ...]:
    """Return the counts of which a reference takes its better one."""
    return (1,) if CORES == 1 else (1, CORES)


async def better_count(rate: Callable[[int, int], Awaitable[float]], tries: int) -> tuple[int, str]:
    """Return the thread count with the higher median rate of so many tries in turn, and a note of both.

    `rate(threads, at)`: `at` is another number in each try, for a question that is in nobody's cache. A count that does not
    come to an end within `TRY_S` has a rate of 0, and is not tried again.
    """
    rates: dict[int, list[float]] = {threads: [] for threads in thread_counts()}
    at = count()
    for _ in range(tries):
        for threads, found in rates.items():
            if 0.0 not in found:
                found.append(await _within(TRY_S, rate(threads, next(at))))
    rates = {threads: [0.0] if 0.0 in found else found for threads, found in rates.items()}
    medians = {threads: statistics.median(found) for threads, found in rates.items()}
    said = ", ".join(f"{threads} thread{'s' * (threads > 1)} {rate:.1f}" for threads, rate in medians.items())
    return max(medians, key=medians.__getitem__), f"{said} per s"
