"""500 clients with a live stream each, killed at once, again and again: what the daemon still holds a moment later.

Its descriptors, its sessions and the engine's streams must be back at their old count within a second, and its memory must
not grow from one storm to the next.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import psutil
from child import Child
from daemon_process import DaemonProcess
from measure import Goal, Row, single_row
from service import SLOW_ECHO, load, private_bytes, service

from inferd import Client

PROCESSES: Final = 10
CLIENTS: Final = 50
"""Of each process."""
STORMS: Final = 10
SETTLED: Final = 5
"""The first storms grow the allocator's arenas, each less than the one before; growth is counted from this one on."""
WORDS: Final = 1_000
"""At two words per second no stream ends by itself."""
BACK_GOAL: Final = Goal(1.0)
GROWTH_GOAL: Final = Goal(1.0)
"""2 KiB per client: less than a session with one stream takes, so a leak of them shows."""
GIVE_UP_S: Final = 15.0
LOOK_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class Held:
    """What the daemon holds on behalf of apps."""

    descriptors: int
    sessions: int
    streams: int

    def within(self, other: Held) -> bool:
        """Return whether nothing here is more than there."""
        mine = (self.descriptors, self.sessions, self.streams)
        theirs = (other.descriptors, other.sessions, other.streams)
        return all(one <= two for one, two in zip(mine, theirs, strict=True))


def run(_pairs: int) -> tuple[list[Row], list[str]]:
    """Return the rows and notes of this bench."""
    with service() as daemon, daemon.client("bench") as client:
        load(client, SLOW_ECHO)
        before = _held(daemon, client)
        back_s, memory = [], []
        for _ in range(STORMS):
            peak, took_s = _storm(daemon, client, before)
            back_s.append(took_s)
            memory.append(private_bytes(daemon.pid) / 2**20)
    growth = (memory[-1] - memory[SETTLED - 1]) / (STORMS - SETTLED)
    return [
        single_row(f"storm of {PROCESSES * CLIENTS}: slowest return to the old counts", "s", max(back_s), BACK_GOAL),
        single_row("storm: daemon's memory growth each", "MiB", growth, GROWTH_GOAL),
    ], [
        f"storm: {before} before, {peak} at the last peak",
        f"storm: back after {', '.join(f'{one:.2f}' for one in back_s)} s",
        f"storm: daemon's private memory {', '.join(f'{one:.1f}' for one in memory)} MiB",
    ]


def _storm(daemon: DaemonProcess, client: Client, before: Held) -> tuple[Held, float]:
    """Kill all clients at once; return the peak and the seconds until the counts of before, or infinity."""
    with ExitStack() as stack:
        children = [
            stack.enter_context(Child("sdk_apps.py", str(daemon.socket), f"storm{number}-", str(CLIENTS)))
            for number in range(PROCESSES)
        ]
        for child in children:
            child.hear()
            child.tell(do="stall", model=SLOW_ECHO, streams=1, words=WORDS)
        for child in children:
            child.hear()
        peak = _held(daemon, client)
        for child in children:
            child.kill()
        killed_s = time.monotonic()
        while not _held(daemon, client).within(before):
            if time.monotonic() - killed_s > GIVE_UP_S:
                return peak, float("inf")
            time.sleep(LOOK_S)
        return peak, time.monotonic() - killed_s


def _held(daemon: DaemonProcess, client: Client) -> Held:
    report = client.daemon.status()
    streams = next(model.busy for model in report.models if model.id == SLOW_ECHO)
    return Held(psutil.Process(daemon.pid).num_fds(), len(report.apps), streams)
