"""Models, requests and processes around a ledger, in simulated time: what the service would be, without it.

Each model takes its time to load, each request its time to run; a model that is told to leave ends once nothing runs on it.
What must hold is asserted where it would first be broken.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from inferd_daemon import ledger as lg
from inferd_daemon.catalogue.names import ModelId

END_S = 0.1
"""From the order to leave to the news that the process is gone."""


@dataclass(frozen=True)
class Kind:
    """What a model is like."""

    need_bytes: int
    load_s: float
    gpu_bytes: int = 0


@dataclass
class Asked:
    """A request."""

    model: ModelId
    rank: int
    run_s: float
    asked_s: float
    began_s: float | None = None
    refused: bool = False
    withdrawn: bool = False


@dataclass
class Live:
    """A model's process."""

    loaded: bool = False
    leaving: bool = False
    running: list[Asked] = field(default_factory=list)


class MemoryWorld:
    """One machine. `ask` is what may happen at any time; `until` lets time pass."""

    def __init__(self, kinds: Mapping[ModelId, Kind], ledger: lg.Ledger, room: lg.Room) -> None:
        self.kinds = kinds
        self.ledger = ledger
        self.now_s = 0.0
        self.lives: dict[ModelId, Live] = {}
        self.waiting: dict[ModelId, list[Asked]] = {}
        self.all: list[Asked] = []
        self.loads: dict[ModelId, int] = dict.fromkeys(kinds, 0)
        self.refusals = 0
        self.holds: dict[lg.HoldNo, tuple[ModelId, ...]] = {}
        """Holds that have not ended, and their models."""
        self.held: set[lg.HoldNo] = set()
        """Those that have their memory."""
        self.events = 0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self.room_is(room)

    # --- what may happen

    def room_is(self, room: lg.Room, device: lg.Device = lg.RAM) -> None:
        """Have a memory be like this from now on."""
        self._feed(lg.RoomRead(device, room))

    def ask(self, model: ModelId, rank: int, run_s: float) -> Asked:
        """Have somebody ask for a model."""
        asked = Asked(model, rank, run_s, self.now_s)
        self.all.append(asked)
        live = self.lives.get(model)
        if live is not None and live.loaded and not live.leaving:
            self._run(live, asked)
        else:
            self.waiting.setdefault(model, []).append(asked)
            self._want(model)
        return asked

    def withdraw(self, asked: Asked) -> None:
        """Have somebody who waits go away."""
        waiting = self.waiting.get(asked.model, [])
        if asked in waiting:
            waiting.remove(asked)
            asked.withdrawn = True
            if not waiting and asked.model not in self.lives:
                self._feed(lg.Released(asked.model))

    def hold(self, models: tuple[ModelId, ...], rank: int) -> lg.HoldNo:
        """Have an app hold models."""
        hold = lg.HoldNo(next(self._count))
        self.holds[hold] = models
        kinds = {model: self.kinds[model] for model in models}
        needs = {model: lg.Need(kind.need_bytes, kind.load_s, kind.gpu_bytes) for model, kind in kinds.items()}
        self._feed(lg.HoldAsked(hold, needs, "voice", rank))
        return hold

    def release(self, hold: lg.HoldNo) -> None:
        """End a hold, or give up waiting for it."""
        if self.holds.pop(hold, None) is not None:
            self.held.discard(hold)
            self._feed(lg.HoldEnded(hold))

    def die(self, model: ModelId) -> None:
        """Have a model's process fall, whatever it does."""
        live = self.lives.get(model)
        if live is not None:
            live.leaving = True
            live.running.clear()
            self._gone(model, live)

    def until(self, end_s: float) -> None:
        """Let everything happen that is due by then."""
        while True:
            timer_s = self.ledger.next_timer_s()
            due_s = min(self._due[0][0] if self._due else lg.NEVER_S, lg.NEVER_S if timer_s is None else timer_s)
            if due_s > end_s:
                break
            self.now_s = max(self.now_s, due_s)
            if self._due and self._due[0][0] <= due_s:
                heapq.heappop(self._due)[2]()
            else:
                self._feed(lg.Ticked())
        self.now_s = end_s

    # --- what follows

    def _at(self, due_s: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (due_s, next(self._count), act))

    def _want(self, model: ModelId) -> None:
        kind, waiting = self.kinds[model], self.waiting[model]
        rank = min((asked.rank for asked in waiting), default=0)
        self._feed(lg.Asked(model, kind.need_bytes, "app", rank, kind.load_s, kind.gpu_bytes))

    def _feed(self, event: lg.Event) -> None:
        self.events += 1
        for command in self.ledger.step(event, self.now_s):
            match command:
                case lg.Grant(model):
                    self._granted(model)
                case lg.GrantHold(hold):
                    self._hold_granted(hold)
                case lg.Evict(model):
                    self._leave(model)
                case lg.Refuse(key):
                    self._refused(key)
                case lg.ShowWait(key):
                    waits = self.waiting[key] if isinstance(key, ModelId) else key in self.holds
                    assert waits, "a load waits for nobody"

    def _refused(self, key: ModelId | lg.HoldNo) -> None:
        if not isinstance(key, ModelId):
            del self.holds[key]
            return
        self.refusals += 1
        for asked in self.waiting.pop(key):
            asked.refused = True

    def _keeps_within_limit(self) -> None:
        accounts = self.ledger.accounts
        for device in accounts.rooms:
            held_bytes, limit_bytes = accounts.held_bytes(device), accounts.limit_bytes(device)
            assert held_bytes <= limit_bytes, f"{held_bytes} of {device} are held and {limit_bytes} may be"

    def _hold_granted(self, hold: lg.HoldNo) -> None:
        assert hold in self.holds, "a hold was granted that had ended"
        self._keeps_within_limit()
        self.held.add(hold)
        for model in self.holds[hold]:
            assert model in self.ledger.accounts.holdings, "a hold was granted a part of its memory"
            if model not in self.lives:
                self.waiting.setdefault(model, [])
                self._want(model)

    def _granted(self, model: ModelId) -> None:
        assert model not in self.lives, "two lives of one model"
        if not any(model in self.holds[hold] for hold in self.held):
            self._keeps_within_limit()  # else it was kept when the hold was granted, and the machine may have changed
        self.loads[model] += 1
        live = self.lives[model] = Live()
        self._at(self.now_s + self.kinds[model].load_s, lambda: self._loaded(model, live))

    def _loaded(self, model: ModelId, live: Live) -> None:
        if self.lives.get(model) is not live:
            return
        live.loaded = True
        self._feed(lg.Loaded(model, self.kinds[model].load_s))
        for asked in self.waiting.pop(model, []):
            self._run(live, asked)
        if not live.running:
            self._feed(lg.Rested(model))

    def _run(self, live: Live, asked: Asked) -> None:
        asked.began_s = self.now_s
        live.running.append(asked)
        self._feed(lg.Used(asked.model))
        self._at(self.now_s + asked.run_s, lambda: self._ended(live, asked))

    def _ended(self, live: Live, asked: Asked) -> None:
        if asked not in live.running:
            return
        live.running.remove(asked)
        if live.running:
            return
        if live.leaving:
            self._at(self.now_s + END_S, lambda: self._gone(asked.model, live))
        else:
            self._feed(lg.Rested(asked.model))

    def _leave(self, model: ModelId) -> None:
        live = self.lives[model]
        assert not any(model in self.holds[hold] for hold in self.held), "a held model was told to leave"
        assert live.loaded, "a model was told to leave while it loads"
        assert not live.leaving, "a model was told to leave twice"
        live.leaving = True
        if not live.running:
            self._at(self.now_s + END_S, lambda: self._gone(model, live))

    def _gone(self, model: ModelId, live: Live) -> None:
        if self.lives.get(model) is not live:
            return
        assert not live.running, "a model was ended while it was in use"
        del self.lives[model]
        self._feed(lg.Released(model))
        if self.waiting.get(model) or any(model in self.holds[hold] for hold in self.held):
            self.waiting.setdefault(model, [])
            self._want(model)
