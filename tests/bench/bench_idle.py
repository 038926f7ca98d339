"""What the service costs while nobody asks: memory and CPU of each of its processes, Ray's included.

The floor is Ray's: measured alone on two cores with the keeper's switches, Ray 2.60.0 took about 351 MiB and 3.3 % of a
core, and 46 MiB for each actor. Those are another run's figures, so no ratio is made of them.
"""

from __future__ import annotations

import time
from typing import Final

from daemon_process import DaemonProcess
from measure import Row, single_row
from service import cpu_s, pss_bytes, service

QUIET_S: Final = 10.0
"""After which start-up work is over."""
WATCHED_S: Final = 20.0
"""CPU time comes in steps of 10 ms: 0.05 % of a core here."""
FLOOR: Final = "idle: Ray alone, elsewhere, with the same switches: about 351 MiB and 3.3 % of a core, 46 MiB per actor"


def run(_pairs: int) -> tuple[list[Row], list[str]]:
    """Return the rows and notes of this bench."""
    with service() as daemon:
        time.sleep(QUIET_S)
        names = _names(daemon)
        before = {pid: cpu_s(pid) for pid in names}
        time.sleep(WATCHED_S)
        cpu = {pid: (cpu_s(pid) - one) / WATCHED_S * 100 for pid, one in before.items()}
        memory = {pid: pss_bytes(pid) / 2**20 for pid in names}
    each = [
        row
        for pid, name in names.items()
        for row in (
            single_row(f"idle: memory of {name}", "MiB PSS", memory[pid]),
            single_row(f"idle: CPU of {name}", "% of a core", cpu[pid]),
        )
    ]
    return [
        *each,
        single_row(f"idle: memory of all {len(names)} processes", "MiB PSS", sum(memory.values())),
        single_row("idle: CPU of all", "% of a core", sum(cpu.values())),
    ], [FLOOR]


def _names(daemon: DaemonProcess) -> dict[int, str]:
    """Return pid → name of every process of the service; what it does not report itself is named by the system."""
    with daemon.client("bench") as client:
        told = {row.pid: f"{row.kind} {row.name}" for row in client.daemon.status().processes}
    return {process.pid: told.get(process.pid, process.name()) for process in daemon.tree()}
