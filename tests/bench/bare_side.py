"""The bare loop's side of the text benches: a child that holds the model and answers all questions of a burst at once.

See `bare_loop` for what it does. Waiting for it leaves the event loop free, so that the SDK's line stays alive meanwhile.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

from child import Child
from ours import Room, model_file
from questions import Question
from servers import CORES
from traffic import Burst, Heard

Bare = Callable[[Sequence[Question], int], Awaitable[Burst]]
"""Answers all questions at once with so many threads."""


@contextmanager
def bare_loop(room: Room) -> Iterator[Bare]:
    """Run the child for the length of a block."""
    with Child("bare_loop.py", str(model_file()), str(room.cache_tokens), str(room.slots)) as child:
        child.hear()

        async def answer(questions: Sequence[Question], threads: int) -> Burst:
            orders = [{"messages": one.messages, **one.options} for one in questions]
            told = await asyncio.to_thread(child.ask, questions=orders, threads=threads)
            return Burst(tuple(Heard(**{**one, "arrivals_s": tuple(one["arrivals_s"])}) for one in told["heard"]))

        yield answer


def thread_counts() -> tuple[int, ...]:
    """Return the counts of which a reference takes its better one."""
    return (1,) if CORES == 1 else (1, CORES)


async def better_count(rate: Callable[[int], Awaitable[float]], tries: int) -> tuple[int, str]:
    """Return the thread count with the higher median rate of so many tries in turn, and a note of both."""
    rates: dict[int, list[float]] = {threads: [] for threads in thread_counts()}
    for _ in range(tries):
        for threads, found in rates.items():
            found.append(await rate(threads))
    medians = {threads: statistics.median(found) for threads, found in rates.items()}
    said = ", ".join(f"{threads} thread{'s' * (threads > 1)} {rate:.1f}" for threads, rate in medians.items())
    return max(medians, key=medians.__getitem__), f"{said} tokens/s"
