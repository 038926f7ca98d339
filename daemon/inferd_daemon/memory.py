"""What the machine has and what processes of the service use, read from the operating system.

Covers: proportional memory and CPU time of processes, and how full the machine's memory is. See also: `telemetry` and `gauge`,
which keep readings, `ledger`, which decides on them. Reading processes blocks (a millisecond each): call it in a worker
thread; `Machine.room` takes a tenth of that and may be called in the loop.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from inferd_daemon.ledger import Room

PRESSURE: Final = Path("/proc/pressure/memory")
"""Pressure stall information; only on Linux, and not in every kernel."""
CGROUPS: Final = Path("/sys/fs/cgroup")


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


def read_tree_bytes(pid: int) -> int:
    """Return what a process and those below it use, shared pages counted by their share; 0 when it is gone."""
    return sum(reading.pss_bytes for reading in read_processes((pid, *children_of(pid))))


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


class Machine:
    """The memory of this machine, or of the control groups that this process is in if they allow less."""

    def __init__(self, own_group: Path | None = None, pressure: Path = PRESSURE) -> None:
        """`own_group`: the control group's folder; None: this process's own. `pressure`: where the kernel tells of stalls."""
        self._pressure = pressure
        group = own_group or _own_group()
        folders = () if group is None else (group, *group.parents)
        self._limited = tuple(folder for folder in folders if _amount(folder / "memory.max") is not None)

    def room(self, pids: Iterable[int]) -> Room:
        """Return how full memory is now. `pids`: our models' processes, whose own pages would be given back.

        Own pages are those that no file backs: what a file backs counts as available already.
        """
        memory = psutil.virtual_memory()
        total_bytes, available_bytes = int(memory.total), int(memory.available)
        for folder in self._limited:
            limit_bytes = _amount(folder / "memory.max") or total_bytes
            total_bytes = min(total_bytes, limit_bytes)
            available_bytes = min(available_bytes, max(0, limit_bytes - _used_bytes(folder)))
        return Room(total_bytes, available_bytes, sum(map(_own_bytes, pids)), stalled_share(self._pressure))


def stalled_share(file: Path) -> float:
    """Return the share of the last ten seconds, 0 to 1, in which some program waited for memory; 0 where nothing tells."""
    try:
        first = file.read_text(encoding="ascii").split()
        return min(1.0, float(first[first.index("some") + 1].removeprefix("avg10=")) / 100.0)
    except (OSError, ValueError, IndexError):
        return 0.0


def _own_bytes(pid: int) -> int:
    try:
        memory = psutil.Process(pid).memory_info()
    except psutil.Error:
        return 0
    return max(0, int(memory.rss) - int(getattr(memory, "shared", 0)))


def _own_group() -> Path | None:
    """Return the folder of this process's control group; None where there are none of the second version."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((CGROUPS / line.removeprefix("0::/") for line in lines if line.startswith("0::/")), None)


def _amount(file: Path) -> int | None:
    """Return the number in a control file; None: no limit, or no such file."""
    try:
        text = file.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _used_bytes(folder: Path) -> int:
    """Return what a control group uses and could not give back by dropping files from memory."""
    try:
        rows = dict(line.split(" ", 1) for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
    except (OSError, ValueError):
        rows = {}
    files_bytes = int(rows.get("active_file", 0)) + int(rows.get("inactive_file", 0))
    return max(0, (_amount(folder / "memory.current") or 0) - files_bytes)
