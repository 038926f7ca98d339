"""200 apps with ten echo streams each, all at once: nothing lost, doubled or moved, and what an event costs.

Twice: with the SDK, as apps see it; and with apps that speak the wire themselves, which see every sequence number. Then a
few apps that stop reading: the others keep their speed, the daemon its memory, and the stalled streams lose their slots.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

from child import Child, Json
from daemon_process import DaemonProcess
from measure import Goal, Row, alternate, ratio_row, single_row
from service import ECHO, actor_pid, cpu_s, load, private_bytes, service

from inferd import Client

PROCESSES: Final = 4
APPS: Final = 50
"""Of each process."""
STREAMS: Final = 10
WORDS: Final = 60
FAULTS_GOAL: Final = Goal(0)

READERS: Final = 8
STALLED: Final = 8
NEAR_STREAMS: Final = 4
READER_WORDS: Final = 4_000
"""About a second for all."""
ENDLESS_WORDS: Final = 1_000_000
"""A stalled stream never gets there: its window halts it."""
KEPT_SPEED_GOAL: Final = Goal(0.95, at_least=True)
STALL_MEMORY_GOAL: Final = Goal(8.0)
"""MiB for 32 streams: four times the 64 KiB up to which the text of each may be merged."""
LOOK_S: Final = 0.2
REST_S: Final = 0.02
"""CPU time between two looks of a process at rest: two steps of the system's count."""
STALL_S: Final = 12.0
"""A stream that is not read loses its slot after 10 s."""


def run(pairs: int) -> tuple[list[Row], list[str]]:
    """Return the rows and notes of this bench."""
    with service() as daemon, daemon.client("bench") as client:
        load(client, ECHO)
        sdk = _crowd(daemon, client, "sdk_apps.py", "SDK")
        raw = _crowd(daemon, client, "wire_apps.py", "wire")
        slow = _slow_readers(daemon, actor_pid(client, ECHO), pairs)
    parts = (sdk, raw, slow)
    return [row for rows, _ in parts for row in rows], [note for _, notes in parts for note in notes]


Found = tuple[list[Row], list[str]]


def _crowd(daemon: DaemonProcess, client: Client, program: str, name: str) -> Found:
    with ExitStack() as stack:
        children = [
            stack.enter_context(Child(program, str(daemon.socket), f"{name}{number}-", str(APPS)))
            for number in range(PROCESSES)
        ]
        for child in children:
            child.hear()
        pids = daemon.pid, actor_pid(client, ECHO)
        before = [cpu_s(pid) for pid in pids]
        began_s = time.monotonic()
        for child in children:
            child.tell(do="stream", model=ECHO, streams=STREAMS, words=WORDS)
        answers = [child.hear() for child in children]
        wall_s = time.monotonic() - began_s
        daemon_s, actor_s = (cpu_s(pid) - one for pid, one in zip(pids, before, strict=True))
    return _crowd_rows(name, answers, wall_s, daemon_s, actor_s)


def _crowd_rows(name: str, answers: Sequence[Json], wall_s: float, daemon_s: float, actor_s: float) -> Found:
    events = sum(answer["events"] for answer in answers)
    streams = sum(answer["streams"] for answer in answers)
    apps_s = sum(answer["cpu_s"] for answer in answers)
    faults = sum(answer["n_faults"] for answer in answers) + PROCESSES * APPS * STREAMS - streams
    rows = [
        single_row(f"crowd ({name}): faults in {streams} streams", "faults", faults, FAULTS_GOAL),
        single_row(f"crowd ({name}): delivered", "events/s", events / wall_s),
        single_row(f"crowd ({name}): CPU of the daemon", "us/event", daemon_s / events * 1e6),
        single_row(f"crowd ({name}): CPU of the actor", "us/event", actor_s / events * 1e6),
        single_row(f"crowd ({name}): CPU of the apps", "us/event", apps_s / events * 1e6),
    ]
    told = [f"crowd ({name}): {fault}" for answer in answers for fault in answer["faults"]]
    words = streams * WORDS
    return rows, [f"crowd ({name}): {words} words in {events} events, {wall_s:.1f} s", *told]


def _slow_readers(daemon: DaemonProcess, actor: int, pairs: int) -> Found:
    with _apps(daemon, "reader", READERS) as readers, _apps(daemon, "staller", STALLED) as stallers:
        order = {"do": "stream", "model": ECHO, "streams": NEAR_STREAMS, "words": READER_WORDS}
        stall = {"do": "stall", "model": ECHO, "streams": NEAR_STREAMS, "words": ENDLESS_WORDS}
        readers.ask(**order)

        def undisturbed(_: int) -> float:
            return _words_per_s(readers.ask(**order))

        def beside(_: int) -> float:
            stallers.ask(**stall)
            _await_rest(actor)
            speed = _words_per_s(readers.ask(**order))
            stallers.ask(do="leave")
            return speed

        speeds = alternate(beside, undisturbed, pairs)
        before = private_bytes(daemon.pid)
        stallers.ask(**stall)
        time.sleep(STALL_S)
        growth = (private_bytes(daemon.pid) - before) / 2**20
        ends = stallers.ask(do="finish")["ends"]
    lost = STALLED * NEAR_STREAMS - ends.get("slow_reader", 0)
    return [
        ratio_row(f"speed beside {STALLED * NEAR_STREAMS} stalled streams", "words/s", speeds, KEPT_SPEED_GOAL),
        single_row(f"daemon's memory after {STALL_S:g} s of stalling", "MiB", growth, STALL_MEMORY_GOAL),
        single_row("stalled streams that did not end slow_reader", "streams", lost, FAULTS_GOAL),
    ], [f"slow readers: the stalled streams ended {ends}"]


def _await_rest(pid: int) -> None:
    """Return when a process computes no more: every stalled stream has filled what it may, and waits."""
    before_s = -1.0
    while (now_s := cpu_s(pid)) > before_s + REST_S:
        before_s = now_s
        time.sleep(LOOK_S)


@contextmanager
def _apps(daemon: DaemonProcess, prefix: str, count: int) -> Iterator[Child]:
    with Child("sdk_apps.py", str(daemon.socket), prefix, str(count)) as child:
        child.hear()
        yield child


def _words_per_s(answer: Json) -> float:
    if answer["n_faults"]:
        raise RuntimeError(f"a reader got something wrong: {answer['faults']}")
    return float(answer["streams"] * READER_WORDS / answer["wall_s"])
