"""One claim: who wants which models in memory, and how far that is. Only `machine` changes it. Pure."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from typing import Final

from inferd.messages.events import Error
from inferd_daemon.catalogue.names import ModelId

NEVER_S: Final = math.inf


class Stage(enum.Enum):
    """How far a claim is."""

    RESERVING = "reserving"
    """A hold's memory is looked for."""
    LOADING = "loading"
    STANDING = "standing"
    """A hold's models are ready, and it was answered."""


@dataclass(slots=True)
class Claim:
    """One hold or warm-up. `number`: that of the request which asked for it; it stays a hold's name."""

    number: int
    session: int
    app: str
    rank: int
    """Of the class; 0 is the most urgent."""
    models: frozenset[ModelId]
    seconds: float | None = None
    """For how long a hold stands; None: a warm-up."""
    stage: Stage = Stage.LOADING
    asked_s: float = 0.0
    until_s: float = NEVER_S
    ready_s: dict[ModelId, float] = field(default_factory=dict)
    """Models that are ready, and how long that took."""
    failed: dict[ModelId, Error] = field(default_factory=dict)

    @property
    def is_hold(self) -> bool:
        """Tell it from a warm-up."""
        return self.seconds is not None

    def ends_s(self, now_s: float) -> float:
        """Return when a hold ends; one whose models still load: as if it stood from now on."""
        return now_s + (self.seconds or 0.0) if self.until_s == NEVER_S else self.until_s

    @property
    def missing(self) -> frozenset[ModelId]:
        """Return the models whose loads it waits for."""
        return self.models - self.ready_s.keys() - self.failed.keys()
