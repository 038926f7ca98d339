"""Pins of a lock file: name, exact version, marker, hashes; read and written in pip's requirements format.

Covers: the format of `requirements*.lock`. Does not cover choosing versions (`relock.py`) or installing (`install.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

HASH: Final = " \\\n    --hash=sha256:"
_ROW: Final = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>\S+)(?: ; (?P<marker>.+))?")


@dataclass(frozen=True, slots=True)
class Pin:
    """One package at one version; pip refuses any file of it whose sha256 is not among `hashes`."""

    name: str
    version: str
    marker: str
    """When it is needed, as an environment marker; empty: always."""
    hashes: tuple[str, ...]

    def __str__(self) -> str:
        marker = f" ; {self.marker}" if self.marker else ""
        return f"{self.name}=={self.version}{marker}" + "".join(HASH + one for one in self.hashes)


def read(lock: Path) -> tuple[Pin, ...]:
    """Return the pins of `lock`, in its order. Raises ValueError at the first row that is no pin with hashes."""
    text = "\n".join(line for line in lock.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    return tuple(_pin(row) for row in re.split(r"\n(?=\S)", text.strip()))


def _pin(row: str) -> Pin:
    head, *hashes = row.split(HASH)
    match = _ROW.fullmatch(head)
    if match is None or not hashes:
        raise ValueError(f"not a pin with hashes: {head!r}; renew the locks with `make lock`")
    return Pin(match["name"], match["version"], match["marker"] or "", tuple(hashes))


def text(pins: tuple[Pin, ...]) -> str:
    """Return `pins` as the lines of a requirements file."""
    return "".join(f"{pin}\n" for pin in pins)
