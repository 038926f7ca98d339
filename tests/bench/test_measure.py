"""What the benches compute from their samples: intervals, alternation, verdicts."""

from __future__ import annotations

import importlib
import json
import math
import statistics
from itertools import product
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

HERE = Path(__file__).resolve().parent


@pytest.fixture(autouse=True)
def benches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))


@pytest.fixture
def measure() -> ModuleType:
    return importlib.import_module("measure")


@pytest.mark.parametrize("count", range(6, 14))
def test_the_interval_misses_the_median_as_rarely_as_promised_and_no_narrower_one_does(
    count: int, measure: ModuleType
) -> None:
    """Every way in which `count` values can lie on two sides of a true median of 0, each as likely as the others."""
    missed = narrower_missed = 0
    for sides in product((-1, 1), repeat=count):
        values = sorted(side * (place + 1) for place, side in enumerate(sides))
        low, high = measure.median_interval(values)
        at = values.index(low)
        missed += not low < 0 < high
        narrower_missed += not values[at + 1] < 0 < values[count - 2 - at]
    assert missed / 2**count <= 0.05
    assert narrower_missed / 2**count > 0.05


def test_fifteen_values_give_the_fourth_and_the_twelfth(measure: ModuleType) -> None:
    assert measure.median_interval([15, 2, 3, 14, 5, 6, 13, 8, 9, 12, 11, 10, 7, 4, 1]) == (4, 12)


def test_too_few_values_for_an_interval_are_refused(measure: ModuleType) -> None:
    with pytest.raises(ValueError, match="5 values are too few"):
        measure.median_interval([1, 2, 3, 4, 5])


@given(values=st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=50), share=st.floats(0.01, 1.0))
def test_a_percentile_is_the_smallest_value_that_its_share_does_not_exceed(values: list[float], share: float) -> None:
    found = importlib.import_module("measure").percentile(values, share)
    needed = math.ceil(share * len(values))
    assert sum(value <= found for value in values) >= needed
    assert sum(value < found for value in values) < needed


def test_pairs_alternate_who_is_first_and_come_back_in_one_order(measure: ModuleType) -> None:
    order: list[str] = []

    def take(name: str, number: int) -> str:
        order.append(f"{name}{number}")
        return order[-1]

    pairs = measure.alternate(lambda number: take("ours", number), lambda number: take("ref", number), 3)
    assert pairs == [("ours0", "ref0"), ("ours1", "ref1"), ("ours2", "ref2")]
    assert order == ["ours0", "ref0", "ref1", "ours1", "ours2", "ref2"]


def test_a_ratio_is_taken_pair_by_pair_so_that_a_slower_minute_does_not_count(measure: ModuleType) -> None:
    pairs = [(1.5 * slowness, slowness) for slowness in (1.0, 1.0, 9.0, 1.0, 30.0, 2.0)]
    row = measure.ratio_row("m", "ms", pairs, measure.Goal(1.6))
    assert row.found == pytest.approx(1.5)
    assert row.interval == pytest.approx((1.5, 1.5))
    assert row.ours == statistics.median(ours for ours, _ in pairs)
    assert row.met


@pytest.mark.parametrize(("found", "at_least", "met"), [(1.0, False, True), (1.1, False, False), (0.9, True, False)])
def test_a_goal_is_met_on_its_side_of_the_limit(
    found: float, *, at_least: bool, met: bool, measure: ModuleType
) -> None:
    assert measure.Goal(1.0, at_least=at_least).met(found) is met
    assert measure.single_row("m", "s", found, measure.Goal(1.0, at_least=at_least)).met is met


def test_what_is_stored_says_what_was_compared_with_which_goal(measure: ModuleType) -> None:
    report = importlib.import_module("report")
    row = measure.difference_row("first token", "ms", [(12.0, 10.0)] * 6, measure.Goal(3.0))
    assert json.loads(json.dumps(report.as_json(row))) == {
        "measure": "first token",
        "unit": "ms",
        "ours": 12.0,
        "reference": 10.0,
        "ratio": None,
        "difference": 2.0,
        "interval": [2.0, 2.0],
        "goal": "difference <= 3",
        "met": True,
    }
