"""What the way through the daemon costs: `bench_spine.py [--only NAME]… [--pairs N]`, about ten minutes on two cores.

Covers: running the benches one after another and judging. Each is a module `bench_NAME` with `run(pairs)`, which returns
its rows and notes. The rows go to the screen and to `.bench/spine.json`.
Exit codes: 0 all goals met · 1 a goal was missed · 2 a bench did not run to its end.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import Final

FAKES: Final = Path(__file__).resolve().parents[1] / "fakes"
"""Holds the harness that runs a daemon."""
NAMES: Final = ("import", "idle", "ping", "stream", "crowd", "storm")

MISSED: Final = 1
BROKE: Final = 2


def main() -> int:
    """Run the benches and return the exit code."""
    sys.path.append(str(FAKES))
    import report
    from measure import MIN_PAIRS, Row

    arguments = _arguments(MIN_PAIRS)
    on, rows, notes, broken = report.machine(), list[Row](), list[str](), list[str]()
    for name in arguments.only or NAMES:
        report.console.print(f"== {name}")
        began_s = time.monotonic()
        try:
            found, said = import_module(f"bench_{name}").run(arguments.pairs)
        except Exception:  # noqa: BLE001 - the others still run; the exit code tells
            traceback.print_exc()
            broken.append(name)
            continue
        rows += found
        notes += [*said, f"{name}: took {time.monotonic() - began_s:.0f} s"]
    report.show(rows)
    report.store(rows, notes, on)
    for line in (*notes, *(f"BROKE: {name}" for name in broken)):
        report.console.print(line)
    missed = [row for row in rows if row.met is False]
    if missed:
        report.console.print(
            f"MISSED: {len(missed)} of {sum(row.goal is not None for row in rows)} goals", style="bold red"
        )
    return BROKE if broken else MISSED if missed else 0


def _arguments(min_pairs: int) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", choices=NAMES, help="run this bench; may be given again")
    parser.add_argument("--pairs", type=int, default=min_pairs, help=f"alternated pairs, at least {min_pairs}")
    arguments = parser.parse_args()
    if arguments.pairs < min_pairs:
        parser.error(f"--pairs: {arguments.pairs} is less than {min_pairs}, which the intervals need")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
