"""The parts of a load: none is lost, none counts twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd_actors.phases import Phases


def test_each_phase_lasts_until_the_next_one_and_the_last_until_the_end() -> None:
    phases = Phases()
    phases.enter("reading", 10.0)
    phases.enter("reading", 11.0)
    phases.enter("warming up", 12.5)
    phases.end(12.75)
    assert phases.took_s == {"reading": 2.5, "warming up": 0.25}
    assert list(phases.took_s) == ["reading", "warming up"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1_000)), min_size=1))
def test_the_parts_are_together_the_whole(steps: list[tuple[str, float]]) -> None:
    phases, now_s = Phases(), 0.0
    for phase, lasts_s in steps:
        phases.enter(phase, now_s)
        now_s += lasts_s
    phases.end(now_s)
    assert sum(phases.took_s.values()) == pytest.approx(now_s)
    assert set(phases.took_s) == {phase for phase, _ in steps}
