"""What this machine's CPU is and can: what predictions of memory depend on.

Covers: Linux, by the kernel's own words; elsewhere nothing is known. Blocks for a millisecond.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROWS: Final = Path("/proc/cpuinfo")
FEATURE_ROWS: Final = ("flags", "Features")
"""As x86 and ARM begin the row of a core."""
VENDOR_ROW: Final = "vendor_id"
INTEL: Final = "GenuineIntel"


def features(rows: Path = ROWS) -> frozenset[str]:
    """Return what this CPU can, by the kernel's names; nothing where it does not tell."""
    return next((frozenset(what.split()) for name, what in _rows(rows) if name in FEATURE_ROWS), frozenset())


def is_intel(rows: Path = ROWS) -> bool:
    """Return whether it is Intel's; False where the kernel does not tell."""
    return any(name == VENDOR_ROW and what == INTEL for name, what in _rows(rows))


def _rows(rows: Path) -> Iterator[tuple[str, str]]:
    try:
        text = rows.read_text(encoding="ascii", errors="replace")
    except OSError:
        return
    for row in text.splitlines():
        name, _, what = row.partition(":")
        yield name.strip(), what.strip()
