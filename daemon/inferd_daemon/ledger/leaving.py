"""Who could leave, what that would cost, and who is to leave without being asked for.

Covers: idle models past their keep-alive, who leaves because memory runs short (first the standby, which nobody asked for),
candidates for a load. Does not cover choosing among candidates (`victims`) nor telling anybody to leave (`machine`). Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from inferd_daemon.catalogue.names import STANDBY, ModelId
from inferd_daemon.ledger import words
from inferd_daemon.ledger.accounts import Accounts
from inferd_daemon.ledger.habits import Habit
from inferd_daemon.ledger.holding import NEVER_S, Holding, Phase, Waiting
from inferd_daemon.ledger.room import RAM, Device
from inferd_daemon.ledger.victims import Candidate, cheapest

KEEP_ALIVE_S: Final = 900.0
"""Idle models leave after a quarter of an hour: three times what Ollama grants, since whoever wants the memory gets it."""

LONG_IDLE_S: Final = 60.0
"""Past the soft mark whoever has been idle for longer leaves."""

YIELD_COST_S: Final = 5.0
"""What a model in use costs beyond its load: others wait for it."""

EACH_LOAD_S: Final = 30.0
"""What a load costs beside its own time: a process that ends and one that begins, a cold cache, requests that wait. Without it
many loads of small models would be made to save one of a large one; on the traces of `make bench-memory` 10 s is too little to
make fewer loads than LRU in each, and with more than a minute a slow load would hardly count more than a fast one."""


@dataclass(frozen=True, slots=True)
class Farewell:
    """A model that is to leave, and the rule that says so."""

    holding: Holding
    rule: str
    device: Device = RAM
    """Whose memory is short."""


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """How long models stay when nobody uses them; `NEVER_S`: for ever."""

    default_s: float = KEEP_ALIVE_S
    by_model: Mapping[ModelId, float] = field(default_factory=dict)

    def of(self, model: ModelId) -> float:
        """Return the seconds for this model."""
        return self.by_model.get(model, self.default_s)


class Leaving:
    """Reads the accounts and remembers when models were used; changes nothing."""

    def __init__(self, accounts: Accounts, keep: KeepAlive) -> None:
        self._accounts = accounts
        self._keep = keep
        self._habits: dict[ModelId, Habit] = {}

    def used(self, model: ModelId, now_s: float) -> None:
        """Remember a use."""
        self._habits.setdefault(model, Habit()).use(now_s)

    def idle_until_s(self, holding: Holding) -> float:
        """Return when its keep-alive is over; never while it is in use."""
        if holding.phase is not Phase.IDLE or holding.model in self._staying or holding.model == STANDBY:
            return NEVER_S
        if holding.keep_until_s is not None:
            return holding.keep_until_s
        return holding.idle_since_s + self._keep.of(holding.model)

    def keep(self, holding: Holding, keep_s: float | None, now_s: float) -> None:
        """Have a model stay for so long from now, or as configured for None, unless it stays for longer anyway."""
        until_s = now_s + (self._keep.of(holding.model) if keep_s is None else keep_s)
        holding.keep_until_s = until_s if holding.keep_until_s is None else max(holding.keep_until_s, until_s)

    @property
    def _staying(self) -> frozenset[ModelId]:
        return self._accounts.leased | self._accounts.pinned

    def expired(self, now_s: float) -> list[Farewell]:
        """Return the models whose keep-alive is over."""
        over = [one for one in self._accounts.holdings.values() if now_s >= self.idle_until_s(one)]
        return [
            Farewell(one, words.idle(now_s - one.idle_since_s, self.idle_until_s(one) - one.idle_since_s))
            for one in over
        ]

    def over_limit(self, device: Device, now_s: float) -> list[Farewell]:
        """Return the idle models that leave because the machine has less than is held, whoever took the memory."""
        return self._over(device, self._accounts.limit_bytes(device), 0.0, "hard", now_s)

    def over_soft_mark(self, device: Device, now_s: float) -> list[Farewell]:
        """Return the long idle models that leave because the machine has little more than is held."""
        soft_bytes = self._accounts.terms[device].soft_bytes(self._accounts.rooms[device])
        return self._over(device, soft_bytes, LONG_IDLE_S, "soft", now_s)

    def has_spare(self, need_bytes: int) -> bool:
        """Tell whether so much more of the machine's memory could be held with no one told to leave and no load waiting."""
        room = self._accounts.rooms.get(RAM)
        if room is None or self._accounts.waiting:
            return False
        most_bytes = min(self._accounts.limit_bytes(RAM), self._accounts.terms[RAM].soft_bytes(room))
        return self._accounts.held_bytes(RAM) + need_bytes <= most_bytes

    def _over(self, device: Device, mark_bytes: int, least_idle_s: float, mark: str, now_s: float) -> list[Farewell]:
        staying_bytes = self._accounts.held_bytes(device) - self._accounts.leaving_bytes(device)
        resting = self._accounts.on(device, Phase.IDLE)
        first = [one for one in resting if one.model == STANDBY and staying_bytes > mark_bytes]
        rest_bytes = staying_bytes - sum(one.held_on(device) for one in first)
        long_idle = [one for one in resting if one.model != STANDBY and now_s - one.idle_since_s >= least_idle_s]
        idle = self._candidates(long_idle, device, now_s)
        victims = cheapest(idle, rest_bytes - mark_bytes)
        leaving = [self._accounts.holdings[one.model] for one in (idle if victims is None else victims)]
        rule = words.pressed(mark, device, staying_bytes, mark_bytes)
        return [Farewell(one, rule, device) for one in (*first, *leaving)]

    def idle(self, load: Waiting, device: Device, now_s: float) -> list[Candidate]:
        """Return the idle models that could leave a memory for a load."""
        resting = self._accounts.on(device, Phase.IDLE)
        return self._candidates([one for one in resting if one.model not in load.needs], device, now_s)

    def yielding(self, load: Waiting, device: Device, now_s: float) -> list[Candidate]:
        """Return the models in use that had their turn, unless the load is to be patient yet."""
        if now_s < load.patient_until_s:
            return []
        busy = self._accounts.on(device, Phase.BUSY)
        had = [one for one in busy if one.turn_ends_s(load.load_s) <= now_s and one.model not in load.needs]
        return self._candidates(had, device, now_s)

    def _candidates(self, holdings: list[Holding], device: Device, now_s: float) -> list[Candidate]:
        staying = self._staying
        free = [one for one in holdings if one.model not in staying]
        return [Candidate(one.model, one.held_on(device), self.cost_s(one, now_s)) for one in free]

    def cost_s(self, holding: Holding, now_s: float) -> float:
        """Return the seconds to be expected of a model's leaving: its chance of use soon times what a load of it costs."""
        if holding.phase is Phase.BUSY:
            return EACH_LOAD_S + holding.load_s + YIELD_COST_S
        habit = self._habits.get(holding.model)
        return (EACH_LOAD_S + holding.load_s) * habit.chance(now_s) if habit else 0.0
