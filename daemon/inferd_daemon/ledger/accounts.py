"""The books of all memories: who holds what, who waits, and the sums over them.

Covers: the rows and what is read off them. Does not cover decisions: `machine` is the only one that changes rows. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.ledger.holding import Holding, HoldNo, Phase, Waiting
from inferd_daemon.ledger.room import Device, Room, Terms
from inferd_daemon.ledger.verdict import Books


class Accounts:
    """Every memory's rows. Sums are in bytes."""

    def __init__(self, terms: Mapping[Device, Terms]) -> None:
        self.terms = terms
        self.rooms: dict[Device, Room] = {}
        self.holdings: dict[ModelId, Holding] = {}
        self.waiting: dict[ModelId | HoldNo, Waiting] = {}
        self.pinned: set[ModelId] = set()
        self.held: dict[HoldNo, frozenset[ModelId]] = {}
        """Holds that have their memory."""

    @property
    def leased(self) -> frozenset[ModelId]:
        """Return the models of all holds: they never leave while these last."""
        return frozenset().union(*self.held.values())

    def missing(self, load: Waiting) -> list[ModelId]:
        """Return the models of a load that hold no memory, or leave with what they hold."""
        there = {one.model for one in self.holdings.values() if one.phase is not Phase.LEAVING}
        return sorted(load.needs.keys() - there)

    def missing_bytes(self, load: Waiting) -> int:
        """Return what a load needs beside what its models hold already."""
        return sum(load.needs[model].peak_bytes for model in self.missing(load))

    def on(self, device: Device, *phases: Phase) -> list[Holding]:
        """Return the holdings of one memory, of these phases if any are named."""
        rows = self.holdings.values()
        return [one for one in rows if one.device == device and (not phases or one.phase in phases)]

    def line(self, device: Device, now_s: float) -> list[Waiting]:
        """Return the loads that wait for one memory, who is first first."""
        loads = (load for load in self.waiting.values() if load.device == device)
        return sorted(loads, key=lambda load: load.place(now_s))

    def held_bytes(self, device: Device) -> int:
        """Return what all models hold, those that leave included."""
        return sum(one.held_bytes for one in self.on(device))

    def leaving_bytes(self, device: Device) -> int:
        """Return what comes back by itself."""
        return sum(one.held_bytes for one in self.on(device, Phase.LEAVING))

    def limit_bytes(self, device: Device) -> int:
        """Return what may be held now; 0 while the memory was never read."""
        room = self.rooms.get(device)
        return self.terms[device].limit_bytes(room) if room else 0

    def books(self, load: Waiting, ahead: Sequence[Waiting], now_s: float) -> Books:
        """Return the memory as this load finds it behind those `ahead`."""
        there = self.on(load.device, Phase.LOADING, Phase.BUSY, Phase.IDLE)
        own_bytes = sum(one.held_bytes for one in there if one.model in load.needs)
        others = [one for one in self.on(load.device) if one.model not in load.needs]
        pinned_bytes = sum(one.held_bytes for one in others if one.model in self.pinned)
        leased = self.leased - self.pinned if load.is_hold else frozenset()
        leased_bytes = sum(one.held_bytes for one in others if one.model in leased)
        limit_bytes = self.limit_bytes(load.device) - own_bytes
        free_bytes = self.limit_bytes(load.device) - self.held_bytes(load.device)
        promised_bytes = sum(one.need_bytes for one in ahead)
        passed_bytes = max((one.passed_bytes for one in ahead), default=0)
        together = load.need_bytes + promised_bytes + passed_bytes <= limit_bytes - pinned_bytes
        return Books(
            ceiling_bytes=self.terms[load.device].ceiling_bytes(self.rooms[load.device]) - own_bytes,
            limit_bytes=limit_bytes,
            own_bytes=own_bytes,
            pinned_bytes=pinned_bytes,
            leased_bytes=leased_bytes,
            free_bytes=free_bytes,
            spare_bytes=free_bytes + self.leaving_bytes(load.device) - promised_bytes,
            may_pass=together and all(now_s < one.patient_until_s for one in ahead),
        )
