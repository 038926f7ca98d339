"""What macOS tells of memory, read from the bytes that its calls give.

Covers: a process's footprint, which is what the system's own limits go by (RSS misses what Metal holds), and how hard memory is
pressed. The calls are in `macos_calls`. Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

RUSAGE: Final = struct.Struct("=16s10Q")
"""`rusage_info_v0` of <sys/resource.h>: a uuid, then user time, system time, two counts of wake-ups, pageins, wired size,
resident size, physical footprint and the times of start and end."""
FOOTPRINT: Final = 8
"""Its place in that."""
LEVEL: Final = struct.Struct("=i")
"""Of `kern.memorystatus_vm_pressure_level`."""

STALLED: Final[Mapping[int, float]] = MappingProxyType({1: 0.0, 2: 0.25, 4: 0.75})
"""Level → how much of the time programs stand still, as Linux counts: macOS tells "normal", "warning" and "critical" alone. At
a warning it compresses and swaps, and programs wait now and then; when it is critical it ends programs."""


def footprint_of(told: bytes) -> int:
    """Return a process's footprint in bytes, 0 if this is no answer."""
    return int(RUSAGE.unpack_from(told)[FOOTPRINT]) if len(told) >= RUSAGE.size else 0


def stalled_share_of(told: bytes) -> float:
    """Return the share of time in which programs stand still, 0 to 1; 0 for a level that is not known."""
    return STALLED.get(LEVEL.unpack_from(told)[0], 0.0) if len(told) >= LEVEL.size else 0.0
