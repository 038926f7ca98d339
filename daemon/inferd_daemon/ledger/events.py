"""What the ledger is told, in the past tense. Events about models that it does not hold change nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.ledger.holding import HoldNo, Need
from inferd_daemon.ledger.room import Device, Room


@dataclass(frozen=True, slots=True)
class RoomRead:
    """How full a memory is. To be told before whatever needs a decision, and every few seconds while models are held."""

    device: Device
    room: Room


@dataclass(frozen=True, slots=True)
class Asked:
    """A load waits for memory. Told again, it joins: the load keeps its place, the most urgent class counts.

    What was promised to a hold is there at once.
    """

    model: ModelId
    need_bytes: int
    app: str
    """Who asked first."""
    rank: int
    """Of the class; 0 is the most urgent."""
    load_s: float
    """How long its load is expected to take."""
    gpu_bytes: int = 0
    """What it needs of the GPUs' own memory beside that."""


@dataclass(frozen=True, slots=True)
class HoldAsked:
    """An app wants these models kept in memory, all or none: what is not there is reserved together."""

    hold: HoldNo
    needs: Mapping[ModelId, Need]
    app: str
    rank: int


@dataclass(frozen=True, slots=True)
class HoldEnded:
    """A hold is over, or wanted no more: its models may leave as others do, what was only promised is free."""

    hold: HoldNo


@dataclass(frozen=True, slots=True)
class Released:
    """Its process is gone, or its load is wanted no more: it holds nothing and waits for nothing.

    What a held model had stays promised to its next life.
    """

    model: ModelId


@dataclass(frozen=True, slots=True)
class Loaded:
    """It answers requests; its load took so long. `phases`: seconds of its parts from the wish for it on; empty: not known."""

    model: ModelId
    load_s: float
    phases: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Used:
    """A request was given to it: from now on it is in use."""

    model: ModelId


@dataclass(frozen=True, slots=True)
class Kept:
    """Somebody who used it, or had it loaded, wants it to stay for so long from now; None: as configured."""

    model: ModelId
    keep_s: float | None


@dataclass(frozen=True, slots=True)
class Rested:
    """Nothing runs on it and nothing waits for it."""

    model: ModelId


@dataclass(frozen=True, slots=True)
class Left:
    """It takes no new work and will be gone, whoever wanted that."""

    model: ModelId


@dataclass(frozen=True, slots=True)
class Failed:
    """Its load came to nothing, or its process did; what it holds, it holds until that is gone."""

    model: ModelId
    what: str
    next: str


@dataclass(frozen=True, slots=True)
class Measured:
    """What its processes really use."""

    model: ModelId
    used_bytes: int
    gpu_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Pinned:
    """It is never to leave by the ledger's decision, or may again."""

    model: ModelId
    is_pinned: bool


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time passed: due at `Ledger.next_timer_s`; at other times harmless."""


AboutHolding = Loaded | Used | Kept | Rested | Left | Measured
Event = RoomRead | Asked | HoldAsked | HoldEnded | Released | AboutHolding | Failed | Pinned | Ticked
