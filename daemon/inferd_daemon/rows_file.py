"""The file of registered rows: `models.json` in the state directory, `{"models": {"provider/model:variant": {…}}}`.

Covers: reading it within bounds, writing it so that a reader sees all of it or nothing, and noticing that it changed.
Why JSON: the daemon writes it, and Python writes no TOML; what a person writes by hand stands in the config, with the same
keys. Does not cover what a row may say (`catalogue.rows`). Blocks for a small file's time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inferd.errors import InvalidRequest
from inferd_daemon import whole_file

NAME: Final = "models.json"

MAX_BYTES: Final = 2**20
"""Some four thousand rows. The loop itself reads a changed file, so it may not be much larger: 32 ms for a thousand rows of
280 bytes (measured, two busy cores)."""

Stamp = tuple[int, int, int]
"""Inode, size and time of a file; another one whenever somebody has written."""

ABSENT: Final[Stamp] = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Rows:
    """What the file says: rows by id, none of them checked."""

    models: Mapping[str, object]


def stamp_of(path: Path) -> Stamp:
    """Return the file's stamp, ABSENT if it cannot be looked at. Some microseconds."""
    try:
        status = path.stat()
    except OSError:
        return ABSENT
    return status.st_ino, status.st_size, status.st_mtime_ns


def read(path: Path) -> Rows:
    """Return what the file says; no rows if it is not there. Raises InvalidRequest with the path and what is wrong."""
    try:
        found = whole_file.read(path, MAX_BYTES)
    except (OSError, ValueError) as wrong:
        raise _wrong(path, str(wrong)) from None
    if found is None:
        return Rows({})
    try:
        models = json.loads(found)["models"]
    except (ValueError, KeyError, TypeError, RecursionError) as wrong:
        raise _wrong(path, f'expected {{"models": {{…}}}}: {type(wrong).__name__}: {wrong}') from None
    if not isinstance(models, dict):
        raise _wrong(path, f'expected a map under "models", got {type(models).__name__}')
    return Rows(models)


def write(path: Path, rows: Rows) -> None:
    """Put these rows in place of the file's, for its owner alone. Raises InvalidRequest for too many, OSError."""
    data = (json.dumps({"models": dict(rows.models)}, indent=2, allow_nan=False) + "\n").encode()
    if len(data) > MAX_BYTES:
        message = f"the registered models would take {len(data):,} bytes, {MAX_BYTES:,} are allowed: unregister some"
        raise InvalidRequest(message, details={"field": "schema", "found": len(data), "limit": MAX_BYTES})
    whole_file.write(path, data)


def _wrong(path: Path, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{path}: {problem}; correct the file, or remove it", details={"field": str(path)})
