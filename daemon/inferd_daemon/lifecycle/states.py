"""The states of a model, in the words of the wire, of `ps` and of the documents. Imports nothing of ours.

    ABSENT ⇄ PULLING → STORED → LOADING → READY → DRAINING → STORED
                          ↑        ↓        ↓
                          └──── BACKOFF ────┘  → FAILED (left by a person, or by a changed file)

Idle is READY with nothing in flight, not a state.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a model is; the values are those of the wire's `ModelState`."""

    ABSENT = "absent"
    """Its files are not here."""
    PULLING = "pulling"
    """Its files are being fetched."""
    STORED = "stored"
    """Its files are here; no process is wanted."""
    LOADING = "loading"
    """Someone wants it; its process is being made, or waits for the keeper or for the end of the previous one."""
    READY = "ready"
    """Its process answers requests."""
    DRAINING = "draining"
    """It takes no new work and ends when the last request has; there is no way back."""
    BACKOFF = "backoff"
    """It failed, and may be tried again after a while."""
    FAILED = "failed"
    """It failed for good, or too often."""
