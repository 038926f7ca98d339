"""What can happen to the keeper, beside the daemon's orders, which are facts too. Facts name a life, or a start of Ray."""

from __future__ import annotations

from dataclasses import dataclass

from inferd_actors.messages import Assign, Kill, Shutdown, Spawn


@dataclass(frozen=True, slots=True)
class Welcomed:
    """A daemon knows us: it wants to hear everything from here on."""


@dataclass(frozen=True, slots=True)
class Alone:
    """No daemon is there any more."""


@dataclass(frozen=True, slots=True)
class RayCame:
    """Ray is up. `head`: which start of it this is."""

    head: int
    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RayFailed:
    """Ray did not start, and was tried often enough."""

    reason: str


@dataclass(frozen=True, slots=True)
class RayBroke:
    """A server process of this start of Ray is gone."""

    head: int
    reason: str


@dataclass(frozen=True, slots=True)
class Started:
    """Ray has a process for this life."""

    life: int
    pid: int


@dataclass(frozen=True, slots=True)
class Fell:
    """Ray says that this life is over, or never began."""

    life: int
    reason: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The process of this life does not exist any more."""

    life: int


@dataclass(frozen=True, slots=True)
class Asked:
    """Something outside wants the keeper to end: a signal, the end of the daemon that started it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time has passed."""


Fact = (
    Spawn
    | Assign
    | Kill
    | Shutdown
    | Welcomed
    | Alone
    | RayCame
    | RayFailed
    | RayBroke
    | Started
    | Fell
    | Gone
    | Asked
    | Ticked
)
