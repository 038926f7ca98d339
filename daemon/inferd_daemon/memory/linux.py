"""What Linux tells of memory: stalls of programs, and the limits of control groups.

Covers: reading its small files; where there are none, nothing is limited and nothing stalls. Takes some ten microseconds each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

PRESSURE: Final = Path("/proc/pressure/memory")
"""Pressure stall information; not in every kernel."""
CGROUPS: Final = Path("/sys/fs/cgroup")


def stalled_share(file: Path) -> float:
    """Return the share of the last ten seconds, 0 to 1, in which some program waited for memory; 0 where nothing tells."""
    try:
        first = file.read_text(encoding="ascii").split()
        return min(1.0, float(first[first.index("some") + 1].removeprefix("avg10=")) / 100.0)
    except (OSError, ValueError, IndexError):
        return 0.0


def own_group() -> Path | None:
    """Return the folder of this process's control group; None where there are none of the second version."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((CGROUPS / line.removeprefix("0::/") for line in lines if line.startswith("0::/")), None)


def amount(file: Path) -> int | None:
    """Return the number in a control file; None: no limit, or no such file."""
    try:
        text = file.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def used_bytes(folder: Path) -> int:
    """Return what a control group uses and could not give back by dropping files from memory."""
    try:
        rows = dict(line.split(" ", 1) for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
    except (OSError, ValueError):
        rows = {}
    files_bytes = int(rows.get("active_file", 0)) + int(rows.get("inactive_file", 0))
    return max(0, (amount(folder / "memory.current") or 0) - files_bytes)
