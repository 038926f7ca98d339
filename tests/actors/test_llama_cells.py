"""The accounts of the cache's cells and the shelf's bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd_actors.engines.llama_cpp.cells import Cells
from inferd_actors.engines.llama_cpp.shelf import Shelf

TOTAL = 24
SEATS = 4


class Ledger:
    """The same accounts kept as plain sets of numbers that are never used twice."""

    def __init__(self) -> None:
        self.held: dict[int, list[int]] = {seat: [] for seat in range(SEATS)}
        self.numbers = 0

    @property
    def free(self) -> int:
        return TOTAL - len({cell for held in self.held.values() for cell in held})

    def alone(self, seat: int) -> int:
        others = {cell for other, held in self.held.items() if other != seat for cell in held}
        return len(set(self.held[seat]) - others)

    def extend(self, seat: int, count: int) -> None:
        self.held[seat] += range(self.numbers, self.numbers + count)
        self.numbers += count


ACTS = st.tuples(
    st.sampled_from(["extend", "share", "trim", "release"]),
    st.integers(0, SEATS - 1),
    st.integers(0, SEATS - 1),
    st.integers(0, 12),
)


@given(st.lists(ACTS, max_size=40))
def test_cells_are_counted_once_whoever_shares_them(acts: list[tuple[str, int, int, int]]) -> None:
    cells, ledger = Cells(TOTAL), Ledger()
    for act, seat, other, count in acts:
        held = ledger.held[seat]
        match act:
            case "extend" if count > ledger.free:
                with pytest.raises(MemoryError):
                    cells.extend(seat, count)
            case "extend":
                cells.extend(seat, count)
                ledger.extend(seat, count)
            case "share" if held and not ledger.held[other]:
                cells.share(seat, other, min(count, len(held)))
                ledger.held[other] = held[:count]
            case "trim" if held:
                cells.trim(seat, count)
                ledger.held[seat] = held[:count]
            case "release":
                assert cells.release(seat) == ledger.alone(seat)
                ledger.held[seat] = []
        assert cells.free == ledger.free
        for each in range(SEATS):
            assert (cells.length(each), cells.alone(each)) == (len(ledger.held[each]), ledger.alone(each))


PUTS = st.tuples(st.sampled_from(["put", "put", "get", "drop"]), st.integers(0, 9), st.integers(0, 60), st.booleans())


@given(st.integers(0, 100) | st.just(1_000), st.lists(PUTS, max_size=40))
def test_the_shelf_s_budget_is_never_passed_and_prefixes_leave_first(
    budget: int, puts: list[tuple[str, int, int, bool]]
) -> None:
    shelf, kept = Shelf(budget), dict[int, tuple[int, bool]]()
    taken: dict[int, int] = {}
    for act, key, size, is_parked in puts:
        if act == "get":
            state = shelf.get(key)
            assert (state is None) == (key not in kept)
            if state is not None:
                kept[key] = kept.pop(key)
                assert bytes(state) == bytes([key]) * kept[key][0], "it lies where another was put"
        elif act == "drop":
            shelf.drop(key)
            kept.pop(key, None)
        elif key not in kept:
            kept[key] = (size, is_parked)
            state = shelf.place(size)
            state[:] = bytes([key]) * size
            taken[key] = memoryview(state.obj).nbytes
            for gone in shelf.put(key, state, is_parked=is_parked):
                prefixes = [one for one, (_, parked) in kept.items() if not parked]
                assert gone == (prefixes or list(kept))[0]
                assert sum(taken[one] for one in kept) > budget
                del kept[gone]
        assert shelf.used_bytes == sum(taken[one] for one in kept) <= budget
        assert all(taken[one] <= 2 * size for one, (size, _) in kept.items())


def test_a_state_larger_than_the_whole_budget_is_dropped_itself() -> None:
    shelf = Shelf(10)
    assert shelf.put(1, memoryview(bytes(11)), is_parked=True) == [1]
    assert (shelf.get(1), shelf.used_bytes) == (None, 0)


def test_the_memory_of_a_state_that_was_dropped_is_used_again_for_one_of_its_size() -> None:
    shelf = Shelf(1_000)
    first = shelf.place(60)
    shelf.put(1, first, is_parked=False)
    assert shelf.put(2, shelf.place(950), is_parked=False) == [1]
    again = shelf.place(50)
    assert again.obj is first.obj
    assert len(again) == 50
    assert shelf.place(50).obj is not first.obj, "it is taken"


def test_no_more_than_a_small_part_of_the_budget_is_kept_beside_it() -> None:
    shelf = Shelf(1_000)
    large = shelf.place(63)
    shelf.put(1, large, is_parked=False)
    shelf.drop(1)
    assert shelf.place(63).obj is not large.obj
