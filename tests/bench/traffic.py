"""The load generator of the text benches: the same for every side, asking and taking times in one event loop.

Covers: what was heard of an answer, many answers at once, an answer side that goes on in the background. Does not cover how a
side is asked: `ours`, `http_side`, `bare_side`. Times are monotonic seconds, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count, pairwise

from measure import percentile
from questions import Question


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer."""

    asked_s: float
    arrivals_s: tuple[float, ...]
    """When each piece of text was in the app's hands; a piece is a token, or several that came together."""
    ended_s: float
    tokens: int
    """Of the answer, as the side counted them."""
    prompt_tokens: int
    """0: not told."""
    text: str

    @property
    def first_s(self) -> float:
        """Seconds from asking to the first text."""
        return self.arrivals_s[0] - self.asked_s

    @property
    def gaps_s(self) -> list[float]:
        """Seconds between one text and the next."""
        return [later - earlier for earlier, later in pairwise(self.arrivals_s)]


class Ear:
    """When the pieces of one answer came, told while they come."""

    def __init__(self) -> None:
        self.arrivals_s: list[float] = []
        self.begun = asyncio.Event()
        self.has_ended = False
        """Set by `running`: nothing more will come."""

    def hear(self) -> None:
        """Note a piece of text; called with it in hand."""
        self.arrivals_s.append(time.monotonic())
        self.begun.set()


Ask = Callable[[Question, Ear], Awaitable[Heard]]
"""Asks one side, which lets the ear hear; returns when the answer has ended."""


@dataclass(frozen=True, slots=True)
class Burst:
    """Answers that were asked for at once."""

    heard: tuple[Heard, ...]

    @property
    def tokens(self) -> int:
        """Of all answers."""
        return sum(one.tokens for one in self.heard)

    @property
    def rate(self) -> float:
        """Tokens per second of all together, from the first asking to the last end."""
        return self.tokens / (max(one.ended_s for one in self.heard) - min(one.asked_s for one in self.heard))

    @property
    def gap_p95_s(self) -> float:
        """The 95th percentile of the time between two pieces of text."""
        return percentile([gap for one in self.heard for gap in one.gaps_s], 0.95)


async def together(ask: Ask, questions: Sequence[Question]) -> Burst:
    """Ask everything at once and return when all has ended; one failure ends the others and is raised."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_ask(ask, question)) for question in questions]
    return Burst(tuple(task.result() for task in tasks))


async def _ask(ask: Ask, question: Question) -> Heard:
    return await ask(question, Ear())


@asynccontextmanager
async def running(ask: Ask, streams: int, question: Callable[[int, int], Question]) -> AsyncIterator[Sequence[Ear]]:
    """Keep so many streams going for the length of a block; yields the ears of all answers, those to come included.

    `question(round, stream)` is asked anew whenever its stream has ended. The block begins when all have said something.
    """
    ears = [Ear() for _ in range(streams)]
    first = tuple(ears)

    async def one(stream: int) -> None:
        ear = first[stream]
        for number in count():
            await ask(question(number, stream), ear)
            ear.has_ended = True
            ear = Ear()
            ears.append(ear)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(stream)) for stream in range(streams)]
        try:
            for ear in first:
                await ear.begun.wait()
            yield ears
        finally:
            for task in tasks:
                task.cancel()
