"""From asking for a stored model that is not loaded to its first token, and the same of a llama-server that is started for it.

Three sides in turn, another one first each time: a daemon whose standby takes the load, a daemon that has none, llama-server
from the start of its process. The file is in the page cache for all; context and slots are the same. What the daemon's loads
took is told part by part, as `inferd list --json` tells it.
"""

from __future__ import annotations

import asyncio
import http.client
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import llama_server
from daemon_process import DaemonProcess, running
from http_side import HOST, asking
from measure import Goal, Row, ratio_row, single_row
from ours import Room, app, model_file
from questions import Question
from servers import LOG_TAIL_CHARS, free_port
from service import STARTER, models_dir
from suite import ROOT
from traffic import Ear, Heard

from inferd import InferenceError
from inferd_actors.engines.llama_cpp.options import Options

ROOM: Final = Room(context_tokens=4_096, slots=Options().slots, cache_tokens=8_192)
"""The engine's own defaults for this model."""
GOAL: Final = Goal(0.5)
LOOK_S: Final = 0.005
"""Between two looks whether llama-server answers: a hundredth of what its start takes."""
SETTLES_S: Final = 1.0
"""After a standby has come, or a process has ended: headers are read, memory is given back."""
PATIENCE_S: Final = 120.0
STANDS_BY: Final = ("standby", f"llama_cpp {STARTER}")
"""The process, with the file of the model that was used last open."""
OVERHEAD: Final = "ways between, and what the daemon decides"


@dataclass(frozen=True, slots=True)
class First:
    """One first token. `parts_s`: of what it took, in order."""

    took_s: float
    parts_s: Mapping[str, float]


Side = Callable[[int], First]
"""Takes one first token; called with the round's number."""


def run(pairs: int) -> tuple[list[Row], list[str]]:
    """Return the rows and notes of this bench."""
    program, file = llama_server.find_or_build(ROOT / "requirements.lock"), model_file()
    file.read_bytes()
    with ExitStack() as stack:
        with_standby, without = (stack.enter_context(_daemon(standby)) for standby in (1, 0))
        sides = (_from_standby(with_standby), _cold(without), _server(program, file))
        standby, cold, server = zip(*_in_turn(sides, pairs), strict=True)
    return [
        _compared("first token from standby / llama-server started for it", standby, server, GOAL),
        _compared("first token without standby / llama-server started for it", cold, server),
        *(
            row
            for name, side in (("standby", standby), ("cold", cold), ("llama-server", server))
            for row in _parts(name, side)
        ),
    ], [ROOM.note, f"llama-server: --ctx-size {ROOM.cache_tokens} --parallel {ROOM.slots}, its warm-up as it comes"]


def _in_turn(sides: Sequence[Side], rounds: int) -> list[list[First]]:
    """Return what each side took in each round, in the sides' order."""
    taken = []
    for number in range(rounds):
        order = [(number + place) % len(sides) for place in range(len(sides))]
        found = {side: sides[side](number) for side in order}
        taken.append([found[side] for side in range(len(sides))])
    return taken


def _question(number: int) -> Question:
    return Question([{"role": "user", "content": f"Say hello to guest number {number}."}], max_tokens=4)


# --- ours


@contextmanager
def _daemon(standby: int) -> Iterator[DaemonProcess]:
    config = (
        f'log_level = "warning"\ndrain_s = 0.0\n\n[memory]\nstandby = {standby}\n\n'
        f'[models."{STARTER}"]\nengine_options = {ROOM.engine_options}\n'
    )
    with running(config, environment={"INFERD_MODELS_DIR": str(models_dir())}) as daemon:
        yield daemon


def _from_standby(daemon: DaemonProcess) -> Side:
    def side(number: int) -> First:
        _until(lambda: _stands_by(daemon))
        time.sleep(SETTLES_S)
        return _ask(daemon, number)

    return side


def _cold(daemon: DaemonProcess) -> Side:
    def side(number: int) -> First:
        return _ask(daemon, number)

    return side


def _ask(daemon: DaemonProcess, number: int) -> First:
    """Ask for the model, then have it leave; what follows does not begin before it is gone."""
    try:
        heard = asyncio.run(_heard(daemon, number))
    except InferenceError as failed:
        raise RuntimeError(daemon.log[-LOG_TAIL_CHARS:]) from failed  # it goes with the daemon's folder
    phases = daemon.model(STARTER).load_phases
    with daemon.client("bench") as client:
        client.models.unload(STARTER)
    time.sleep(SETTLES_S)
    return First(heard.first_s, {**phases, OVERHEAD: heard.first_s - sum(phases.values())})


async def _heard(daemon: DaemonProcess, number: int) -> Heard:
    async with app(daemon) as ask:
        return await ask(_question(number), Ear())


def _stands_by(daemon: DaemonProcess) -> bool:
    with daemon.client("bench") as client:
        return any((row.kind, row.name) == STANDS_BY for row in client.daemon.status().processes)


def _until(is_so: Callable[[], bool], look_s: float = 0.1) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"in vain for {PATIENCE_S:g} s")
        time.sleep(look_s)


# --- llama-server


def _server(program: Path, file: Path) -> Side:
    def side(number: int) -> First:
        port = free_port()
        settings = ["--ctx-size", str(ROOM.cache_tokens), "--parallel", str(ROOM.slots), "--offline"]
        command = [str(program), "--model", str(file), *settings, "--host", HOST, "--port", str(port)]
        began_s = time.monotonic()
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as server:
            try:
                _until(lambda: _is_healthy(port), LOOK_S)
                ready_s = time.monotonic()
                heard = asyncio.run(_answered(port, number))
            finally:
                server.kill()
        time.sleep(SETTLES_S)
        starting_s = ready_s - began_s
        return First(heard.arrivals_s[0] - began_s, {"until it answers": starting_s, "first answer": heard.first_s})

    return side


async def _answered(port: int, number: int) -> Heard:
    return await asking(port)(_question(number), Ear())


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE_S)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False  # not there yet
    finally:
        connection.close()


# --- rows


def _compared(measure: str, ours: Sequence[First], theirs: Sequence[First], goal: Goal | None = None) -> Row:
    return ratio_row(measure, "s", [(mine.took_s, its.took_s) for mine, its in zip(ours, theirs, strict=True)], goal)


def _parts(name: str, side: Sequence[First]) -> list[Row]:
    """Return the median of each part, in order; a part that a round did not have took no time."""
    parts = dict.fromkeys(part for first in side for part in first.parts_s)
    return [
        single_row(f"{name}: {part}", "ms", 1e3 * statistics.median(first.parts_s.get(part, 0.0) for first in side))
        for part in parts
    ]
