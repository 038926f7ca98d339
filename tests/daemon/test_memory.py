"""What was learned survives; what the machine has is read with its control groups."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from inferd_daemon.memory import Machine, read_tree_bytes, stalled_share
from inferd_daemon.peaks import Peak, Peaks, Shape, settings_of

SHAPE = Shape("a/b:c", "echo", settings_of({"slots": 4, "context_tokens": 8}, None, 100))


def test_peaks_are_found_again_by_the_next_daemon(tmp_path: Path) -> None:
    peaks = Peaks(tmp_path / "memory.sqlite3")
    peaks.rose(SHAPE, 1_000, 2.5)
    peaks.rose(SHAPE, 900, 2.5)
    peaks.save()
    again = Peaks(tmp_path / "memory.sqlite3")
    assert again.of(SHAPE) == Peak(1_000, 2.5)
    assert again.of(Shape("a/b:c", "echo", settings_of({"slots": 5}, None, 100))) is None


def test_a_lower_peak_pulls_the_known_one_down_slowly(tmp_path: Path) -> None:
    peaks = Peaks(tmp_path / "memory.sqlite3")
    peaks.ended(SHAPE, 1_000, 1.0)
    peaks.ended(SHAPE, 500, 1.0)
    assert peaks.of(SHAPE) == Peak(950, 1.0)


def test_the_order_of_settings_does_not_matter() -> None:
    assert settings_of({"b": 1, "a": 2}, 5, 6) == settings_of({"a": 2, "b": 1}, 5, 6)


def test_a_file_that_is_no_database_is_put_aside(tmp_path: Path) -> None:
    file = tmp_path / "memory.sqlite3"
    file.write_bytes(b"no database at all, but long enough to be read as one " * 40)
    peaks = Peaks(file)
    peaks.rose(SHAPE, 7, 1.0)
    peaks.save()
    assert Peaks(file).of(SHAPE) == Peak(7, 1.0)
    assert file.with_suffix(".broken").exists()


def group(folder: Path, limit: str, current: int, files: int) -> Path:
    folder.mkdir()
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{current}\n")
    (folder / "memory.stat").write_text(f"anon 1\nactive_file {files}\ninactive_file {files}\nsock 0\n")
    return folder


def test_a_control_group_and_those_above_it_limit_what_there_is(tmp_path: Path) -> None:
    outer = group(tmp_path / "outer", "50000000", 20_000_000, 1_000_000)
    inner = group(outer / "inner", "max", 5_000_000, 0)
    room = Machine(inner).room(())
    assert (room.total_bytes, room.available_bytes, room.held_bytes) == (50_000_000, 32_000_000, 0)


def test_without_limits_the_machine_is_what_there_is(tmp_path: Path) -> None:
    room = Machine(tmp_path).room((os.getpid(), 2**22 + 7))
    assert room.total_bytes == psutil.virtual_memory().total
    assert 0 < room.available_bytes <= room.total_bytes
    assert 0 < room.held_bytes < room.total_bytes


@pytest.mark.parametrize(
    ("told", "share"),
    [
        ("some avg10=12.50 avg60=1.00 avg300=0.20 total=5\nfull avg10=3.00 avg60=0.50 avg300=0.10 total=2\n", 0.125),
        ("some avg10=250.00 avg60=1.00\n", 1.0),
        ("some\n", 0.0),
        ("", 0.0),
        ("some avg10=much\n", 0.0),
    ],
)
def test_stalls_are_read_from_what_the_kernel_tells(tmp_path: Path, told: str, share: float) -> None:
    (tmp_path / "memory").write_text(told)
    assert stalled_share(tmp_path / "memory") == share
    assert Machine(tmp_path, tmp_path / "memory").room(()).stalled_share == share


def test_without_such_a_kernel_nothing_stalls(tmp_path: Path) -> None:
    assert stalled_share(tmp_path / "none") == 0.0


def test_a_process_that_is_gone_uses_nothing() -> None:
    assert read_tree_bytes(2**22 + 7) == 0
    assert read_tree_bytes(os.getpid()) > 10**6
