"""Streams through the daemon against the bare loop, both with the model loaded; they never compute at the same time.

Covers: what `text_one` and `text_eight` have in common. Rates are of whole answers, the reading of prompts included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from bare_side import Bare, bare_loop, better_count
from measure import Goal, Row, alternate_awaited, ratio_row
from ours import STANDARD, app, service
from questions import CHAINS, Question, stories
from traffic import Ask, Burst, together

CALIBRATIONS: Final = 3
TRIED_TOKENS: Final = 16
"""Of each answer while the bare loop's threads are chosen: beside other work the worse count does a token per second."""
WARM_UP: Final = 10_000
"""Number of the stories of which nothing is kept."""


async def against_the_loop(streams: int, answer_tokens: int, goal: Goal, pairs: int) -> tuple[list[Row], list[str]]:
    """Return a row for each sampler chain, and notes."""
    with service(STANDARD) as daemon, bare_loop(STANDARD) as bare:
        async with app(daemon) as ask:
            await together(ask, stories(WARM_UP, streams, 8))

            async def calibrate(threads: int, at: int) -> float:
                return (await bare(stories(WARM_UP + at, streams, TRIED_TOKENS), threads)).rate

            threads, found = await better_count(calibrate, CALIBRATIONS)
            rows, notes = list[Row](), [f"bare loop of {streams}: tokens with {found}", STANDARD.note]
            for chain in CHAINS:
                asked = partial(stories, streams=streams, max_tokens=answer_tokens, chain=chain)
                taken = await alternate_awaited(partial(_ours, ask, asked), partial(_loop, bare, threads, asked), pairs)
                rates = [(ours.rate, theirs.rate) for ours, theirs in taken]
                rows.append(ratio_row(f"{streams} streamed ({chain}) / bare loop", "tokens/s", rates, goal))
                notes.append(f"{streams} streamed ({chain}): {_same(taken)}")
    return rows, notes


Asked = Callable[[int], Sequence[Question]]
"""The questions of a pair."""


async def _ours(ask: Ask, asked: Asked, number: int) -> Burst:
    return await together(ask, asked(number))


async def _loop(bare: Bare, threads: int, asked: Asked, number: int) -> Burst:
    return await bare(asked(number), threads)


def _same(taken: list[tuple[Burst, Burst]]) -> str:
    """Tell how equal the work was."""
    answers = [(one, two) for ours, theirs in taken for one, two in zip(ours.heard, theirs.heard, strict=True)]
    same = sum(ours.text == theirs.text for ours, theirs in answers)
    prompts = all(ours.prompt_tokens == theirs.prompt_tokens for ours, theirs in answers)
    tokens = sum(ours.tokens for ours, _ in answers), sum(theirs.tokens for _, theirs in answers)
    return (
        f"{same} of {len(answers)} answers are the same text both ways; {tokens[0]} and {tokens[1]} tokens; "
        f"prompts of {'equal' if prompts else 'DIFFERENT'} length"
    )
