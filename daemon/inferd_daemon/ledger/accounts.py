"""The books of all memories: who holds what, who waits, and the sums over them.

Covers: the rows and what is read off them. Does not cover decisions: `machine` is the only one that changes rows. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.ledger.holding import Holding, HoldNo, Phase, Waiting
from inferd_daemon.ledger.room import GPU, RAM, Device, Room, Terms
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

    def missing_bytes(self, load: Waiting) -> dict[Device, int]:
        """Return what a load needs of each memory beside what its models hold already; the machine's stands last, always."""
        needs = [load.needs[model] for model in self.missing(load)]
        gpu_bytes = sum(need.gpu_bytes for need in needs)
        return ({GPU: gpu_bytes} if gpu_bytes else {}) | {RAM: sum(need.peak_bytes for need in needs)}

    def on(self, device: Device, *phases: Phase) -> list[Holding]:
        """Return the holdings of one memory, of these phases if any are named."""
        rows = self.holdings.values()
        return [one for one in rows if (device == RAM or one.held_on(device)) and (not phases or one.phase in phases)]

    def line(self, now_s: float) -> list[Waiting]:
        """Return the loads that wait, who is first first."""
        return sorted(self.waiting.values(), key=lambda load: load.place(now_s))

    def held_bytes(self, device: Device) -> int:
        """Return what all models hold, those that leave included."""
        return sum(one.held_on(device) for one in self.on(device))

    def leaving_bytes(self, device: Device) -> int:
        """Return what comes back by itself."""
        return sum(one.held_on(device) for one in self.on(device, Phase.LEAVING))

    def limit_bytes(self, device: Device) -> int:
        """Return what may be held now; 0 while the memory was never read."""
        room = self.rooms.get(device)
        return self.terms[device].limit_bytes(room) if room else 0

    def books(
        self, load: Waiting, device: Device, ahead: Sequence[Waiting], now_s: float, chosen: Collection[ModelId] = ()
    ) -> Books:
        """Return one memory as this load finds it behind those `ahead`. `chosen`: who leaves for it anyway."""
        there = self.on(device, Phase.LOADING, Phase.BUSY, Phase.IDLE)
        own_bytes = sum(one.held_on(device) for one in there if one.model in load.needs)
        others = [one for one in self.on(device) if one.model not in load.needs]
        pinned_bytes = sum(one.held_on(device) for one in others if one.model in self.pinned)
        leased = self.leased - self.pinned if load.is_hold else frozenset()
        leased_bytes = sum(one.held_on(device) for one in others if one.model in leased)
        limit_bytes = self.limit_bytes(device) - own_bytes
        free_bytes = self.limit_bytes(device) - self.held_bytes(device)
        leaving_bytes = self.leaving_bytes(device) + sum(self.holdings[model].held_on(device) for model in chosen)
        before = [one for one in ahead if one.need_on(device)]
        promised_bytes = sum(one.need_on(device) for one in before)
        passed_bytes = max((one.passed[device] for one in before), default=0)
        together = load.need_on(device) + promised_bytes + passed_bytes <= limit_bytes - pinned_bytes
        return Books(
            ceiling_bytes=self.terms[device].ceiling_bytes(self.rooms[device]) - own_bytes,
            limit_bytes=limit_bytes,
            own_bytes=own_bytes,
            pinned_bytes=pinned_bytes,
            leased_bytes=leased_bytes,
            free_bytes=free_bytes,
            spare_bytes=free_bytes + leaving_bytes - promised_bytes,
            may_pass=together and all(now_s < one.patient_until_s for one in before),
        )
