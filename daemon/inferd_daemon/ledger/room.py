"""How much of one memory the service may hold: the user's budget, and what the machine has to spare.

Covers: the reading of a memory, the terms, and the limits that follow. Does not cover taking the reading: `memory`. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

Device = Literal["ram", "gpu"]
"""One memory, by its name on the wire."""

RAM: Final[Device] = "ram"
GPU: Final[Device] = "gpu"
"""Of all GPUs that have memory of their own, together: llama.cpp spreads a model's layers over them as they have room. Scarcer
than the machine's, so it is looked at first wherever both are wanted."""


class Amount(NamedTuple):
    """So much of each memory."""

    ram_bytes: int
    gpu_bytes: int = 0


RESERVE_SHARE: Final = 0.10
LEAST_RESERVE_BYTES: Final = 2 * 2**30
"""Kept free for everybody else: 10 % of the memory, at least 2 GB; car-inference keeps the same back."""

HARD_MARK: Final = 0.95
"""Loads are let in up to this share of what the machine could give; the rest is for what grows after it was measured."""

SOFT_MARK: Final = 0.85
"""Past this share of what the machine could give, models that have been idle for a while leave (oMLX has the same marks)."""


@dataclass(frozen=True, slots=True)
class Room:
    """One memory at one moment."""

    total_bytes: int
    available_bytes: int
    """What programs could still take without swapping."""
    held_bytes: int
    """What our models' processes hold and would give back; not counted in `available_bytes`."""
    stalled_share: float = 0.0
    """Of the last ten seconds: how much of them programs stood still for want of memory."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the configuration says; None: as the machine has it."""

    budget_bytes: int | None = None
    reserve_bytes: int | None = None

    def reserve_of(self, room: Room) -> int:
        """Return the bytes that stay free for others."""
        if self.reserve_bytes is not None:
            return self.reserve_bytes
        return max(int(RESERVE_SHARE * room.total_bytes), LEAST_RESERVE_BYTES)

    def spare_bytes(self, room: Room) -> int:
        """Return what the machine could give our models now, all of them together."""
        return max(0, room.available_bytes + room.held_bytes - self.reserve_of(room))

    def limit_bytes(self, room: Room) -> int:
        """Return how much may be reserved now, all models together."""
        live_bytes = int(HARD_MARK * self.spare_bytes(room))
        return live_bytes if self.budget_bytes is None else min(self.budget_bytes, live_bytes)

    def ceiling_bytes(self, room: Room) -> int:
        """Return how much may be reserved at the best of times: what is larger fits never."""
        most_bytes = int(HARD_MARK * max(0, room.total_bytes - self.reserve_of(room)))
        return most_bytes if self.budget_bytes is None else min(self.budget_bytes, most_bytes)

    def soft_bytes(self, room: Room) -> int:
        """Return from which sum on models leave that have been idle for a while: less while programs stand still.

        Loads are not refused for that: reading a large file can make programs stand still, too.
        """
        return int(SOFT_MARK * self.spare_bytes(room) * (1.0 - room.stalled_share))
