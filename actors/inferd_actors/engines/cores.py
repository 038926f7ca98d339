"""The cores that this process may use: what an engine's `threads` begin with."""

from __future__ import annotations

import os


def count() -> int:
    """Return how many there are."""
    return len(own())


def own() -> set[int]:
    """Return their numbers; a thread that was bound to one does not change them."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(os.getpid())
    return set(range(os.cpu_count() or 1))  # macOS cannot bind processes to cores
