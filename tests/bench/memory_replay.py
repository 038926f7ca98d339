"""Serves a trace with one policy of who leaves: the ledger's own, the least recently used, or Belady's.

Covers: the policies, the replay, and the rows of one kind of trace. All three run in the same ledger, with the same order of
loads, the same turns and no keep-alive; only what a model's leaving is taken to cost differs. Belady's rule (who is needed
again last leaves first) knows the trace; it makes the fewest loads where models are alike, and close to it elsewhere.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from measure import Goal, Row, percentile, ratio_row, single_row
from memory_traces import KINDS, MODELS, TRACES, Trace
from memory_world import MemoryWorld

from inferd_daemon import ledger as lg
from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.ledger.accounts import Accounts
from inferd_daemon.ledger.judging import Judging
from inferd_daemon.ledger.leaving import Leaving

GB: Final = 10**9
BUDGET_BYTES: Final = 12 * GB
"""Holds the largest model with some small ones, or half of all."""
ROOM: Final = lg.Room(64 * GB, 60 * GB, 0)
DEADLINE_S: Final = 30.0
"""A request that waited longer for its model counts as missed; the SDK's default is ten times that."""
BUSY_COST: Final = 1e6
"""Seconds: only idle models are what policies differ in."""
FEWER: Final = Goal(0.999)
TERMS: Final = {lg.RAM: lg.Terms(BUDGET_BYTES)}
FOR_EVER: Final = lg.KeepAlive(lg.NEVER_S)

Cost = Callable[[Accounts, lg.Holding, float], float]


@dataclass(frozen=True)
class Served:
    """What came of one trace."""

    loads: int
    loading_s: float
    missed: int


def least_recently_used(accounts: Accounts, holding: lg.Holding, _now_s: float) -> float:
    """Return costs by which the set of the models used longest ago is the cheapest."""
    if holding.phase is lg.Phase.BUSY:
        return BUSY_COST
    others = accounts.on(lg.RAM, lg.Phase.IDLE)
    return 4.0 ** sum(one.idle_since_s < holding.idle_since_s for one in others)


def belady(trace: Trace) -> Cost:
    """Return costs by which the set of the models needed again last is the cheapest."""
    uses = {model: [one.at_s for one in trace if one.model == model] for model in MODELS}

    def next_s(model: ModelId, now_s: float) -> float:
        times = uses[model]
        place = bisect_right(times, now_s)
        return times[place] if place < len(times) else lg.NEVER_S

    def cost(_accounts: Accounts, holding: lg.Holding, now_s: float) -> float:
        if holding.phase is lg.Phase.BUSY:
            return BUSY_COST
        own_s = next_s(holding.model, now_s)
        return 0.0 if own_s == lg.NEVER_S else 4.0 ** sum(next_s(one, now_s) > own_s for one in MODELS)

    return cost


class Priced(Leaving):
    """Models leave by another cost than the expected one."""

    def __init__(self, accounts: Accounts, cost: Cost) -> None:
        super().__init__(accounts, FOR_EVER)
        self._priced = cost

    def cost_s(self, holding: lg.Holding, now_s: float) -> float:
        """Return the other cost."""
        return self._priced(self._accounts, holding, now_s)


class Compared(lg.Ledger):
    """The ledger with another cost of leaving."""

    def __init__(self, cost: Cost) -> None:
        super().__init__(TERMS, FOR_EVER)
        self._leaving = Priced(self.accounts, cost)
        self._judging = Judging(self.accounts, self._leaving)


def ledger_of(trace: Trace, policy: str) -> lg.Ledger:
    """Return a ledger that decides by `ours`, `lru` or `belady`."""
    match policy:
        case "ours":
            return lg.Ledger(TERMS, FOR_EVER)
        case "lru":
            return Compared(least_recently_used)
        case _:
            return Compared(belady(trace))


def served(trace: Trace, policy: str) -> Served:
    """Return what came of a trace under `ours`, `lru` or `belady`."""
    ledger = ledger_of(trace, policy)
    world = MemoryWorld(KINDS, ledger, ROOM)
    for one in trace:
        world.until(one.at_s)
        world.ask(one.model, one.rank, one.run_s)
    world.until(trace[-1].at_s + 3_600.0)
    waits_s = [one.began_s - one.asked_s for one in world.all if one.began_s is not None]
    if len(waits_s) != len(trace):
        raise AssertionError(f"{len(trace) - len(waits_s)} of {len(trace)} requests were not served")
    return Served(
        loads=sum(world.loads.values()),
        loading_s=sum(count * KINDS[model].load_s for model, count in world.loads.items()),
        missed=sum(wait_s > DEADLINE_S for wait_s in waits_s),
    )


def compared(name: str, seeds: int) -> tuple[list[Row], list[str]]:
    """Return the rows and notes of one kind of trace, a pair for each seed."""
    traces = [TRACES[name](seed) for seed in range(seeds)]
    ours, lru, best = ([served(trace, policy) for trace in traces] for policy in ("ours", "lru", "belady"))
    pairs = list(zip(ours, lru, strict=True))
    against_lru = [(float(a.loads), float(b.loads)) for a, b in pairs]
    worst = percentile([a / b for a, b in against_lru], 1.0)
    more_missed = max(a.missed - b.missed for a, b in pairs)
    rows = [
        ratio_row(f"{name}: loads / LRU", "loads", against_lru, FEWER),
        single_row(f"{name}: most loads of any trace / LRU", "x", worst, FEWER),
        single_row(f"{name}: most deadlines missed beyond LRU's", "requests", float(more_missed), Goal(0.0)),
        ratio_row(f"{name}: time loading / LRU", "s", [(a.loading_s, b.loading_s) for a, b in pairs]),
        ratio_row(
            f"{name}: loads / Belady",
            "loads",
            [(float(a.loads), float(b.loads)) for a, b in zip(ours, best, strict=True)],
        ),
    ]
    missed = (
        f"{sum(a.missed for a in ours)} ours, {sum(b.missed for b in lru)} LRU, {sum(c.missed for c in best)} Belady"
    )
    return rows, [f"{name}: {sum(map(len, traces))} requests in {seeds} traces; missed {missed}"]
