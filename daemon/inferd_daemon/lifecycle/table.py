"""Which state of a model follows which, as one table. Read it before `machine`.

Covers: the states that an event leads to. Does not cover what else happens on the way: see `machine`.
What a process says is judged first: a failed load, a death and a hang all become `Struck` or `GaveUp`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from inferd_daemon.lifecycle import events
from inferd_daemon.lifecycle.states import State

if TYPE_CHECKING:
    from collections.abc import Mapping


class Struck:
    """Judged: the process failed, and may be tried again later."""


class GaveUp:
    """Judged: the process failed, and is not tried again by itself."""


class Rested:
    """Judged: the back-off is over."""


Kind = type[events.Event | Struck | GaveUp | Rested]

NEXT: Final[Mapping[tuple[State, Kind], State]] = MappingProxyType(
    {
        (State.ABSENT, events.PullWanted): State.PULLING,
        (State.ABSENT, events.FilesChanged): State.STORED,
        (State.PULLING, events.Pulled): State.STORED,
        (State.PULLING, events.PullFailed): State.STORED,
        (State.STORED, events.FilesChanged): State.STORED,
        (State.STORED, events.Wanted): State.LOADING,
        (State.LOADING, events.Loaded): State.READY,
        (State.LOADING, events.UnloadWanted): State.DRAINING,
        (State.LOADING, events.MemoryRefused): State.STORED,
        (State.LOADING, events.Unwanted): State.STORED,
        (State.LOADING, Struck): State.BACKOFF,
        (State.LOADING, GaveUp): State.FAILED,
        (State.READY, events.UnloadWanted): State.DRAINING,
        (State.READY, events.Evicted): State.DRAINING,
        (State.READY, Struck): State.BACKOFF,
        (State.READY, GaveUp): State.FAILED,
        (State.DRAINING, events.Gone): State.STORED,
        (State.BACKOFF, Rested): State.STORED,
        (State.BACKOFF, events.UnloadWanted): State.STORED,
        (State.FAILED, events.UnloadWanted): State.STORED,
        (State.FAILED, events.PullWanted): State.PULLING,
        (State.FAILED, events.FilesChanged): State.STORED,
    }
)
"""STORED stands for "at rest": without files it is entered as ABSENT. What is not here has no effect on the state."""
