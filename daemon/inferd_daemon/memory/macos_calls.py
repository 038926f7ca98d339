"""The only door to macOS's own calls: a process's resources, and a number of the kernel's.

Covers: the calls, which take microseconds. Does not cover what their bytes mean (`macos`). Never called on other
systems.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Final

from inferd_daemon.memory import macos

RUSAGE_INFO_V0: Final = 0
PRESSURE_LEVEL: Final = b"kern.memorystatus_vm_pressure_level"


def footprint_bytes(pid: int) -> int:
    """Return a process's physical footprint; 0 when it is gone, or is not ours."""
    told = ctypes.create_string_buffer(macos.RUSAGE.size)
    failed = _system().proc_pid_rusage(pid, RUSAGE_INFO_V0, ctypes.byref(told))
    return 0 if failed else macos.footprint_of(told.raw)


def stalled_share() -> float:
    """Return how much of the time programs stand still for want of memory, 0 to 1."""
    told = ctypes.create_string_buffer(macos.LEVEL.size)
    size = ctypes.c_size_t(macos.LEVEL.size)
    failed = _system().sysctlbyname(PRESSURE_LEVEL, ctypes.byref(told), ctypes.byref(size), None, ctypes.c_size_t(0))
    return 0.0 if failed else macos.stalled_share_of(told.raw[: size.value])


@cache
def _system() -> ctypes.CDLL:
    return ctypes.CDLL("/usr/lib/libSystem.B.dylib")
