"""The windows of one client: together below the daemon's bound, each always open."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inferd.windows import FLOOR_EVENTS, Windows

WINDOW_EVENTS, STREAMS = 900, 256

steps = st.lists(st.tuples(st.integers(1, STREAMS), st.floats(0, 1), st.booleans()), max_size=400)
"""(stream, how much of its window it has consumed, whether it ends then)"""


@given(steps)
def test_windows_never_sum_to_more_than_the_daemon_allows_and_none_is_ever_shut(
    taken: list[tuple[int, float, bool]],
) -> None:
    windows = Windows(WINDOW_EVENTS, STREAMS)
    outstanding: dict[int, int] = {}
    for stream, consumed, ends in taken:
        if ends:
            windows.release(stream)
            outstanding.pop(stream, None)
            continue
        unconsumed = round(outstanding.get(stream, 0) * (1 - consumed))
        outstanding[stream] = windows.grant(stream, unconsumed)
        assert outstanding[stream] >= max(FLOOR_EVENTS, unconsumed)
        assert sum(outstanding.values()) <= WINDOW_EVENTS


def test_as_many_streams_as_the_daemon_takes_all_move() -> None:
    windows = Windows(WINDOW_EVENTS, STREAMS)
    granted = [windows.grant(stream) for stream in range(STREAMS)]
    assert min(granted) == FLOOR_EVENTS
    assert sum(granted) <= WINDOW_EVENTS


def test_a_lone_stream_has_a_deep_window() -> None:
    assert Windows(WINDOW_EVENTS, STREAMS).grant(1) == 64


def test_what_a_stream_gives_back_others_get() -> None:
    windows = Windows(WINDOW_EVENTS, STREAMS)
    for stream in range(STREAMS):
        windows.grant(stream)
    for stream in range(1, STREAMS):
        windows.release(stream)
    assert windows.grant(0) == 64
    windows.release(7)  # released already
    assert windows.grant(1) == 64


@given(st.integers(1, 2_000), st.integers(1, 300))
def test_any_limits_that_a_daemon_may_announce_are_kept_where_every_stream_can_have_one_event(
    window_events: int, streams: int
) -> None:
    windows = Windows(window_events, streams)
    granted = [windows.grant(stream) for stream in range(streams)]
    assert min(granted) >= 1
    assert sum(granted) <= max(window_events, streams)
