"""Threads that pass messages on ask for short time slices, and what they start does not inherit them unasked."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from inferd_actors import slices

T = TypeVar("T")

GETATTR = {"x86_64": 315, "aarch64": 275, "riscv64": 275}


def slice_ns() -> int:
    """Return what the kernel says of the calling thread."""
    told = ctypes.create_string_buffer(struct.calcsize(slices.ATTRIBUTES))
    number = GETATTR[platform.machine()]
    assert ctypes.CDLL(None).syscall(number, 0, told, len(told), 0) == 0
    return int(struct.unpack(slices.ATTRIBUTES, told.raw)[5])


def in_thread(work: Callable[[], T]) -> T:
    """Return what `work` returns in a thread of its own, so that this one stays as it is."""
    made: list[T] = []
    thread = threading.Thread(target=lambda: made.append(work()))
    thread.start()
    thread.join()
    return made[0]


def quickened_ns() -> int:
    slices.quicken()
    return slice_ns()


@pytest.fixture
def usual_ns() -> int:
    if platform.machine() not in GETATTR or sys.platform != "linux":
        pytest.skip("no time slices are asked for on this system")
    if in_thread(quickened_ns) != slices.QUICK_NS:
        pytest.skip("this kernel has no time slices of a thread's own: Linux 6.12 has")
    usual = in_thread(slice_ns)
    assert usual != slices.QUICK_NS
    return usual


def test_what_a_quick_thread_starts_is_as_usual(usual_ns: int) -> None:
    def start() -> tuple[int, int, int]:
        slices.quicken()
        say = "import test_slices; print(test_slices.slice_ns())"
        child = subprocess.run(
            [sys.executable, "-c", say], cwd=Path(__file__).parent, check=True, capture_output=True, text=True
        )
        return slice_ns(), in_thread(slice_ns), int(child.stdout)

    assert in_thread(start) == (slices.QUICK_NS, usual_ns, usual_ns)


def test_threads_of_a_library_are_quick_and_the_one_that_starts_them_is_not(usual_ns: int) -> None:
    def start() -> tuple[int, int]:
        with slices.quickened():
            inside = in_thread(slice_ns)
        return inside, slice_ns()

    assert in_thread(start) == (slices.QUICK_NS, usual_ns)


def test_a_thread_of_another_policy_stays_as_it_is(usual_ns: int) -> None:
    def try_it() -> int:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        slices.quicken()
        return os.sched_getscheduler(0)

    assert usual_ns
    assert in_thread(try_it) == os.SCHED_BATCH


def test_how_nice_a_thread_is_does_not_change(usual_ns: int) -> None:
    def try_it() -> int:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 7)
        slices.quicken()
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    assert usual_ns
    assert in_thread(try_it) == 7
