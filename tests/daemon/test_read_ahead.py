"""Reading ahead: every byte once and no more than is free, and not for a load that nobody wants any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd_daemon import read_ahead
from inferd_daemon.read_ahead import PIECE_BYTES, ReadAhead, pieces

SIZES = st.integers(0, 5 * PIECE_BYTES)


@given(SIZES, SIZES)
def test_the_pieces_are_the_beginning_of_the_file_as_far_as_there_is_room(size_bytes: int, free_bytes: int) -> None:
    end = 0
    for offset, length in pieces(size_bytes, free_bytes):
        assert offset == end
        assert 0 < length <= PIECE_BYTES
        end += length
    assert end == min(size_bytes, free_bytes)


def advised(path: Path, free_bytes: int, is_wanted: Callable[[], bool]) -> list[tuple[int, int]]:
    asked: list[tuple[int, int]] = []

    async def run() -> None:
        async with asyncio.TaskGroup() as tasks:
            ahead = ReadAhead(tasks, lambda: free_bytes, lambda _file, offset, length: asked.append((offset, length)))
            ahead.begin(path, is_wanted)

    asyncio.run(run())
    return asked


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "model.gguf"
    with made.open("wb") as empty:
        empty.truncate(3 * PIECE_BYTES)
    return made


def test_a_file_is_asked_for_to_its_end(file: Path) -> None:
    assert advised(file, 10 * PIECE_BYTES, lambda: True) == [(n * PIECE_BYTES, PIECE_BYTES) for n in range(3)]


def test_it_stops_once_the_load_is_wanted_no_more(file: Path) -> None:
    answers = iter([True, False])
    assert len(advised(file, 10 * PIECE_BYTES, lambda: next(answers))) == 1


def test_a_file_that_is_gone_disturbs_nobody(tmp_path: Path) -> None:
    assert advised(tmp_path / "nothing", PIECE_BYTES, lambda: True) == []


@pytest.mark.skipif(read_ahead.system_advice() is None, reason="this system knows no such advice")
def test_the_system_takes_the_advice(file: Path) -> None:
    async def run() -> None:
        async with asyncio.TaskGroup() as tasks:
            ReadAhead(tasks, lambda: 10 * PIECE_BYTES).begin(file, lambda: True)

    asyncio.run(run())
