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
    """For one token at a time. 0: one less than there are cores, see `decode_threads`."""
    prefill_threads: Annotated[int, Range(0, 1_024)] = 0
    """For reading prompts. 0: every core, see `batch_threads`."""
    gpu_layers: Annotated[int, Range(-1, 10_000)] = -1
    """Layers on the GPU; -1: all. Without a GPU, or in a build without one, nothing is moved."""

    @property
    def decode_threads(self) -> int:
        """Return the threads that decode.

        A thread per core is the fastest alone, and loses four fifths of its speed to one busy neighbour: llama.cpp's
        threads wait for each other by spinning. On 2 cores, tokens/s: 2 threads 118 alone, 28 beside a neighbour; 1 thread
        91 in both.
        """
        return self.threads or max(1, _cores() - 1)

    @property
    def batch_threads(self) -> int:
        """Return the threads that read prompts.

        They wait for each other less often, so a neighbour costs little. On 2 cores, tokens/s: 2 threads 262 alone, 110
        beside a neighbour; 1 thread 157 and 144.
        """
        return self.prefill_threads or _cores()


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
