"""What the machine's cores do: the readings that `threads` decides by.

Covers: Linux, by the kernel's own words. Elsewhere there is no reading: the number of threads stays as it was.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from inferd_actors.engines import cores
from inferd_actors.engines.llama_cpp.threads import Reading

COUNTERS: Final = Path("/proc/stat")
IDLE, WAITING = 3, 4
"""Columns of a core's row in which nobody computes; steal (7) counts as work of others; guests (8, 9) are in the first two."""
COLUMNS: Final = 8


def read() -> Reading | None:
    """Return the counters now; None where there are none. Takes 30 us."""
    try:
        rows = COUNTERS.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    at_s, ticks, mine = time.monotonic(), 0, cores.own()
    for row in rows[1:]:
        name, *columns = row.split()
        if not name.startswith("cpu"):
            break
        if int(name[3:]) in mine:
            counted = list(map(int, columns[:COLUMNS]))
            ticks += sum(counted) - counted[IDLE] - counted[WAITING]
    return Reading(at_s, ticks / os.sysconf("SC_CLK_TCK"), time.process_time())
