"""Which models leave to make room: the set with the lowest sum of costs that frees enough. Pure.

Why not one by one, the least recently used first: that drops many small models where one large one would do, or a large one
for a small need. The exact search is a branch and bound over candidates in order of cost per byte; beyond `EXACT` of them, or
`MAX_NODES` looks, the best that was found stands, which is never worse than greedy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from inferd_daemon.catalogue.names import ModelId

EXACT: Final = 20
MAX_NODES: Final = 5_000
"""Some 5 ms of Python on a slow core: the loop that calls this carries voice."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that could leave. `cost_s`: seconds of loading that are to be expected from its leaving, 0 or more."""

    model: ModelId
    frees_bytes: int
    cost_s: float


def cheapest(candidates: Sequence[Candidate], need_bytes: int) -> tuple[Candidate, ...] | None:
    """Return the cheapest set that frees at least `need_bytes`; None when all together do not. Nothing needed: no one."""
    if need_bytes <= 0:
        return ()
    useful = sorted(
        (one for one in candidates if one.frees_bytes > 0), key=lambda one: (one.cost_s / one.frees_bytes, one.model)
    )
    if sum(one.frees_bytes for one in useful) < need_bytes:
        return None
    found = _greedy(useful, need_bytes)
    if len(useful) <= EXACT:
        found = _Search(useful, need_bytes, found).best
    return tuple(sorted(found, key=lambda one: one.model))


def cost_s(chosen: Sequence[Candidate]) -> float:
    """Return the sum of the costs."""
    return sum(one.cost_s for one in chosen)


def _greedy(ordered: Sequence[Candidate], need_bytes: int) -> list[Candidate]:
    """Return a set that is enough: the best by cost per byte without whom it does not need, or one alone if cheaper."""
    taken: list[Candidate] = []
    freed_bytes = 0
    for one in ordered:
        if freed_bytes >= need_bytes:
            break
        taken.append(one)
        freed_bytes += one.frees_bytes
    for one in sorted(taken, key=lambda one: -one.cost_s):
        if freed_bytes - one.frees_bytes >= need_bytes:
            taken.remove(one)
            freed_bytes -= one.frees_bytes
    alone = min((one for one in ordered if one.frees_bytes >= need_bytes), key=lambda one: one.cost_s, default=None)
    return [alone] if alone is not None and alone.cost_s < cost_s(taken) else taken


class _Search:
    """Depth first, those with the lowest cost per byte first; `best` is the cheapest set seen."""

    def __init__(self, ordered: Sequence[Candidate], need_bytes: int, first: list[Candidate]) -> None:
        self._ordered = ordered
        self._left_nodes = MAX_NODES
        self.best = first
        self._best_s = cost_s(first)
        self._look(0, need_bytes, 0.0, [])

    def _look(self, index: int, need_bytes: int, spent_s: float, taken: list[Candidate]) -> None:
        if need_bytes <= 0:
            if spent_s < self._best_s:
                self.best, self._best_s = list(taken), spent_s
            return
        self._left_nodes -= 1
        if self._left_nodes < 0 or spent_s + self._least_s(index, need_bytes) >= self._best_s:
            return
        one = self._ordered[index]
        taken.append(one)
        self._look(index + 1, need_bytes - one.frees_bytes, spent_s + one.cost_s, taken)
        taken.pop()
        self._look(index + 1, need_bytes, spent_s, taken)

    def _least_s(self, index: int, need_bytes: int) -> float:
        """Return what the rest costs at least: parts of models taken, which is the optimum of the relaxed problem."""
        least_s = 0.0
        for one in self._ordered[index:]:
            if need_bytes <= one.frees_bytes:
                return least_s + one.cost_s * need_bytes / one.frees_bytes
            least_s += one.cost_s
            need_bytes -= one.frees_bytes
        return float("inf")
