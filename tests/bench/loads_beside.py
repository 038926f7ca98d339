"""A resident model that streams while another is loaded beside it, against the same without a load.

A pair is two blocks of `BLOCK_S`: with a load at its beginning, and without. The other model is a copy of the same file, warm
in the page cache as a file that was loaded before is. A stream that is refused or fails ends the bench.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from daemon_process import DaemonProcess
from daemon_process import running as daemon_running
from measure import Goal, Row, alternate_awaited, percentile, ratio_row, single_row
from ours import app, model_file
from questions import Question, story
from service import STARTER, load
from traffic import Ear, running

from inferd import AsyncClient

BLOCK_S: Final = 15.0
"""One load in each with one: in four of them the 60 s of the goal."""
WARM_UP_S: Final = 5.0
ANSWER_TOKENS: Final = 768
OTHER: Final = "bench/other:q4_1"
GAP_GOAL: Final = Goal(4.0)
"""Times the usual 95th percentile of the time between two tokens."""
TOKENS_GOAL: Final = Goal(0.9, at_least=True)


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of the resident's streaming."""

    rate: float
    """Pieces of text per second: tokens, but for those that came together."""
    gap_p95_s: float
    worst_gap_s: float
    """While the other was loaded; in a block without a load: of all."""
    load_s: float = 0.0


def run(pairs: int) -> tuple[list[Row], list[str]]:
    """Return the rows and notes of this bench."""
    return asyncio.run(_run(pairs))


async def _run(pairs: int) -> tuple[list[Row], list[str]]:
    with _service() as daemon:
        async with (
            app(daemon) as ask,
            AsyncClient("bench-loader", socket=daemon.socket) as loader,
            running(ask, 1, _question) as ears,
        ):
            await asyncio.sleep(WARM_UP_S)

            async def beside(_: int) -> Block:
                return await _beside(loader, ears)

            async def alone(_: int) -> Block:
                began_s = time.monotonic()
                await asyncio.sleep(BLOCK_S)
                return _block(ears, began_s, began_s + BLOCK_S)

            taken = await alternate_awaited(beside, alone, pairs)
    return _rows(taken), _notes(taken, len(ears))


@contextmanager
def _service() -> Iterator[DaemonProcess]:
    with tempfile.TemporaryDirectory(prefix="ifb-") as folder:
        copy = shutil.copyfile(model_file(), Path(folder) / "other.gguf")
        config = (
            'log_level = "warning"\ndrain_s = 0.0\n\n'
            f'[models."{STARTER}"]\nfile = "{model_file()}"\nengine_options = {{ context_tokens = 2048 }}\n\n'
            f'[models."{OTHER}"]\nengine = "llama_cpp"\nfile = "{copy}"\nengine_options = {{ context_tokens = 1024 }}\n'
        )
        with daemon_running(config) as daemon:
            with daemon.client("bench") as client:
                load(client, STARTER)
                load(client, OTHER)
                client.models.unload(OTHER)
            yield daemon


def _question(round_: int, stream: int) -> Question:
    return Question(story(f"loads{round_}", stream), ANSWER_TOKENS)


async def _beside(loader: AsyncClient, ears: Sequence[Ear]) -> Block:
    began_s = time.monotonic()
    await loader.generate("ready", model=OTHER, max_tokens=1)
    ready_s = time.monotonic()
    await loader.models.unload(OTHER)
    await asyncio.sleep(began_s + BLOCK_S - time.monotonic())
    whole = _block(ears, began_s, max(began_s + BLOCK_S, time.monotonic()))
    worst_s = _block(ears, began_s, ready_s).worst_gap_s
    return Block(whole.rate, whole.gap_p95_s, worst_s, ready_s - began_s)


def _block(ears: Sequence[Ear], began_s: float, ended_s: float) -> Block:
    arrived = [one for ear in ears for one in ear.arrivals_s if began_s <= one < ended_s]
    gaps_s = [
        later - earlier
        for ear in ears
        for earlier, later in pairwise(ear.arrivals_s)
        if later >= began_s and earlier < ended_s
    ]
    return Block(len(arrived) / (ended_s - began_s), percentile(gaps_s, 0.95), max(gaps_s))


def _rows(taken: Sequence[tuple[Block, Block]]) -> list[Row]:
    rates = [(with_load.rate, without.rate) for with_load, without in taken]
    gaps = [(with_load.worst_gap_s * 1e3, without.gap_p95_s * 1e3) for with_load, without in taken]
    longest = max(with_load.worst_gap_s for with_load, _ in taken) / percentile(
        [one.gap_p95_s for _, one in taken], 0.5
    )
    return [
        ratio_row(f"beside: {BLOCK_S:g} s with a load / without", "tokens/s", rates, TOKENS_GOAL),
        ratio_row("beside: worst gap during a load / usual p95", "ms", gaps, GAP_GOAL),
        single_row("beside: the worst gap of all loads", "x usual p95", longest),
    ]


def _notes(taken: Sequence[tuple[Block, Block]], answers: int) -> list[str]:
    loads = sorted(with_load.load_s for with_load, _ in taken)
    idle = sorted(without.worst_gap_s for _, without in taken)
    took = f"loads took {loads[0]:.1f} to {loads[-1]:.1f} s, median {percentile(loads, 0.5):.1f} s"
    worst = f"{percentile(idle, 0.5) * 1e3:.0f} ms in the middle, {idle[-1] * 1e3:.0f} ms at most"
    return [
        f"beside: {answers} requests of the resident, none refused; {took}",
        f"beside: without a load the worst gap of a block was {worst}",
    ]
