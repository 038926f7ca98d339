"""What is known of one model: its state, its process, its setbacks, its timers.

Covers: the data. Does not cover decisions: only `machine` and `transitions` write here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from inferd_actors.phases import Phases
from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.ids import Life
from inferd_daemon.lifecycle.setbacks import Setback
from inferd_daemon.lifecycle.states import State

NEVER_S = math.inf


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a loaded model said of itself."""

    slots: int
    can_park: bool
    context_tokens: int
    memory_bytes: int
    load_s: float


@dataclass(frozen=True, slots=True)
class View:
    """One model at one moment, for the scheduler, for waiting apps and for `ps`."""

    model: ModelId
    state: State
    life: int = 0
    """0: it has no process, not even one that is ending."""
    pid: int = 0
    progress: float = 0.0
    phase: str = ""
    reason: str = ""
    """Why it is in BACKOFF or FAILED."""
    retry_after_s: float = 0.0
    """How long BACKOFF lasts."""
    deaths: int = 0
    """In a row, of loaded processes."""
    capacity: Capacity | None = None
    """While READY or DRAINING."""
    phases: Mapping[str, float] = field(default_factory=dict)
    """Seconds of each part of its load and of its first answer, while READY or DRAINING."""


ORDERING: Final = "loading"
"""The phase from the process's hello on; what remains of it beside the process's own: the file's header, and the ways."""
FIRST_ANSWER: Final = "first answer"
"""The last phase: from giving the process its first request to that request's first piece."""


class Memory(Enum):
    """How far a model is with its memory."""

    NONE = "none"
    ASKED = "asked"
    HELD = "held"


@dataclass(slots=True)
class Process:
    """The one process that a model may have."""

    life: Life
    pid: int = 0
    greeted: bool = False
    stood_by: bool = False
    """It was begun before there was a model for it: what ends it before it has loaded one is no fault of the model."""
    ending: bool = False
    """Its end was ordered: nothing it says counts any more."""
    kill_at_s: float = NEVER_S


@dataclass(slots=True)
class Record:
    """One model. `process` is set from `Spawn` until `Gone`, so there are never two."""

    model: ModelId
    state: State = State.ABSENT
    stored: bool = False
    wanted: bool = False
    """Requests wait for the next life."""
    memory: Memory = Memory.NONE
    """Held from before its process is there until after it is gone."""
    evicted: bool = False
    """It drains for the ledger's sake, so without a limit of time."""
    process: Process | None = None
    capacity: Capacity | None = None
    progress: float = 0.0
    phase: str = ""
    phases: Phases = field(default_factory=Phases)
    """Of the load under way."""
    took_s: dict[str, float] = field(default_factory=dict)
    """Of the load of the present life, once it is complete."""
    load_failures: int = 0
    deaths: int = 0
    setback: Setback | None = None
    """The last failure, until it is forgiven."""
    due_s: float = NEVER_S
    """When the state itself has waited long enough."""

    @property
    def timer_s(self) -> float:
        """Return when this record wants the next `Ticked`."""
        return min(self.due_s, self.process.kill_at_s if self.process else NEVER_S)

    def loaded(self, by_process: Mapping[str, float], now_s: float) -> None:
        """Take note of what the load took: by our clock until the process had the order, by its own from then on."""
        self.phases.end(now_s)
        ours = dict(self.phases.took_s)
        if ORDERING in ours:
            ours[ORDERING] = max(0.0, ours[ORDERING] - sum(by_process.values()))
        self.took_s = ours | dict(by_process)

    def forgive(self) -> None:
        """Forget all failures."""
        self.load_failures = self.deaths = 0
        self.setback = None

    def view(self, now_s: float) -> View:
        """Return what others may see."""
        loading = self.state is State.LOADING
        troubled = self.state in (State.BACKOFF, State.FAILED)
        return View(
            model=self.model,
            state=self.state,
            life=self.process.life if self.process else 0,
            pid=self.process.pid if self.process else 0,
            progress=self.progress if loading else 0.0,
            phase=self.phase if loading else "",
            reason=self.setback.message if troubled and self.setback else "",
            retry_after_s=max(0.0, self.due_s - now_s) if self.state is State.BACKOFF else 0.0,
            deaths=self.deaths,
            capacity=self.capacity,
            phases=self.took_s if self.capacity else {},
        )
