"""What the keeper is to do, in the imperative; in order."""

from __future__ import annotations

from dataclasses import dataclass

from inferd_actors.messages import Died, KeeperReady, KeeperTrouble, Spawn, Spawned


@dataclass(frozen=True, slots=True)
class Tell:
    """Send this to the daemon; dropped when there is none, it gets the whole picture when it comes."""

    message: KeeperReady | KeeperTrouble | Spawned | Died


@dataclass(frozen=True, slots=True)
class Begin:
    """Have Ray start this actor; answered by `Started` or `Fell`, and later by `Fell`."""

    spawn: Spawn


@dataclass(frozen=True, slots=True)
class Finish:
    """Have Ray kill this actor; answered by `Fell` or `Gone`."""

    life: int


@dataclass(frozen=True, slots=True)
class Release:
    """Forget the handle of a life that is over, and old logs. `living`: the processes whose logs must stay."""

    life: int
    living: frozenset[int]


@dataclass(frozen=True, slots=True)
class Watch:
    """Answer with `Gone` when this process is gone."""

    life: int
    pid: int


@dataclass(frozen=True, slots=True)
class Strike:
    """Kill this process by signal: Ray is broken, or its own kill did not help."""

    pid: int


@dataclass(frozen=True, slots=True)
class Restart:
    """Take Ray down and up again; answered by `RayCame` or `RayFailed`."""


@dataclass(frozen=True, slots=True)
class Leave:
    """Take Ray down and end the process."""

    reason: str
    failed: bool = False


Effect = Tell | Begin | Finish | Release | Watch | Strike | Restart | Leave
