"""What a token costs on its way from the engine to the app: CPU time and wake-ups of app, daemon and actor, one by one.

Told, not judged: on cores that are full every microsecond here is one that the model does not get, and unlike rates it can be
compared on a machine that does other work too. The threads that compute are left out, with what the engine's own does between
two steps. Linux only.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Mapping
from typing import Final

import way
from measure import Row, single_row
from ours import STANDARD, app, service
from questions import stories
from service import STARTER, actor_pid
from traffic import Ask, together

STREAMS: Final = (1, 8)
ANSWER_TOKENS: Final = 64
WARM_UP: Final = 10_000

Cost = Mapping[str, tuple[float, float]]
"""Process → CPU microseconds and wake-ups per token."""


def run(pairs: int) -> tuple[list[Row], list[str]]:
    """Return the rows and notes of this bench."""
    return asyncio.run(_run(pairs))


async def _run(pairs: int) -> tuple[list[Row], list[str]]:
    rows = list[Row]()
    with service(STANDARD) as daemon:
        with daemon.client("looker") as client:
            pids = {"app": os.getpid(), "daemon": daemon.pid, "actor": actor_pid(client, STARTER)}
        async with app(daemon) as ask:
            for streams in STREAMS:
                await together(ask, stories(WARM_UP, streams, 8))
                costs = [await _cost(ask, pids, streams, number) for number in range(pairs)]
                rows += [row for name in pids for row in _rows(f"{streams} streamed: {name}", name, costs)]
    return rows, [STANDARD.note]


async def _cost(ask: Ask, pids: Mapping[str, int], streams: int, number: int) -> Cost:
    before, began_s = {name: way.read(pid) for name, pid in pids.items()}, time.monotonic()
    burst = await together(ask, stories(number, streams, ANSWER_TOKENS))
    wall_s = time.monotonic() - began_s
    used = {name: way.between(before[name], way.read(pid), wall_s) for name, pid in pids.items()}
    return {name: (one.cpu_s * 1e6 / burst.tokens, one.wake_ups / burst.tokens) for name, one in used.items()}


def _rows(measure: str, process: str, costs: list[Cost]) -> list[Row]:
    cpu_us, wake_ups = (statistics.median(cost[process][at] for cost in costs) for at in (0, 1))
    return [
        single_row(f"{measure}, CPU", "us/token", cpu_us),
        single_row(f"{measure}, wake-ups", "per token", wake_ups),
    ]
