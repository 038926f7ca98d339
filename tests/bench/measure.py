"""From samples to a verdict: alternated pairs, medians, the interval of a median, rows that are compared with a goal.

Covers: everything that is arithmetic. Does not cover showing and storing rows (`report`) or taking samples (`bench_*`).

The interval is the exact one between two order statistics: the k-th smallest and k-th largest of n values hold the median
with a probability that follows from the binomial distribution alone (Practical Nonparametric Statistics, 3rd edition, §3.2;
`scipy.stats.quantile_test` computes the same). Why not a bootstrap: with 15 pairs it comes out too narrow, and it needs
random numbers.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

T = TypeVar("T")
U = TypeVar("U")

MIN_PAIRS: Final = 15
"""With 15 pairs the 95 % interval runs from the 4th to the 12th value: three wild pairs on either side cannot move it."""
CONFIDENCE: Final = 0.95

Compared = Literal["ratio", "difference", "ours"]
"""What a goal judges: ours / reference, ours - reference, or our figure alone."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound on what was compared; it is met or missed by the median, and the interval tells how surely."""

    limit: float
    at_least: bool = False

    def met(self, found: float) -> bool:
        """Return whether `found` is on the right side, the limit itself included."""
        return found >= self.limit if self.at_least else found <= self.limit


@dataclass(frozen=True, slots=True)
class Row:
    """One measure. `interval` belongs to what was compared; `goal` None: told, not judged."""

    measure: str
    unit: str
    ours: float
    reference: float | None
    compared: Compared
    found: float
    """The ratio, the difference in `unit`, or `ours`."""
    interval: tuple[float, float] | None
    goal: Goal | None = None

    @property
    def met(self) -> bool | None:
        """Whether the goal was met; None without a goal."""
        return None if self.goal is None else self.goal.met(self.found)


def alternate(ours: Callable[[int], T], reference: Callable[[int], T], pairs: int) -> list[tuple[T, T]]:
    """Return (ours, reference) per pair, the two taken in turn; who is first changes, so that drift favours neither.

    Both are called with the pair's number, from 0.
    """
    taken: list[tuple[T, T]] = []
    for number in range(pairs):
        if number % 2:
            theirs, mine = reference(number), ours(number)
        else:
            mine, theirs = ours(number), reference(number)
        taken.append((mine, theirs))
    return taken


async def alternate_awaited(
    ours: Callable[[int], Awaitable[T]], reference: Callable[[int], Awaitable[U]], pairs: int
) -> list[tuple[T, U]]:
    """Return what `alternate` returns, of sides that are awaited; the reference may give something else."""
    taken: list[tuple[T, U]] = []
    for number in range(pairs):
        if number % 2:
            theirs, mine = await reference(number), await ours(number)
        else:
            mine, theirs = await ours(number), await reference(number)
        taken.append((mine, theirs))
    return taken


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the narrowest order-statistic interval that holds the median with at least this confidence.

    Raises ValueError when there are too few values for it (fewer than six at 95 %).
    """
    n = len(values)
    dropped, missed = 0, 2 * 0.5**n  # dropping no value, the median is missed only if all lie on one side of it
    if missed > 1 - confidence:
        raise ValueError(f"{n} values are too few for an interval of {confidence:.0%}")
    while (wider := missed + 2 * math.comb(n, dropped + 1) * 0.5**n) <= 1 - confidence:
        dropped, missed = dropped + 1, wider
    ordered = sorted(values)
    return ordered[dropped], ordered[n - 1 - dropped]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def ratio_row(measure: str, unit: str, pairs: Sequence[tuple[float, float]], goal: Goal | None = None) -> Row:
    """Return the row of the median ratio ours / reference, taken pair by pair."""
    return _paired(measure, unit, pairs, "ratio", [ours / reference for ours, reference in pairs], goal)


def difference_row(measure: str, unit: str, pairs: Sequence[tuple[float, float]], goal: Goal | None = None) -> Row:
    """Return the row of the median difference ours - reference, taken pair by pair."""
    return _paired(measure, unit, pairs, "difference", [ours - reference for ours, reference in pairs], goal)


def _paired(
    measure: str,
    unit: str,
    pairs: Sequence[tuple[float, float]],
    compared: Compared,
    differences: Sequence[float],
    goal: Goal | None,
) -> Row:
    ours = statistics.median(ours for ours, _ in pairs)
    reference = statistics.median(reference for _, reference in pairs)
    found = statistics.median(differences)
    return Row(measure, unit, ours, reference, compared, found, median_interval(differences), goal)


def single_row(measure: str, unit: str, ours: float, goal: Goal | None = None) -> Row:
    """Return the row of a figure that stands alone."""
    return Row(measure, unit, ours, None, "ours", ours, None, goal)
