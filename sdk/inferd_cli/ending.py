"""Waiting for processes of others to end: told by the kernel, not by asking again and again.

Covers: Linux 5.3 or newer (pidfd) and macOS (kqueue). A process counts as ended even before its parent has asked for
its status. The watch is taken before the process is asked to end, so a pid used anew is never mistaken for it.
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

Wait = Callable[[float], frozenset[int]]
"""Longest time in seconds → the pids that are still there afterwards. Blocks until all have ended or the time is up."""


@contextmanager
def watching(pids: Iterable[int]) -> Iterator[Wait]:
    """Yield a function that waits for all of `pids` to end; those that are already gone do not count.

    Raises PermissionError where the system does not let this user watch one of them.
    """
    with ExitStack() as opened:
        left: set[int] = set()
        wait_for_one = _watch(pids, left, opened)

        def wait(timeout_s: float) -> frozenset[int]:
            end_s = time.monotonic() + timeout_s
            rest_s = timeout_s
            while left and rest_s >= 0:
                left.difference_update(wait_for_one(rest_s))
                rest_s = end_s - time.monotonic()
            return frozenset(left)

        yield wait


if sys.platform == "darwin":

    def _watch(pids: Iterable[int], left: set[int], opened: ExitStack) -> Callable[[float], set[int]]:
        queue = opened.enter_context(_closing(select.kqueue()))
        for pid in set(pids):
            exits = select.kevent(
                pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD | select.KQ_EV_ONESHOT, select.KQ_NOTE_EXIT
            )
            try:
                queue.control([exits], 0, 0)
            except ProcessLookupError:
                continue
            left.add(pid)
        return lambda timeout_s: {event.ident for event in queue.control(None, len(left), timeout_s)}

    @contextmanager
    def _closing(queue: select.kqueue) -> Iterator[select.kqueue]:
        try:
            yield queue
        finally:
            queue.close()

else:

    def _watch(pids: Iterable[int], left: set[int], opened: ExitStack) -> Callable[[float], set[int]]:
        poll, pid_of = select.poll(), {}
        for pid in set(pids):
            try:
                handle = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            opened.callback(os.close, handle)
            poll.register(handle, select.POLLIN)
            pid_of[handle] = pid
            left.add(pid)

        def wait_for_one(timeout_s: float) -> set[int]:
            ended = [handle for handle, _ in poll.poll(timeout_s * 1000)]
            for handle in ended:
                poll.unregister(handle)
            return {pid_of[handle] for handle in ended}

        return wait_for_one
