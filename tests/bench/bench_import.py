"""What `import inferd` costs an app: a fresh interpreter with it, less one without."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Final

from measure import Goal, Row, alternate, difference_row

GOAL: Final = Goal(150.0)


def run(pairs: int) -> tuple[list[Row], list[str]]:
    """Return the row and a note on what the import brings in."""
    _interpreter_ms("import inferd")  # writes the compiled files
    taken = alternate(lambda _: _interpreter_ms("import inferd"), lambda _: _interpreter_ms("pass"), pairs)
    count = subprocess.run(
        [sys.executable, "-c", "import sys; a = len(sys.modules); import inferd; print(len(sys.modules) - a)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    return [difference_row("import inferd", "ms", taken, GOAL)], [f"import: {count} modules"]


def _interpreter_ms(program: str) -> float:
    """Return the milliseconds from starting a fresh interpreter to its end."""
    began_s = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True)
    return (time.perf_counter() - began_s) * 1e3
