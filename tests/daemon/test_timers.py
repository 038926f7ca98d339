"""Due times by stream, against the obvious model: a dictionary searched from end to end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inferd_daemon.timers import SLACK, Timers

STEPS = st.lists(
    st.tuples(st.sampled_from(["set", "drop", "take"]), st.integers(0, 20), st.floats(0, 100, allow_nan=False)),
    max_size=200,
)


@given(STEPS)
def test_timers_do_what_a_searched_dictionary_does(steps: list[tuple[str, int, float]]) -> None:
    timers, model = Timers(), dict[int, float]()
    for act, stream, time_s in steps:
        if act == "set":
            timers.set(stream, time_s)
            model[stream] = time_s
        elif act == "drop":
            timers.drop(stream)
            model.pop(stream, None)
        else:
            due = {one for one, due_s in model.items() if due_s <= time_s}
            assert set(timers.take(time_s)) == due
            for one in due:
                del model[one]
        assert timers.next_s() == min(model.values(), default=None)


def test_replaced_times_do_not_pile_up() -> None:
    timers = Timers()
    for turn in range(10 * SLACK):
        timers.set(1, float(turn))
    assert len(timers._heap) <= SLACK + 4
