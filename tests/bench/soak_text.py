"""Text for a quarter of an hour from a real daemon, asked for as apps do: `soak_text.py [--seconds N] [--seed N]`.

Covers: mixed traffic of three apps (all classes, long and short prompts that begin alike, cancels, slow readers, streams that
are left) over few seats and a small cache, and what grows meanwhile. It goes in rounds; after each nothing is in flight, and
the daemon and the model's process are weighed. Exit codes: 0 nothing grew and every request ended once · 1 otherwise.
Bounded: as many requests at once as `READERS` says, in rounds of the same length.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

FAKES: Final = Path(__file__).resolve().parents[1] / "fakes"
sys.path.append(str(FAKES))

from daemon_process import running  # noqa: E402 - the harness lies beside the tests
from service import STARTER, actor_pid, load, models_dir, private_bytes  # noqa: E402

from inferd import Cancelled, Client, Priority, TextDelta  # noqa: E402
from inferd.aio import AsyncClient  # noqa: E402
from inferd.messages.control import PRIORITIES  # noqa: E402

SECONDS: Final = 900
ROUNDS: Final = 15
ROUND_S: Final = 10.0
"""At least: what a round has begun takes some ten seconds to end on two cores."""
JUDGED_ROUNDS: Final = 8
"""With fewer, allocators and the shelf are still filling up: growth of memory is shown, and not judged."""
APPS: Final = 3
READERS: Final = 5
"""Of each app."""
ACTOR_GROWTH_BYTES: Final = 8 * 2**20
DAEMON_GROWTH_BYTES: Final = 2 * 2**20
"""What an allocator's pages come and go by: over the third of the rounds that is judged, some 20 KiB for each request."""
LONGEST_PAUSE_S: Final = 0.5
STAY_S: Final = 60.0
"""Until everything that is in flight at the end of a round must have ended."""

CONFIG: Final = f"""
log_level = "warning"
drain_s = 0.0

[models."{STARTER}"]
engine_options = {{ context_tokens = 1024, cache_tokens = 2048, slots = 4, prefixes = 3, shelf_bytes = {24 * 2**20} }}
"""
WORDS: Final = ("river", "mountain", "lantern", "copper", "harbour", "window", "garden", "letter", "engine", "winter")


@dataclass(frozen=True, slots=True)
class Weight:
    """What a process holds when nothing is in flight."""

    private_bytes: int
    descriptors: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> Weight:
        """Weigh a process."""
        process = psutil.Process(pid)
        return cls(private_bytes(pid), process.num_fds(), process.num_threads())

    def __str__(self) -> str:
        return f"{self.private_bytes / 2**20:.1f} MiB, {self.descriptors} descriptors, {self.threads} threads"


@dataclass(frozen=True, slots=True)
class Case:
    """A request and what its reader does."""

    prompt: str
    priority: Priority
    max_tokens: int
    is_public: bool
    does: str

    @classmethod
    def drawn(cls, chance: random.Random) -> Case:
        """Return one by chance: a beginning that others have too, and an end of its own."""
        beginning = " ".join(WORDS[chance.randrange(3) :] * chance.choice((0, 1, 4, 25)))
        does = chance.choices(("reads", "cancels", "leaves", "pauses"), (6, 2, 1, 1))[0]
        prompt = f"{beginning} Tell me about a {chance.choice(WORDS)}."
        return cls(prompt, chance.choice(PRIORITIES), chance.randint(1, 48), chance.random() < 0.5, does)


async def read(client: AsyncClient, case: Case, chance: random.Random, ended: Counter[str]) -> None:
    """Ask, and count how it ended: once, whatever was done to it."""
    patience = chance.randrange(12)
    stream = client.stream(
        case.prompt,
        model=STARTER,
        priority=case.priority,
        max_tokens=case.max_tokens,
        shared_prefix=case.is_public,
    )
    async with stream:
        try:
            async for event in stream:
                patience -= isinstance(event, TextDelta)
                if patience == 0:
                    if case.does == "leaves":
                        ended["left"] += 1
                        return
                    if case.does == "cancels":
                        stream.cancel()
                    if case.does == "pauses":
                        await asyncio.sleep(chance.uniform(0, LONGEST_PAUSE_S))
        except Cancelled:
            ended["cancelled"] += 1
        except Exception as reason:  # noqa: BLE001 - every other end is a failure of the soak, and is told
            ended[f"failed: {type(reason).__name__}: {reason}"] += 1
        else:
            ended["finished"] += 1


async def reader(client: AsyncClient, chance: random.Random, until_s: float, counts: tuple[Counter[str], ...]) -> None:
    """Ask one thing after another."""
    asked, ended = counts
    while time.monotonic() < until_s:
        case = Case.drawn(chance)
        asked[case.does] += 1
        await read(client, case, chance, ended)


async def go_round(socket: Path, seed: int, seconds: float, counts: tuple[Counter[str], ...]) -> None:
    """Let all apps ask for so long, and return when all is answered."""
    until_s = time.monotonic() + seconds
    clients = [AsyncClient(f"soak-{number}", socket=socket) for number in range(APPS)]
    async with asyncio.timeout(seconds + STAY_S), asyncio.TaskGroup() as tasks:
        for number in range(APPS * READERS):
            chance = random.Random(f"{seed} {number}")  # noqa: S311 - traffic, not a secret
            tasks.create_task(reader(clients[number % APPS], chance, until_s, counts))
    for client in clients:
        await client.aclose()


def is_idle(client: Client) -> bool:
    """Tell whether the model has nothing to do and all apps but this one have gone."""
    report = client.daemon.status()
    row = next(model for model in report.models if model.id == STARTER)
    return row.busy == row.queued == 0 and len(report.apps) == 1


def settle(client: Client) -> bool:
    """Return whether everything has ended in time."""
    give_up_s = time.monotonic() + STAY_S
    while time.monotonic() < give_up_s:
        if is_idle(client):
            return True
        time.sleep(0.05)
    return False


def grown(what: str, weights: list[Weight], limit_bytes: int) -> list[str]:
    """Return what is wrong with a process, a line each: what in the last quarter is always more than ever in the first half."""
    found, early, late = [], weights[: len(weights) // 2] or weights, weights[len(weights) * 3 // 4 :]
    most = max(one.private_bytes for one in early)
    least = min(one.private_bytes for one in late)
    if len(weights) >= JUDGED_ROUNDS and least - most > limit_bytes:
        found.append(f"{what}: private memory grew by {(least - most) / 2**20:.1f} MiB")
    if min(one.descriptors for one in late) > max(one.descriptors for one in early):
        found.append(f"{what}: descriptors grew from {weights[0]} to {weights[-1]}")
    if min(one.threads for one in late) > max(one.threads for one in early):
        found.append(f"{what}: threads grew from {weights[0]} to {weights[-1]}")
    return found


def main() -> int:
    """Soak, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of traffic; default {SECONDS}")
    parser.add_argument("--seed", type=int, default=1, help="of the traffic")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that the daemon is not left behind
    asked, ended = Counter[str](), Counter[str]()
    daemon_weights, actor_weights, wrong = list[Weight](), list[Weight](), list[str]()
    with running(CONFIG, environment={"INFERD_MODELS_DIR": str(models_dir())}) as daemon, daemon.client("soak") as own:
        load(own, STARTER)
        pid = actor_pid(own, STARTER)
        rounds = max(3, min(ROUNDS, int(arguments.seconds / ROUND_S)))
        for number in range(rounds):
            seed = arguments.seed * ROUNDS + number
            asyncio.run(go_round(daemon.socket, seed, arguments.seconds / rounds, (asked, ended)))
            if not settle(own):
                wrong.append(f"round {number}: not idle {STAY_S:.0f} s after the last request: {own.daemon.status()}")
                break
            daemon_weights.append(Weight.of(daemon.pid))
            actor_weights.append(Weight.of(pid))
            print(f"round {number}: daemon {daemon_weights[-1]}; model {actor_weights[-1]}; {ended.total()} ended")
        if actor_pid(own, STARTER) != pid:
            wrong.append("the model's process is another one than at the beginning")
    wrong += [f"{count} x {how}" for how, count in ended.items() if how.startswith("failed")]
    if asked.total() != ended.total():
        wrong.append(f"{asked.total()} were asked, {ended.total()} ended")
    if daemon_weights:
        wrong += grown("daemon", daemon_weights, DAEMON_GROWTH_BYTES)
        wrong += grown("model", actor_weights, ACTOR_GROWTH_BYTES)
    print(f"asked: {dict(asked)}; ended: {dict(ended)}")
    print("\n".join(wrong) or "nothing grew, and every request ended once")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
