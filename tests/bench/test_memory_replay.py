"""The traces that memory is judged on, and the rules that it is compared with."""

from __future__ import annotations

import importlib
import random
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
KINDS_OF_TRACES = ("zipf", "sessions", "shift", "scan")


@pytest.fixture(autouse=True)
def benches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))


@pytest.mark.parametrize("name", KINDS_OF_TRACES)
def test_a_trace_is_a_day_in_order_the_same_for_the_same_seed_and_another_for_another(name: str) -> None:
    traces = importlib.import_module("memory_traces")
    trace = traces.TRACES[name](1)
    times_s = [one.at_s for one in trace]
    assert times_s == sorted(times_s)
    assert times_s[0] >= 0.0
    assert times_s[-1] < traces.DAY_S + 3_600.0
    assert {one.model for one in trace} == set(traces.KINDS)
    assert trace == traces.TRACES[name](1)
    assert trace != traces.TRACES[name](2)


def test_who_knows_the_future_makes_the_fewest_loads() -> None:
    traces, replay = importlib.import_module("memory_traces"), importlib.import_module("memory_replay")
    dice = random.Random(7)  # noqa: S311 - a repeatable story, not a secret
    large = [model for model, kind in traces.KINDS.items() if 2e9 < kind.need_bytes < 6e9]
    trace = [traces.Request(60.0 * at, dice.choice(large), 1, 1.0) for at in range(400)]
    loads = {policy: replay.served(trace, policy).loads for policy in ("ours", "lru", "belady")}
    assert len(large) < loads["belady"] < min(loads["ours"], loads["lru"])
