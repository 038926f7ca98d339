"""Whether a disk has room for a download, and what to say if it has not. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shortage:
    """There is less room than needed."""

    problem: str
    numbers: Mapping[str, int]


def shortage(folder: str, free_bytes: int, wanted_bytes: int, reserve_bytes: int) -> Shortage | None:
    """Return what is missing; None: there is room, and the reserve stays free."""
    needed_bytes = wanted_bytes + reserve_bytes
    if free_bytes >= needed_bytes:
        return None
    numbers = {"needed_bytes": needed_bytes, "free_bytes": free_bytes}
    return Shortage(f"needs {needed_bytes} bytes free in {folder}, there are {free_bytes}", numbers)
