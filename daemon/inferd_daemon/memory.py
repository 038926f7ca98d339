"""What processes of the service use: proportional memory and CPU time, read from the operating system.

Covers: one reading of one process tree. See also: `telemetry`, which keeps the readings. Blocking (a millisecond per
process): call it in a worker thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Reading:
    """One process at one moment. `pss_bytes`: shared pages counted by their share; RSS where the system has no PSS."""

    pid: int
    title: str
    pss_bytes: int
    cpu_s: float


def read_processes(pids: Iterable[int]) -> tuple[Reading, ...]:
    """Return a reading for every process that is still there and readable."""
    return tuple(reading for pid in pids if (reading := _read(pid)) is not None)


def total_bytes() -> int:
    """Return the machine's main memory."""
    return int(psutil.virtual_memory().total)


def children_of(pid: int) -> tuple[int, ...]:
    """Return the living descendants of a process, none when it is gone."""
    try:
        return tuple(child.pid for child in psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return ()


def _read(pid: int) -> Reading | None:
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times = process.cpu_times()
            title = " ".join(process.cmdline()[:3])[:120] or process.name()
        memory = process.memory_full_info()
    except psutil.Error:
        return None
    return Reading(pid, title, int(getattr(memory, "pss", memory.rss)), times.user + times.system)
