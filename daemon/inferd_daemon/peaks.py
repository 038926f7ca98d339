"""What models really took: the highest use seen of each, kept in a SQLite file across restarts. The only door to that file.

Covers: one row per model, engine and settings of its life. Does not cover the first guess (`ledger.estimate`) nor measuring
(`gauge`). Opening and `save` block for milliseconds: worker threads; the rest works in memory.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from inferd_daemon.ledger import Amount, Need

log = structlog.get_logger()

FADE: Final = 0.1
"""How much of the way a peak goes down to the next life's if that was lower: one odd life is forgotten after some ten."""

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS peaks (
    model TEXT NOT NULL, engine TEXT NOT NULL, settings TEXT NOT NULL,
    peak_bytes INTEGER NOT NULL, load_s REAL NOT NULL, gpu_bytes INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (model, engine, settings)
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a peak belongs to. `settings`: everything else that changes it, in a fixed spelling: context, slots, file size."""

    model: str
    engine: str
    settings: str


class Peaks:
    """All peaks. A file that cannot be read is put aside: what it held is only learned again."""

    def __init__(self, file: Path) -> None:
        """Open and read `file`. Blocks; raises OSError when the folder cannot be written."""
        self._file = file
        self._changed: dict[Shape, Need] = {}
        self._changing = threading.Lock()
        """`save` takes the changes in a worker thread."""
        try:
            self._known = self._read()
        except sqlite3.DatabaseError as broken:
            log.warning("learned memory is lost", file=str(file), reason=str(broken))
            file.replace(file.with_suffix(".broken"))
            self._known = self._read()

    def of(self, shape: Shape) -> Need | None:
        """Return what is known of a shape."""
        return self._known.get(shape)

    def rose(self, shape: Shape, used: Amount, load_s: float) -> None:
        """Take note of a measured use in the present life; only a rise counts."""
        known = self._known.get(shape, Need(0, load_s))
        ram_bytes, gpu_bytes = max(known.peak_bytes, used.ram_bytes), max(known.gpu_bytes, used.gpu_bytes)
        if (ram_bytes, gpu_bytes) != (known.peak_bytes, known.gpu_bytes):
            self._set(shape, Need(ram_bytes, load_s, gpu_bytes))

    def ended(self, shape: Shape, peak: Amount, load_s: float) -> None:
        """Take note of a life's own peaks at its end: a lower one pulls the known one down a little."""
        known = self._known.get(shape, Need(peak.ram_bytes, load_s, peak.gpu_bytes))
        ram_bytes, gpu_bytes = _faded(known.peak_bytes, peak.ram_bytes), _faded(known.gpu_bytes, peak.gpu_bytes)
        self._set(shape, Need(ram_bytes, load_s, gpu_bytes))

    def _set(self, shape: Shape, peak: Need) -> None:
        if self._known.get(shape) != peak:
            with self._changing:
                self._known[shape] = self._changed[shape] = peak

    def save(self) -> None:
        """Write what has changed. Blocks; what cannot be written is logged and tried again with the next change."""
        with self._changing:
            changed, self._changed = self._changed, {}
        if not changed:
            return
        rows = [
            (one.model, one.engine, one.settings, peak.peak_bytes, peak.load_s, peak.gpu_bytes)
            for one, peak in changed.items()
        ]
        try:
            with contextlib.closing(self._connect()) as database, database:
                database.executemany("INSERT OR REPLACE INTO peaks VALUES (?, ?, ?, ?, ?, ?)", rows)
        except sqlite3.Error as failed:
            log.warning("learned memory was not written", file=str(self._file), reason=str(failed))
            with self._changing:
                self._changed = changed | self._changed

    def _read(self) -> dict[Shape, Need]:
        with contextlib.closing(self._connect()) as database:
            rows = database.execute("SELECT model, engine, settings, peak_bytes, load_s, gpu_bytes FROM peaks")
            return {Shape(*row[:3]): Need(*row[3:]) for row in rows}

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._file)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(
            "PRAGMA synchronous = NORMAL"
        )  # the last peaks may be lost with the power, and are learned again
        database.execute(_TABLE)
        if "gpu_bytes" not in {row[1] for row in database.execute("PRAGMA table_info(peaks)")}:
            database.execute("ALTER TABLE peaks ADD COLUMN gpu_bytes INTEGER NOT NULL DEFAULT 0")
        return database


def _faded(known_bytes: int, seen_bytes: int) -> int:
    """Return what is known after a life that took so much at its peak."""
    return seen_bytes if seen_bytes >= known_bytes else int(known_bytes - FADE * (known_bytes - seen_bytes))


def settings_of(
    options: Mapping[str, object], context_tokens: int | None, file_bytes: int, *, has_gpu: bool = False
) -> str:
    """Return the one spelling of what a life's use depends on, besides model and engine."""
    parts = {**options, "file_bytes": file_bytes, "declared_context_tokens": context_tokens}
    parts |= {"has_gpu": True} if has_gpu else {}
    return " ".join(f"{name}={parts[name]}" for name in sorted(parts))
