"""A model that holds memory, and a load that waits for it: the ledger's two kinds of rows.

Covers: the data and what follows from one row alone. Only `machine` changes them. Pure.
"""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NewType

from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.ledger.room import GPU, Device

NEVER_S: Final = math.inf

AGING_S: Final = 30.0
"""A load that has waited for so long counts as one class more urgent, so that every one is the first at last."""

PATIENCE_S: Final = (0.0, 5.0, 30.0, 60.0)
"""By class: how long a load waits for models in use to become idle. Then one of them yields: what runs on it ends first, what
comes for it waits for its next life. Without that, two models that are always in use would keep a third out for ever."""

LEAST_TURN_S: Final = 10.0
TURN_LOADS: Final = 4.0
"""A model in use yields only after it was there for 10 s and for 4 times what the two loads cost: so at most a fifth of the
time goes into loading when more models are wanted all the time than fit."""


HoldNo = NewType("HoldNo", int)
"""A hold: models that one app has kept in memory together."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a model's load takes."""

    peak_bytes: int
    """Of the machine's memory."""
    load_s: float
    gpu_bytes: int = 0
    """Of the GPUs' own."""

    def on(self, device: Device) -> int:
        """Return the bytes of one memory."""
        return self.gpu_bytes if device == GPU else self.peak_bytes


class Phase(enum.Enum):
    """What a holding's model does."""

    LOADING = "loading"
    BUSY = "in use"
    IDLE = "idle"
    LEAVING = "leaving"


@dataclass(slots=True)
class Holding:
    """Memory that belongs to one model from the decision to load it until its process is gone."""

    model: ModelId
    reserved_bytes: int
    began_s: float
    load_s: float
    phase: Phase = Phase.LOADING
    measured_bytes: int = 0
    reserved_gpu_bytes: int = 0
    measured_gpu_bytes: int = 0
    idle_since_s: float = NEVER_S
    promised: bool = False
    """Reserved for a hold; its load has not asked for the memory yet."""
    keep_until_s: float | None = None
    """The longest of the wishes that came with its requests; None: none came."""

    @property
    def held_bytes(self) -> int:
        """Return what counts of the machine's memory: the larger of what was reserved and what is used."""
        return max(self.reserved_bytes, self.measured_bytes)

    @property
    def held_gpu_bytes(self) -> int:
        """Return what counts of the GPUs' memory, in the same way."""
        return max(self.reserved_gpu_bytes, self.measured_gpu_bytes)

    def held_on(self, device: Device) -> int:
        """Return what counts of one memory."""
        return self.held_gpu_bytes if device == GPU else self.held_bytes

    def turn_ends_s(self, other_load_s: float) -> float:
        """Return when it has had its turn, so that a load that has waited for long may have its memory."""
        return self.began_s + max(LEAST_TURN_S, TURN_LOADS * (self.load_s + other_load_s))


@dataclass(slots=True)
class Waiting:
    """A load that waits for memory: of one model, or of those of a hold, which come together or not at all."""

    key: ModelId | HoldNo
    needs: Mapping[ModelId, Need]
    app: str
    rank: int
    load_s: float
    asked_s: float
    number: int
    """In the order of arrival."""
    missing: Mapping[Device, int] = field(default_factory=dict)
    """What its models that are not there need of each memory; the machine's stands last and always."""
    passed: Counter[Device] = field(default_factory=Counter)
    """Bytes of loads that began before it although they came later."""
    shown: str = ""
    """What those who wait were told last."""
    squeezed: bool = False
    """Other programs had the memory when it was looked at last."""

    def need_on(self, device: Device) -> int:
        """Return the bytes of one memory that are to be found for it."""
        return self.missing.get(device, 0)

    @property
    def is_hold(self) -> bool:
        """Tell whether it is a hold's."""
        return not isinstance(self.key, ModelId)

    def place(self, now_s: float) -> tuple[int, int]:
        """Return its place in the line: smaller comes first."""
        return max(0, self.rank - int((now_s - self.asked_s) / AGING_S)), self.number

    @property
    def patient_until_s(self) -> float:
        """Return from when on models in use yield to it."""
        return self.asked_s + PATIENCE_S[min(self.rank, len(PATIENCE_S) - 1)]
