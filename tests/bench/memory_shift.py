"""Who leaves for whom, on traces of the kind `shift`; see `memory_traces`."""

from __future__ import annotations

from measure import Row
from memory_replay import compared


def run(pairs: int) -> tuple[list[Row], list[str]]:
    """Return the rows and notes of this bench."""
    return compared("shift", pairs)
