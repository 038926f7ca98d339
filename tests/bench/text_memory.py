"""Resident memory of the model's process with eight streams, against llama-server's with the same context and slots.

One after the other, for pages of the model's file that both map would be counted half for each. A process that renders chat
templates belongs to ours. Memory is looked at while the streams run.
"""

from __future__ import annotations

import asyncio
from typing import Final

import psutil
from measure import Goal, Row, ratio_row
from ours import Room, app, service
from questions import Question, story
from servers import llama
from service import STARTER, actor_pid, pss_bytes, tree_bytes
from traffic import Ask, running

STREAMS: Final = 8
ROOM: Final = Room(context_tokens=1_024, slots=STREAMS, cache_tokens=8_192)
ANSWER_TOKENS: Final = 512
LOOK_S: Final = 0.3
GOAL: Final = Goal(1.25)


def run(pairs: int) -> tuple[list[Row], list[str]]:
    """Return the row and notes of this bench."""
    return asyncio.run(_run(pairs))


async def _run(pairs: int) -> tuple[list[Row], list[str]]:
    with service(ROOM) as daemon, daemon.client("bench") as client:
        actor = actor_pid(client, STARTER)
        async with app(daemon) as ask:
            ours = await _looks(ask, actor, pairs)
        beside = sum(pss_bytes(child.pid) for child in psutil.Process(actor).children(recursive=True)) / 2**20
    with llama(ROOM) as server:
        theirs = await _looks(server.ask, server.pid, pairs)
    taken = list(zip(ours, theirs, strict=True))
    return [ratio_row(f"memory with {STREAMS} streams / llama-server", "MiB PSS", taken, GOAL)], [
        f"memory: of ours, {beside:.0f} MiB are the process that renders templates; both with {ROOM}",
        ROOM.note,
    ]


async def _looks(ask: Ask, pid: int, count: int) -> list[float]:
    """Return the MiB of a process and those below it, looked at so often while the streams run."""
    async with running(ask, STREAMS, lambda round_, stream: Question(story(round_, stream), ANSWER_TOKENS)):
        looks = []
        for _ in range(count):
            await asyncio.sleep(LOOK_S)
            looks.append(tree_bytes(pid) / 2**20)
        return looks
