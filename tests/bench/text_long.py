"""A prompt of 4,000 tokens beside four running streams: how fast it is read, and how long the streams fall silent.

Its reading is measured against the bare loop, which reads it alone in chunks of 512 with the better of one thread and one per
core. The gaps are those between two pieces of a running stream that overlap the reading.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from bare_side import bare_loop, better_count
from measure import Goal, Row, alternate_awaited, ratio_row, single_row
from ours import Room, app, service
from questions import Question, long_prompt, story
from traffic import Ear, Heard, running, together

STREAMS: Final = 4
PROMPT_TOKENS: Final = 4_000
TRIED_TOKENS: Final = 512
"""Of the prompt by which the bare loop's threads are chosen."""
ROOM: Final = Room(context_tokens=8_192, slots=STREAMS + 1, cache_tokens=16_384)
STREAM_TOKENS: Final = 1_500
"""More than come while the prompt is read: no stream should end meanwhile."""
CALIBRATIONS: Final = 3
PREFILL_GOAL: Final = Goal(0.85, at_least=True)
GAP_GOAL: Final = Goal(0.4)


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of the long prompt. `gap_s` 0 where no streams ran."""

    rate: float
    gap_s: float = 0.0


def run(pairs: int) -> tuple[list[Row], list[str]]:
    """Return the rows and notes of this bench."""
    return asyncio.run(_run(pairs))


async def _run(pairs: int) -> tuple[list[Row], list[str]]:
    with service(ROOM) as daemon, bare_loop(ROOM) as bare:
        async with app(daemon, "bench-streams") as streams, app(daemon, "bench-long") as reader:

            async def beside(number: int) -> Reading:
                async with running(streams, STREAMS, _stream) as ears:
                    burst = await together(reader, [_long(f"Ship {number}", PROMPT_TOKENS)])
                    return Reading(_rate(burst.heard[0]), _longest_gap_s(ears, burst.heard[0]))

            async def alone(number: int) -> Reading:
                burst = await bare([_long(f"Ship {number}", PROMPT_TOKENS)], threads)
                return Reading(_rate(burst.heard[0]))

            async def calibrate(threads: int, at: int) -> float:
                return _rate((await bare([_long(f"Trial {at}", TRIED_TOKENS)], threads)).heard[0])

            threads, said = await better_count(calibrate, CALIBRATIONS)
            taken = await alternate_awaited(beside, alone, pairs)
    rates = [(ours.rate, theirs.rate) for ours, theirs in taken]
    gaps = [ours.gap_s for ours, _ in taken]
    return [
        ratio_row(f"long prompt beside {STREAMS} streams / alone", "tokens/s", rates, PREFILL_GOAL),
        single_row(f"long prompt: longest gap of {STREAMS} streams in all pairs", "s", max(gaps), GAP_GOAL),
    ], [
        f"long: median of the longest gaps {statistics.median(gaps):.3f} s; bare loop reads tokens with {said}",
        ROOM.note,
    ]


def _stream(round_: int, stream: int) -> Question:
    return Question(story(40_000 + round_, stream), STREAM_TOKENS)


def _long(name: str, tokens: int) -> Question:
    return Question([{"role": "user", "content": long_prompt(name, tokens)}], max_tokens=1)


def _rate(heard: Heard) -> float:
    return heard.prompt_tokens / heard.first_s


def _longest_gap_s(ears: Sequence[Ear], reading: Heard) -> float:
    """Return the longest silence of a stream that overlaps the reading, one that still lasts at its end included."""
    began_s, ended_s = reading.asked_s, reading.arrivals_s[0]
    gaps = [
        later - earlier
        for ear in ears
        for earlier, later in pairwise([*ear.arrivals_s, *([] if ear.has_ended else [ended_s])])
        if earlier < ended_s and later > began_s
    ]
    return max(gaps, default=ended_s - began_s)
