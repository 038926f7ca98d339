"""What the supervisor is told to do about waiting requests, in the imperative. To be carried out in order."""

from __future__ import annotations

from dataclasses import dataclass

from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.ids import StreamNo


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Give this request to its model's process; answered by `Ended`, exactly once."""

    stream: StreamNo


@dataclass(frozen=True, slots=True)
class TurnAway:
    """End this request unserved: its model was refused. The scheduler has forgotten it."""

    stream: StreamNo


@dataclass(frozen=True, slots=True)
class ShowPosition:
    """Tell this request's app how many it is from being served, itself included."""

    stream: StreamNo
    position: int


@dataclass(frozen=True, slots=True)
class WantModel:
    """Requests wait for a model that is not ready; may be told again for the same wait."""

    model: ModelId


@dataclass(frozen=True, slots=True)
class StartIdleClock:
    """Nothing waits for this ready model and nothing runs on it; the next `Dispatch` to it stops the clock."""

    model: ModelId


@dataclass(frozen=True, slots=True)
class ReportEmptied:
    """Nothing runs on this model that is not ready: tell the life cycle, which may wait for it to let a process go."""

    model: ModelId


Command = Dispatch | TurnAway | ShowPosition | WantModel | StartIdleClock | ReportEmptied
