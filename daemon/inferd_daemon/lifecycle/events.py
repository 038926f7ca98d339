"""What can happen to a model, in the past tense. Events that name a life change nothing once that life is over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from inferd.errors import Detail
from inferd.messages.events import Error
from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.ids import Life

LoadCause = Literal["file_missing", "file_corrupt", "no_memory", "engine"]

# --- by model


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request waits for this model. May be told again for the same wait."""

    model: ModelId


@dataclass(frozen=True, slots=True)
class PullWanted:
    """Someone asked for this model's files."""

    model: ModelId


@dataclass(frozen=True, slots=True)
class Pulled:
    """The files are here, complete and checked; answers `StartPull`."""

    model: ModelId


@dataclass(frozen=True, slots=True)
class PullFailed:
    """The files could not be fetched; answers `StartPull`."""

    model: ModelId
    message: str
    retryable: bool = True
    retry_after_s: float | None = None
    details: Mapping[str, Detail] = field(default_factory=dict)
    """As those who wait are told: the cause and the numbers."""


@dataclass(frozen=True, slots=True)
class FilesChanged:
    """The store sees the files come, go or change. Told once per model at start."""

    model: ModelId
    stored: bool


@dataclass(frozen=True, slots=True)
class UnloadWanted:
    """A person or an app wants its process to end; also how a person forgives a FAILED model."""

    model: ModelId


@dataclass(frozen=True, slots=True)
class Reserved:
    """Its memory is reserved and its process may begin; answers `Reserve`.

    `standby`: a life that stands by and is to become this model's; None, or one that does not any more: a new process.
    """

    model: ModelId
    standby: Life | None = None


@dataclass(frozen=True, slots=True)
class Delayed:
    """Its memory is not to be had yet; `reason` says what it waits for."""

    model: ModelId
    reason: str


@dataclass(frozen=True, slots=True)
class MemoryRefused:
    """Its memory is not to be had; answers `Reserve`."""

    model: ModelId
    error: Error


@dataclass(frozen=True, slots=True)
class LoadRefused:
    """It is known that its load would fail, before anything was reserved for it; answers `Reserve`."""

    model: ModelId
    cause: LoadCause
    message: str


@dataclass(frozen=True, slots=True)
class Unwanted:
    """Nobody waits for it any more."""

    model: ModelId


@dataclass(frozen=True, slots=True)
class Evicted:
    """Its memory is wanted for another model, or it was idle for long enough. What runs on it ends by itself."""

    model: ModelId


@dataclass(frozen=True, slots=True)
class Emptied:
    """The scheduler has nothing in flight on it and will dispatch nothing to it."""

    model: ModelId


# --- by life


@dataclass(frozen=True, slots=True)
class Spawned:
    """The keeper started the process; answers `Spawn`."""

    life: Life
    pid: int


@dataclass(frozen=True, slots=True)
class Greeted:
    """The process said hello; from now on its connection can be spoken to and will tell its end."""

    life: Life


@dataclass(frozen=True, slots=True)
class Progressed:
    """The load moved; `progress` from 0 to 1."""

    life: Life
    progress: float
    phase: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """The model answers requests; answers `OrderLoad`."""

    life: Life
    slots: int
    can_park: bool
    context_tokens: int
    memory_bytes: int
    load_s: float
    phases: Mapping[str, float] = field(default_factory=dict)
    """Seconds of each part of the load, as its process told them."""


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """The load failed and the process is of no use; answers `OrderLoad`."""

    life: Life
    cause: LoadCause
    message: str


@dataclass(frozen=True, slots=True)
class Served:
    """A request was completed: earlier failures are forgiven. `first_s`: from its submission to its first piece."""

    life: Life
    first_s: float | None = None


@dataclass(frozen=True, slots=True)
class Hung:
    """The process is there but gives no sign of life; `reason` holds the seconds."""

    life: Life
    reason: str


@dataclass(frozen=True, slots=True)
class Gone:
    """Its connection closed, or the keeper saw it die: whichever is told first. Answers every order to end."""

    life: Life
    reason: str


# --- about processes without a model


@dataclass(frozen=True, slots=True)
class StoodBy:
    """A process that has no model is ready to be given one: `Lifecycle.set_aside` gave it its number."""

    life: Life
    pid: int


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """It stands by no more: it is gone, or about to be."""

    life: Life


# --- by nobody in particular


@dataclass(frozen=True, slots=True)
class KeeperUp:
    """Processes can be spawned from now on."""


@dataclass(frozen=True, slots=True)
class KeeperDown:
    """No process can be spawned until `KeeperUp`; those that had not said hello never will."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time passed: due at `Lifecycle.next_timer_s`; at other times harmless."""


MemoryEvent = Reserved | Delayed | MemoryRefused | LoadRefused | Unwanted | Evicted
ModelEvent = Wanted | PullWanted | Pulled | PullFailed | FilesChanged | UnloadWanted | MemoryEvent | Emptied
LifeEvent = Spawned | Greeted | Progressed | Loaded | LoadFailed | Served | Hung | Gone
StandbyEvent = StoodBy | Withdrawn
Event = ModelEvent | LifeEvent | StandbyEvent | KeeperUp | KeeperDown | Ticked
