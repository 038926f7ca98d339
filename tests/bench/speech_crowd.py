"""Four conversations at once while batch streams take all the text model has, against one conversation alone.

Turns end at least two seconds apart, answers go on being spoken meanwhile; and all at the same moment, told only.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import AsyncExitStack
from itertools import count
from typing import Final

from daemon_process import DaemonProcess
from measure import Goal, Row, alternate_awaited, ratio_row
from ours import STANDARD, app
from questions import Question as TextQuestion
from questions import story
from service import STARTER
from speech_daemon import EAR, VOICE, service
from speech_talk import NEVER_MS, Question, first_sound_ms, questions
from traffic import Ask, running

from inferd import AsyncClient

SESSIONS: Final = 4
APART_S: Final = 2.1
ROUNDS: Final = 10
"""Of four turns each."""
FEWEST: Final = 6
"""Rounds: with fewer the median has no interval."""
LONGEST_S: Final = 360.0
"""After which no round begins."""
AT_ONCE: Final = 2
BATCH_STREAMS: Final = 8
BATCH_TOKENS: Final = 512
BATCH: Final = 50_000
"""First number of their stories."""
GOAL: Final = Goal(2.0)


def run(pairs: int) -> tuple[list[Row], list[str]]:
    """Return the rows and notes of this bench."""
    with service(EAR, VOICE, STARTER) as daemon:
        return asyncio.run(_run(daemon, min(pairs, ROUNDS)))


async def _run(daemon: DaemonProcess, rounds: int) -> tuple[list[Row], list[str]]:
    asked, every, nonces = questions(SESSIONS), list[float](), count()
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(AsyncClient(f"talk-{number}", socket=daemon.socket))
            for number in range(SESSIONS)
        ]
        batch = await stack.enter_async_context(app(daemon, "batch"))

        async def alone(number: int) -> float:
            return await first_sound_ms(clients[0], asked[number % len(asked)], f"alone {next(nonces)}")

        async def crowd(_: int, apart_s: float = APART_S) -> float:
            found = await _crowd(batch, clients, asked, next(nonces), apart_s)
            every.extend(found)
            return statistics.median(found)

        async def at_once(number: int) -> float:
            return await crowd(number, 0.0)

        await alone(0)
        give_up_s, taken = time.monotonic() + LONGEST_S, list[tuple[float, float]]()
        while len(taken) < rounds and time.monotonic() < give_up_s:
            taken += await alternate_awaited(crowd, alone, 2)
        simultaneous = await alternate_awaited(at_once, alone, AT_ONCE)
    ours, idle = (statistics.median(side) for side in zip(*simultaneous, strict=True))
    together = Row(f"{SESSIONS} turns end at once / alone: p50", "ms", ours, idle, "ratio", ours / idle, None)
    name = f"{SESSIONS} turns end {APART_S:g} s apart beside batch / alone: p50"
    return [_row(name, taken), together], [
        f"crowd: {len(taken)} rounds apart, {AT_ONCE} at once; {BATCH_STREAMS} batch streams; {STANDARD.note}",
        f"crowd: {sum(one >= NEVER_MS for one in every)} of {len(every)} answers had not begun after {NEVER_MS / 1000:g} s",
    ]


def _row(name: str, taken: list[tuple[float, float]]) -> Row:
    """Return the row; on a machine so slow that there were few rounds it has no interval."""
    if len(taken) >= FEWEST:
        return ratio_row(name, "ms", taken, GOAL)
    crowd, alone = (statistics.median(side) for side in zip(*taken, strict=True))
    return Row(name, "ms", crowd, alone, "ratio", crowd / alone, None, GOAL)


async def _crowd(
    batch: Ask, clients: list[AsyncClient], asked: list[Question], number: int, apart_s: float
) -> list[float]:
    stay = asyncio.Barrier(len(clients))
    longest_s = max(one.duration_s for one in asked)

    def another(round_: int, stream: int) -> TextQuestion:
        return TextQuestion(story(BATCH + 100 * number + round_, stream), BATCH_TOKENS, priority="batch")

    async with running(batch, BATCH_STREAMS, another), asyncio.TaskGroup() as group:
        turns = [
            group.create_task(
                first_sound_ms(
                    client,
                    one,
                    f"crowd {number} {at} {apart_s}",
                    wait_s=longest_s - one.duration_s + at * apart_s,
                    stay=stay,
                )
            )
            for at, (client, one) in enumerate(zip(clients, asked, strict=True))
        ]
    return [turn.result() for turn in turns]
