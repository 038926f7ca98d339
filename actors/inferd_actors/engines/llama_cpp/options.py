"""What a llama.cpp model can be told for its whole life."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from inferd.messages.bounds import Range


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of the llama.cpp engine; 0 where a default depends on the model or the machine."""

    context_tokens: Annotated[int, Range(0, 10_000_000)] = 0
    """0: what the model was trained for, at most 4,096: its cache is allocated at once."""
    slots: Annotated[int, Range(1, 128)] = 8
    """Requests that are worked on at the same time; more of a higher class park lower ones."""
    cache_tokens: Annotated[int, Range(0, 100_000_000)] = 0
    """Cells of the one cache that all requests share; 0: two contexts."""
    prefixes: Annotated[int, Range(0, 64)] = 2
    """Requests that have ended whose tokens may stay in the cache for the next ones that begin alike: if they are long, or
    shared. Few: everybody's attention passes over them, and from the shelf a prefix of 1,500 tokens is back in 5 ms."""
    shelf_bytes: Annotated[int, Range(0, 2**50)] = 256 * 2**20
    """Host memory for parked requests and for prefixes that left the cache."""
    threads: Annotated[int, Range(0, 1_024)] = 0
    """0: as many as there are cores that others leave free, see `threads`; else so many, always."""
    gpu_layers: Annotated[int, Range(-1, 10_000)] = -1
    """Layers on the GPU; -1: all, 0: none, and the GPU is left alone. Without one, or in a build without, nothing is moved."""
