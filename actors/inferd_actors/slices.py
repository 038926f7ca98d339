"""How soon a thread has its turn when it wakes on a busy core: time slices for threads that do little but pass messages on.

Covers: Linux from 6.12, where a thread that asks for shorter slices than the one that computes interrupts it as soon as it
wakes; by default it may wait for the next tick, and one wake-up in fifty took 3 ms beside two threads that compute (two cores,
6.18; with these slices 0.1 ms in one of a hundred). A thread's share of the core stays as it is. Elsewhere nothing is changed.
Not for the SDK: an app may run under a filter that ends it for this call (systemd's `~@resources`).
Source: sched(7), and "EEVDF Scheduler" in the kernel's documentation.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

QUICK_NS: Final = 100_000
"""The shortest that the kernel grants; a message is passed on in less."""
USUAL_NS: Final = 0
"""As for any thread."""
SYSCALLS: Final = {"x86_64": 314, "aarch64": 274, "riscv64": 274}
"""`sched_setattr` by machine; the C library has no name for it before glibc 2.41."""
ATTRIBUTES: Final = "=IIQiIQQQ"
"""`struct sched_attr` as of its first version: size, policy, flags, nice, priority, runtime, deadline, period."""
RESET_ON_FORK: Final = 1
"""Threads and processes that this one starts are as usual."""
HERE: Final = 0
"""The calling thread."""


def quicken() -> None:
    """Have the calling thread run as soon as it wakes; what it starts is as usual."""
    _ask(QUICK_NS, RESET_ON_FORK)


@contextmanager
def quickened() -> Iterator[None]:
    """Have threads that are started in this block run as soon as they wake: a library's, which cannot be told otherwise.

    Behind it the calling thread is as usual.
    """
    _ask(QUICK_NS, 0)
    try:
        yield
    finally:
        _ask(USUAL_NS, 0)


def _ask(slice_ns: int, flags: int) -> None:
    number = SYSCALLS.get(os.uname().machine)
    if sys.platform != "linux" or number is None or os.sched_getscheduler(HERE) != os.SCHED_OTHER:
        return
    import ctypes

    nice = os.getpriority(os.PRIO_PROCESS, HERE)
    asked = struct.pack(ATTRIBUTES, struct.calcsize(ATTRIBUTES), os.SCHED_OTHER, flags, nice, 0, slice_ns, 0, 0)
    ctypes.CDLL(None).syscall(number, HERE, asked, 0)  # refused: then it waits as any thread does
