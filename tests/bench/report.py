"""What the benches found, for people and for programs: a table on screen, a file in `.bench`, and the machine it is of.

Covers: showing and storing. What the rows mean: `measure`.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import psutil
import zmq
from measure import CONFIDENCE, Row
from rich.console import Console
from rich.table import Table

import inferd

FOLDER: Final = Path(__file__).resolve().parents[2] / ".bench"
WIDTH: Final = 150
"""Columns of the table where the output is no terminal: nothing is cut."""

console: Final = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False, emoji=False)


def machine() -> Mapping[str, str | int | float]:
    """Return what the figures depend on, the load of others included."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "pyzmq": zmq.pyzmq_version(),
        "libzmq": zmq.zmq_version(),
        "inferd": inferd.__version__,
        "load_1_min": os.getloadavg()[0],
        "measured_unix_s": round(time.time()),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def show(title: str, rows: Iterable[Row]) -> None:
    """Print the table; a missed goal stands out."""
    interval = f"{CONFIDENCE:.0%} interval"
    table = Table(title=title, caption=_CAPTION)
    for name in ("measure", "ours", "reference", "ratio", interval, "goal", "met?"):
        table.add_column(name, justify="left" if name == "measure" else "right", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row), style="bold red" if row.met is False else None)
    console.print(table)


_CAPTION: Final = (
    "medians of alternated pairs; the interval is that of the median ratio or difference, exact, from order statistics"
)


def _cells(row: Row) -> tuple[str, ...]:
    compared = "" if row.compared == "ours" else _found(row, row.found)
    interval = "" if row.interval is None else f"{_found(row, row.interval[0])} to {_found(row, row.interval[1])}"
    goal = "" if row.goal is None else f"{'≥' if row.goal.at_least else '≤'} {_found(row, row.goal.limit)}"
    verdict = {None: "", True: "yes", False: "MISSED"}[row.met]
    reference = "" if row.reference is None else f"{row.reference:,.4g}"
    return f"{row.measure}, {row.unit}", f"{row.ours:,.4g}", reference, compared, interval, goal, verdict


def _found(row: Row, value: float) -> str:
    match row.compared:
        case "ratio":
            return f"{value:.2f} x"
        case "difference":
            return f"{value:+.3g} {row.unit}"
        case "ours":
            return f"{value:,.4g} {row.unit}"


def store(name: str, rows: Sequence[Row], notes: Sequence[str], on: Mapping[str, str | int | float]) -> None:
    """Write rows, notes and machine to `.bench/NAME.json`, in place of what was there."""
    FOLDER.mkdir(exist_ok=True)
    written = {"machine": on, "confidence": CONFIDENCE, "rows": [as_json(row) for row in rows], "notes": notes}
    (FOLDER / f"{name}.json").write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def as_json(row: Row) -> dict[str, object]:
    """Return a row as plain values; `ratio` or `difference` is null where the other was compared."""
    return {
        "measure": row.measure,
        "unit": row.unit,
        "ours": row.ours,
        "reference": row.reference,
        "ratio": row.found if row.compared == "ratio" else None,
        "difference": row.found if row.compared == "difference" else None,
        "interval": row.interval,
        "goal": row.goal and f"{row.compared} {'>=' if row.goal.at_least else '<='} {row.goal.limit:g}",
        "met": row.met,
    }
