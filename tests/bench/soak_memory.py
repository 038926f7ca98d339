"""More real models than fit, used by six apps at once: `soak_memory.py [--seconds N] [--seed N]`.

Covers: four models of which two fit into the budget; all classes; readers that finish, cancel, leave, vanish with their
connection, or allow little time. It goes in rounds; after each nothing is in flight, and the daemon is weighed. Every two
seconds the models are weighed, too.
What must hold: nobody runs out of memory and no process dies, whoever allows the time is served, every request ends once, what
is reserved and what is used stays within the budget, loads do not thrash, the daemon does not grow.
Exit codes: 0 all of that held · 1 otherwise. Writes `.bench/soak_memory.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

FAKES: Final = Path(__file__).resolve().parents[1] / "fakes"
sys.path.append(str(FAKES))

import report  # noqa: E402 - the harness lies beside the tests
from daemon_process import DaemonProcess, running  # noqa: E402
from measure import Goal, Row, percentile, single_row  # noqa: E402
from ours import model_file  # noqa: E402
from raw_app import RawApp, words  # noqa: E402
from service import tree_bytes  # noqa: E402
from soak_text import Weight, grown  # noqa: E402
from tiny_models import MODELS as TINY  # noqa: E402

from inferd import Cancelled, Client, DeadlineExceeded, InferenceError, Priority, TextDelta  # noqa: E402
from inferd.aio import AsyncClient  # noqa: E402
from inferd.messages.control import PRIORITIES  # noqa: E402
from inferd.messages.events import TERMINALS, Accepted, Loading, Queued  # noqa: E402

SECONDS: Final = 1_800
ROUNDS: Final = 15
ROUND_S: Final = 20.0
"""At least: with four models taking turns, what a round has begun takes that long to end on two cores."""
APPS: Final = 6
READERS: Final = 2
"""Of each app."""
STAY_S: Final = 180.0
"""Until everything that is in flight at the end of a round must have ended."""
LOOK_S: Final = 2.0
DAEMON_GROWTH_BYTES: Final = 2 * 2**20
"""As in `soak_text`."""

MIB: Final = 2**20
BUDGET_BYTES: Final = 600 * MIB
"""The starter model takes 230, 250 and 295 MiB with these contexts, the tiny one 97: two of the large ones, or one of them and
the tiny one, and never three large ones."""
MODELS: Final = ("soak/short:a", "soak/middle:b", "soak/long:c", "soak/tiny:d")
CONTEXTS: Final = (512, 1_024, 2_048)
SHARES: Final = (6, 3, 2, 1)
"""How often each is asked for."""
LOADS_PER_S: Final = 0.25
"""At most, over the whole run: a model in use keeps its place for ten seconds, of the two or three that are there."""

MODEL_ROW: Final = """
[models."{name}"]
engine = "llama_cpp"
file = "{file}"
engine_options = {{ {options}slots = 4, shelf_bytes = {shelf_bytes} }}
"""
TOPICS: Final = ("river", "mountain", "lantern", "copper", "harbour", "window", "garden", "letter", "engine", "winter")


@dataclass(frozen=True, slots=True)
class Case:
    """A request and what its reader does."""

    model: str
    prompt: str
    priority: Priority
    max_tokens: int
    does: str
    timeout_s: float

    @classmethod
    def drawn(cls, chance: random.Random) -> Case:
        """Return one by chance."""
        does = chance.choices(("reads", "cancels", "leaves", "vanishes", "hurries"), (10, 2, 1, 1, 2))[0]
        return cls(
            chance.choices(MODELS, SHARES)[0],
            f"{' '.join(TOPICS * chance.choice((0, 1, 4)))} Tell me about a {chance.choice(TOPICS)}.",
            chance.choice(PRIORITIES),
            chance.randint(1, 48),
            does,
            chance.uniform(0.2, 4.0) if does == "hurries" else 300.0,
        )


@dataclass(slots=True)
class Tally:
    """What was asked for, and what became of it."""

    asked: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    first_s: dict[Priority, list[float]] = field(default_factory=lambda: {one: [] for one in PRIORITIES})
    """Waits for the first text."""
    used_bytes: list[int] = field(default_factory=list)
    """By all models together, each time that they were looked at."""
    decisions: dict[tuple[str, str, int], tuple[int, str]] = field(default_factory=dict)
    """Model, kind, moment → what was to be held after it, and why."""
    wrong: list[str] = field(default_factory=list)


async def ask(client: AsyncClient, socket: Path, case: Case, chance: random.Random, tally: Tally) -> None:
    """Ask, and count how it ended: once, whatever was done to it."""
    tally.asked[case.does] += 1
    try:
        if case.does == "vanishes":
            await asyncio.to_thread(_vanish, socket, case)
            tally.ended["vanished"] += 1
        else:
            tally.ended[await _read(client, case, chance, tally)] += 1
    except Cancelled:
        tally.ended["cancelled"] += 1
    except DeadlineExceeded as late:
        tally.ended["late" if case.does == "hurries" else f"failed: {late}"] += 1
    except Exception as reason:  # noqa: BLE001 - every other end is a failure of the soak, and is told
        code = reason.code if isinstance(reason, InferenceError) else type(reason).__name__
        tally.ended[f"failed: {code}: {reason}"] += 1


async def _read(client: AsyncClient, case: Case, chance: random.Random, tally: Tally) -> str:
    patience, began_s = chance.randrange(12), time.monotonic()
    stream = client.stream(
        case.prompt, model=case.model, priority=case.priority, max_tokens=case.max_tokens, timeout_s=case.timeout_s
    )
    async with stream:
        texts = 0
        async for event in stream:
            if not isinstance(event, TextDelta):
                continue
            texts += 1
            if texts == 1:
                tally.first_s[case.priority].append(time.monotonic() - began_s)
            if texts == patience and case.does == "leaves":
                return "left"
            if texts == patience and case.does == "cancels":
                stream.cancel()
    return "finished"


def _vanish(socket: Path, case: Case) -> None:
    """Ask on a connection of its own and drop it: at once, or when the request moves. Blocks."""
    with RawApp(socket) as app:
        app.ask(1, words(case.prompt), model=case.model, priority=case.priority)
        until = (Accepted,) if case.max_tokens % 2 else (Queued, Loading, TextDelta, *TERMINALS)
        while not isinstance(app.event(1).event, until):
            continue


async def go_round(socket: Path, seed: int, seconds: float, tally: Tally) -> None:
    """Let all apps ask for so long, and return when all is answered."""
    until_s = time.monotonic() + seconds
    clients = [AsyncClient(f"soak-{number}", socket=socket) for number in range(APPS)]

    async def reader(number: int) -> None:
        chance = random.Random(f"{seed} {number}")  # noqa: S311 - traffic, not a secret
        while time.monotonic() < until_s:
            await ask(clients[number % APPS], socket, Case.drawn(chance), chance, tally)

    async with asyncio.timeout(seconds + STAY_S), asyncio.TaskGroup() as tasks:
        looking = tasks.create_task(_look(socket, tally))
        async with asyncio.TaskGroup() as readers:
            for number in range(APPS * READERS):
                readers.create_task(reader(number))
        looking.cancel()
    for client in clients:
        await client.aclose()


async def _look(socket: Path, tally: Tally) -> None:
    """Weigh the models every now and then."""
    async with AsyncClient("soak-watch", socket=socket) as client:
        while True:
            pids = [row.pid for row in await client.models.list() if row.pid and row.id in MODELS]
            tally.used_bytes.append(await asyncio.to_thread(lambda known: sum(map(_used_bytes, known)), pids))
            await asyncio.sleep(LOOK_S)


def _used_bytes(pid: int) -> int:
    """Return what a process and those below it use; one that is gone uses nothing."""
    try:
        return tree_bytes(pid)
    except psutil.Error:
        return 0


def settle(client: Client) -> bool:
    """Return whether everything has ended in time."""
    give_up_s = time.monotonic() + STAY_S
    while time.monotonic() < give_up_s:
        status = client.daemon.status()
        if not any(row.busy or row.queued for row in status.models) and len(status.apps) == 1:
            return True
        time.sleep(0.05)
    return False


def note_decisions(client: Client, tally: Tally) -> None:
    """Take down what was decided since the last look."""
    for model in MODELS:
        for one in client.daemon.why(model):
            key = model, one.kind, round(time.time() - one.age_s)
            tally.decisions[key] = one.after_bytes, one.rule


def lives(client: Client) -> int:
    """Return the highest life number so far: models get them one after the other."""
    return max(row.life for row in client.models.list())


@contextmanager
def service() -> Iterator[DaemonProcess]:
    """Run a daemon with the four models for the length of a block, each with a file of its own: shared pages count half."""
    with tempfile.TemporaryDirectory(prefix="ifs-") as folder:
        tiny = TINY["chat"](Path(folder))
        rows = [MODEL_ROW.format(name=MODELS[-1], file=tiny, options="", shelf_bytes=0)]
        for name, context in zip(MODELS, CONTEXTS, strict=False):
            file = shutil.copyfile(model_file(), Path(folder) / f"{context}.gguf")
            rows.append(
                MODEL_ROW.format(name=name, file=file, options=f"context_tokens = {context}, ", shelf_bytes=8 * MIB)
            )
        head = f'log_level = "warning"\ndrain_s = 0.0\n\n[memory]\nbudget_bytes = {BUDGET_BYTES}\n'
        with running(head + "".join(rows)) as daemon:
            yield daemon


def judge(tally: Tally, loads: int, seconds: float, weights: Sequence[Weight]) -> list[Row]:
    """Return the rows, and note in the tally what is wrong beside them."""
    failed = {how: count for how, count in tally.ended.items() if how.startswith("failed")}
    tally.wrong += [f"{count} x {how}" for how, count in failed.items()]
    if tally.asked.total() != tally.ended.total():
        tally.wrong.append(f"{tally.asked.total()} were asked, {tally.ended.total()} ended")
    tally.wrong += [f"{model} {why}" for (model, kind, _), (_, why) in tally.decisions.items() if kind == "failure"]
    if weights:
        tally.wrong += grown("daemon", list(weights), DAEMON_GROWTH_BYTES)
    reserved = [after for (_, kind, _), (after, _) in tally.decisions.items() if kind == "load"]
    rows = [
        single_row("requests that ended otherwise than they may", "requests", sum(failed.values()), Goal(0)),
        single_row("most that was reserved", "MiB", max(reserved, default=0) / MIB, Goal(BUDGET_BYTES / MIB)),
        single_row(
            "most that models used", "MiB PSS", max(tally.used_bytes, default=0) / MIB, Goal(BUDGET_BYTES / MIB)
        ),
        single_row("loads", "per second", loads / seconds, Goal(LOADS_PER_S)),
    ]
    for priority, waits_s in tally.first_s.items():
        if waits_s:
            rows.append(single_row(f"first text of {priority}, p95", "s", percentile(waits_s, 0.95)))
    return rows


def main() -> int:
    """Soak, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of traffic; default {SECONDS}")
    parser.add_argument("--seed", type=int, default=1, help="of the traffic")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that the daemon is not left behind
    tally, weights, on, began_s = Tally(), list[Weight](), report.machine(), time.monotonic()
    rounds = max(3, min(ROUNDS, int(arguments.seconds / ROUND_S)))
    with service() as daemon, daemon.client("soak") as own:
        own.generate("ready", model=MODELS[0], max_tokens=1)
        first = lives(own)
        for number in range(rounds):
            seed = arguments.seed * ROUNDS + number
            asyncio.run(go_round(daemon.socket, seed, arguments.seconds / rounds, tally))
            note_decisions(own, tally)
            if not settle(own):
                tally.wrong.append(f"round {number}: not idle {STAY_S:.0f} s after its end: {own.daemon.status()}")
                break
            weights.append(Weight.of(daemon.pid))
            ended = f"{tally.ended.total()} ended, {lives(own) - first} loads"
            print(f"round {number}: daemon {weights[-1]}; {ended}", flush=True)
        loads = lives(own) - first
    rows = judge(tally, loads, time.monotonic() - began_s, weights)
    notes = [f"asked: {dict(tally.asked)}", f"ended: {dict(tally.ended)}", f"{loads} loads", *tally.wrong]
    report.show("more models than fit", rows)
    report.store("soak_memory", rows, notes, on)
    print("\n".join(notes))
    print("something is wrong" if tally.wrong else "nothing grew, nothing was refused, and every request ended once")
    return bool(tally.wrong) or any(row.met is False for row in rows)


if __name__ == "__main__":
    sys.exit(main())
