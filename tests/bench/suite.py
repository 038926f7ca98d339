"""Benches that belong together: run one after another, judged, shown, stored.

Covers: the command line (`[--only NAME]… [--pairs N]`), the order, the verdict. Each bench is a module with `run(pairs)`, which
returns its rows and notes; one that lasts as long as it is told has `run(pairs, minutes)`. The rows go to the screen and, as
they are measured, to `.bench/SUITE.json`.
Exit codes: 0 all goals met · 1 a goal was missed · 2 a bench did not run to its end.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
ELSEWHERE: Final = (ROOT / "tests" / "fakes", ROOT / "tools")
"""Hold the harness that runs a daemon, and what builds the servers that inferd is compared with."""

MISSED: Final = 1
BROKE: Final = 2


@dataclass(frozen=True, slots=True)
class Suite:
    """A set of benches under one name."""

    name: str
    title: str
    modules: Mapping[str, str]
    """Name on the command line → module, in the order in which they run."""
    lasting: Mapping[str, float] = field(default_factory=dict)
    """Name → minutes, of those that go on as long as `--minutes` says."""

    def main(self) -> int:
        """Run what the command line asks for and return the exit code."""
        signal.signal(
            signal.SIGTERM, lambda _number, _frame: sys.exit(BROKE)
        )  # else daemons and servers would outlive it
        sys.path += map(str, ELSEWHERE)
        import report
        from measure import MIN_PAIRS, Row

        arguments = self._arguments(MIN_PAIRS)
        on, rows, notes, broken = report.machine(), list[Row](), list[str](), list[str]()
        for name in arguments.only or self.modules:
            report.console.print(f"== {name}")
            began_s = time.monotonic()
            try:
                lasts = (arguments.minutes or self.lasting[name],) if name in self.lasting else ()
                found, said = import_module(self.modules[name]).run(arguments.pairs, *lasts)
            except Exception:  # noqa: BLE001 - the others still run; the exit code tells
                traceback.print_exc()
                broken.append(name)
                continue
            rows += found
            notes += [*said, f"{name}: took {time.monotonic() - began_s:.0f} s"]
            report.store(self.name, rows, notes, on)
        report.show(self.title, rows)
        for line in (*notes, *(f"BROKE: {name}" for name in broken)):
            report.console.print(line)
        missed = [row for row in rows if row.met is False]
        if missed:
            report.console.print(
                f"MISSED: {len(missed)} of {sum(row.goal is not None for row in rows)} goals", style="bold red"
            )
        return BROKE if broken else MISSED if missed else 0

    def _arguments(self, min_pairs: int) -> argparse.Namespace:
        parser = argparse.ArgumentParser(description=f"Measure {self.title}.")
        parser.add_argument(
            "--only", action="append", choices=tuple(self.modules), help="run this bench; may be given again"
        )
        parser.add_argument("--pairs", type=int, default=min_pairs, help=f"alternated pairs, at least {min_pairs}")
        if self.lasting:
            told = ", ".join(f"{name} {minutes:g}" for name, minutes in self.lasting.items())
            parser.add_argument("--minutes", type=float, help=f"how long lasting benches go on; default: {told}")
        arguments = parser.parse_args()
        if arguments.pairs < min_pairs:
            parser.error(f"--pairs: {arguments.pairs} is less than {min_pairs}, which the intervals need")
        return arguments
