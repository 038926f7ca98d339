"""The threads that compute for one context, kept from one decode to the next.

Covers: ggml's thread pools, and the core that each thread has. Does not cover how many compute: `threads`.

Why: without a pool ggml makes new threads for every decode. A new one may be put onto the core of the very thread that spins
until the new one has done its part, and the two then take turns by time slice while another core is idle (13 % of a core, by
the scheduler's records). So when all cores compute, each thread has one of its own. With fewer the system chooses: two
engines that leave the same cores free would otherwise share the others.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Collection
from typing import Any, Final

from inferd_actors.engines import cores
from inferd_actors.engines.llama_cpp.library.binding import bare, lib

MASKED_CORES: Final = 512
"""`GGML_MAX_N_THREADS`."""
POLL: Final = 1
"""How long a thread without work looks for some before it sleeps, in ggml's hundredths: 2 to 5 ms, longer than there is between
two steps. ggml's own 50 keep a core busy for a tenth of a second after every answer."""
CAN_PLACE: Final = hasattr(os, "sched_setaffinity")


class _Params(ctypes.Structure):
    """`ggml_threadpool_params`."""

    _fields_ = (
        ("cpumask", ctypes.c_bool * MASKED_CORES),
        ("n_threads", ctypes.c_int),
        ("prio", ctypes.c_int),
        ("poll", ctypes.c_uint32),
        ("strict_cpu", ctypes.c_bool),
        ("paused", ctypes.c_bool),
    )


class Pools:
    """Threads for a context, the calling one among them: a set with a core for each, and one without, made when first used.

    Belongs to the thread that decodes; what that thread starts after `use` inherits its core.
    """

    def __init__(self, context: Any) -> None:  # noqa: ANN401 - a pointer
        self._context = context
        self._cores = cores.own()
        self._made: dict[bool, _Pool] = {}
        """By whether each thread has its core."""

    def use(self, threads: int) -> None:
        """Compute with so many threads from the next decode on."""
        is_placed = CAN_PLACE and threads == len(self._cores) > 1 and max(self._cores) < MASKED_CORES
        pool = self._made.get(is_placed)
        if pool is None or pool.threads < threads:
            self._end(is_placed)
            pool = self._made[is_placed] = _Pool(threads, self._cores if is_placed else ())
        _move_to(pool.place or self._cores)
        bare.llama_attach_threadpool(ctypes.c_void_p(self._context), pool.handle, pool.handle)
        lib.llama_set_n_threads(self._context, threads, threads)

    def close(self) -> None:
        """End the threads; the context is no longer there."""
        for is_placed in tuple(self._made):
            self._end(is_placed)
        _move_to(self._cores)

    def _end(self, is_placed: bool) -> None:  # noqa: FBT001 - a key
        pool = self._made.pop(is_placed, None)
        if pool is not None:
            bare.ggml_threadpool_free(pool.handle)


class _Pool:
    """One of ggml's pools. `place`: the cores that it gave the calling thread; none, unless it has one for each."""

    def __init__(self, threads: int, cores: Collection[int]) -> None:
        self.threads = threads
        params = _Params(n_threads=threads, poll=POLL, strict_cpu=bool(cores))
        for core in cores:
            params.cpumask[core] = True
        self.handle = ctypes.c_void_p(bare.ggml_threadpool_new(ctypes.byref(params)))
        self.place = os.sched_getaffinity(0) if cores else set()


def _move_to(cores: set[int]) -> None:
    if CAN_PLACE:
        os.sched_setaffinity(0, cores)
