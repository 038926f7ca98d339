"""What each process of the service has done since: CPU time and wake-ups, thread by thread, as Linux counts them.

Covers: readings and their differences. A thread that computes for the model is not told apart by name (Python and ggml name
none): it is one that used more than `COMPUTES` of the time, which no other does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

COMPUTES: Final = 0.25
"""Share of the wall time: threads on the way take a hundredth each, ggml's all that they get."""
WAKE_UPS: Final = "voluntary_ctxt_switches:"


@dataclass(frozen=True, slots=True)
class Used:
    """Of one thread since its start."""

    cpu_s: float
    wake_ups: int


def read(pid: int) -> Mapping[str, Used]:
    """Return thread → what it used."""
    return {task.name: used for task in Path(f"/proc/{pid}/task").iterdir() if (used := _used(task)) is not None}


def _used(task: Path) -> Used | None:
    try:
        cpu_ns = int((task / "schedstat").read_text().split()[0])
        status = (task / "status").read_text().splitlines()
    except OSError:  # it has ended just now
        return None
    return Used(cpu_ns / 1e9, next(int(row.split()[1]) for row in status if row.startswith(WAKE_UPS)))


def between(before: Mapping[str, Used], after: Mapping[str, Used], wall_s: float) -> Used:
    """Return what the threads of a process used beside computing."""
    none = Used(0.0, 0)
    grown = [
        (now.cpu_s - then.cpu_s, now.wake_ups - then.wake_ups)
        for thread, now in after.items()
        for then in (before.get(thread, none),)
    ]
    on_the_way = [one for one in grown if one[0] < COMPUTES * wall_s]
    return Used(sum(cpu_s for cpu_s, _ in on_the_way), sum(wake_ups for _, wake_ups in on_the_way))
