"""What a llama.cpp model can be told for its whole life."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated

from inferd.messages.bounds import Range


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of the llama.cpp engine; 0 where a default depends on the model or the machine."""

    context_tokens: Annotated[int, Range(0, 10_000_000)] = 0
    """0: what the model was trained for, at most 4,096: its cache is allocated at once."""
    threads: Annotated[int, Range(0, 1_024)] = 0
    """0: one less than there are cores, see `computing_threads`."""
    gpu_layers: Annotated[int, Range(-1, 10_000)] = -1
    """Layers on the GPU; -1: all. Without a GPU, or in a build without one, nothing is moved."""

    @property
    def computing_threads(self) -> int:
        """Return how many threads compute.

        A thread per core is the fastest alone, and loses four fifths of its speed to one busy neighbour: llama.cpp's
        threads wait for each other by spinning. On 2 cores, tokens/s: 2 threads 118 alone, 28 beside a neighbour; 1 thread
        91 in both. Reading a prompt of 40 tokens beside several took 2 threads 2.2 s, alone 0.2 s.
        """
        return self.threads or max(1, _cores() - 1)


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
