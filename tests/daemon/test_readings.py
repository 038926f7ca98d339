"""When an exact reading of a process is needed, and when the last one stands."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inferd_daemon.memory.readings import EXACT_EVERY, STEADY_BYTES, Readings

SIZE = 400 * STEADY_BYTES


class Process:
    """A process whose size a test sets; it counts how often it was read exactly."""

    def __init__(self) -> None:
        self.size_bytes = SIZE
        self.exact = 0
        self.readings = Readings(self._used_bytes, lambda _pid: self.size_bytes)

    def _used_bytes(self, _pid: int) -> int:
        self.exact += 1
        return self.size_bytes

    def read(self) -> int:
        return self.readings.used_bytes(1)


def test_a_process_that_stays_as_it_is_is_read_exactly_once_in_a_while() -> None:
    process = Process()
    assert [process.read() for _ in range(2 * EXACT_EVERY)] == [SIZE] * 2 * EXACT_EVERY
    assert process.exact == 2


@given(growth=st.lists(st.integers(-3 * STEADY_BYTES, 3 * STEADY_BYTES), max_size=40))
def test_what_is_told_is_never_further_from_the_truth_than_what_counts_as_steady(growth: list[int]) -> None:
    process = Process()
    for grown_bytes in growth:
        process.size_bytes = max(0, process.size_bytes + grown_bytes)
        assert abs(process.read() - process.size_bytes) < STEADY_BYTES


def test_a_process_that_is_gone_uses_nothing_from_the_next_reading_on() -> None:
    process = Process()
    process.read()
    process.size_bytes = 0
    assert process.read() == 0


def test_of_processes_that_are_not_asked_about_any_more_nothing_is_kept() -> None:
    process = Process()
    process.read()
    process.readings.keep({2})
    process.read()
    assert process.exact == 2
