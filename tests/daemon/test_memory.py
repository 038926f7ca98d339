"""What was learned survives; what the machine has is read with its control groups."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from inferd_daemon.ledger import Amount, Need
from inferd_daemon.memory import Machine, read_tree_bytes, stalled_share
from inferd_daemon.peaks import Peaks, Shape, settings_of

SHAPE = Shape("a/b:c", "echo", settings_of({"slots": 4, "context_tokens": 8}, None, 100))


def test_peaks_are_found_again_by_the_next_daemon(tmp_path: Path) -> None:
    peaks = Peaks(tmp_path / "memory.sqlite3")
    peaks.rose(SHAPE, Amount(1_000, 50), 2.5)
    peaks.rose(SHAPE, Amount(900, 60), 2.5)
    peaks.save()
    again = Peaks(tmp_path / "memory.sqlite3")
    assert again.of(SHAPE) == Need(1_000, 2.5, 60)
    assert again.of(Shape("a/b:c", "echo", settings_of({"slots": 5}, None, 100))) is None


def test_a_lower_peak_pulls_the_known_one_down_slowly(tmp_path: Path) -> None:
    peaks = Peaks(tmp_path / "memory.sqlite3")
    peaks.ended(SHAPE, Amount(1_000, 200), 1.0)
    peaks.ended(SHAPE, Amount(500, 300), 1.0)
    assert peaks.of(SHAPE) == Need(950, 1.0, 300)


def test_peaks_that_an_earlier_version_kept_are_known(tmp_path: Path) -> None:
    file = tmp_path / "memory.sqlite3"
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(
            "CREATE TABLE peaks (model TEXT NOT NULL, engine TEXT NOT NULL, settings TEXT NOT NULL,"
            " peak_bytes INTEGER NOT NULL, load_s REAL NOT NULL, PRIMARY KEY (model, engine, settings)) WITHOUT ROWID"
        )
        database.execute("INSERT INTO peaks VALUES (?, ?, ?, 700, 1.5)", (SHAPE.model, SHAPE.engine, SHAPE.settings))
    peaks = Peaks(file)
    assert peaks.of(SHAPE) == Need(700, 1.5)
    peaks.rose(SHAPE, Amount(700, 5), 1.5)
    peaks.save()
    assert Peaks(file).of(SHAPE) == Need(700, 1.5, 5)


def test_what_was_learned_on_a_gpu_is_not_taken_for_what_a_cpu_needs() -> None:
    assert settings_of({}, 5, 6, has_gpu=True) != settings_of({}, 5, 6)


def test_the_order_of_settings_does_not_matter() -> None:
    assert settings_of({"b": 1, "a": 2}, 5, 6) == settings_of({"a": 2, "b": 1}, 5, 6)


def test_a_file_that_is_no_database_is_put_aside(tmp_path: Path) -> None:
    file = tmp_path / "memory.sqlite3"
    file.write_bytes(b"no database at all, but long enough to be read as one " * 40)
    peaks = Peaks(file)
    peaks.rose(SHAPE, Amount(7), 1.0)
    peaks.save()
    assert Peaks(file).of(SHAPE) == Need(7, 1.0)
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
