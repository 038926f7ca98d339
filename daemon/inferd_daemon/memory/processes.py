"""What single processes use.

Covers: readings of processes and of those below them. Blocks for a millisecond each: worker threads.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import psutil

from inferd_daemon.memory import macos_calls

IS_MACOS: Final = sys.platform == "darwin"


@dataclass(frozen=True, slots=True)
class Reading:
    """One process at one moment.

    `pss_bytes`: shared pages counted by their share; on macOS the physical footprint; RSS where the system has neither.
    """

    pid: int
    title: str
    pss_bytes: int
    cpu_s: float


def read_processes(pids: Iterable[int]) -> tuple[Reading, ...]:
    """Return a reading for every process that is still there and readable."""
    return tuple(reading for pid in pids if (reading := _read(pid)) is not None)


def read_tree_bytes(pid: int) -> int:
    """Return what a process and those below it use, shared pages counted by their share; 0 when it is gone."""
    return sum(map(used_bytes, (pid, *children_of(pid))))


def children_of(pid: int) -> tuple[int, ...]:
    """Return the living descendants of a process, none when it is gone."""
    try:
        return tuple(child.pid for child in psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return ()


def used_bytes(pid: int) -> int:
    """Return what one process uses, shared pages counted by their share; 0 when it is gone."""
    if IS_MACOS:
        return macos_calls.footprint_bytes(pid)
    try:
        memory = psutil.Process(pid).memory_full_info()
    except psutil.Error:
        return 0
    return int(getattr(memory, "pss", memory.rss))


def resident_bytes(pid: int) -> int:
    """Return how much of a process is in memory, shared pages counted in full. Microseconds; 0 when it is gone."""
    if IS_MACOS:
        return macos_calls.footprint_bytes(pid)
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def own_bytes(pid: int) -> int:
    """Return what one process would give back by ending: pages that no file backs. Microseconds; 0 when it is gone."""
    if IS_MACOS:
        return macos_calls.footprint_bytes(pid)
    try:
        memory = psutil.Process(pid).memory_info()
    except psutil.Error:
        return 0
    return max(0, int(memory.rss) - int(getattr(memory, "shared", 0)))


def _read(pid: int) -> Reading | None:
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times = process.cpu_times()
            title = " ".join(process.cmdline()[:3])[:120] or process.name()
        held_bytes = used_bytes(pid)
    except psutil.Error:
        return None
    return Reading(pid, title, held_bytes, times.user + times.system) if held_bytes else None
