"""The file that `inferd register` reads: one model or several, in TOML or JSON.

Covers: the shapes, told apart by what is in them: a model with its `id`; a list of such; `models`, as that list or as a table
by id (the config's own shape); what `inferd discover --json` prints. Does not cover what a model may say: the daemon checks it.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from inferd.errors import InvalidRequest

MAX_BYTES: Final = 8 * 2**20
"""As long as a message to the daemon may be."""
STDIN: Final = "-"


def read(file: str) -> list[Mapping[str, object]]:
    """Return the models in a file, or on stdin for `-`. Blocks. Raises InvalidRequest with the file and what is wrong."""
    try:
        if file == STDIN:
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(file).expanduser().open("rb") as opened:
                data = opened.read(MAX_BYTES + 1)
        text = data.decode()
    except (OSError, RuntimeError, ValueError) as unreadable:
        raise _wrong(file, str(unreadable)) from None
    if len(data) > MAX_BYTES:
        raise _wrong(file, f"has more than {MAX_BYTES:,} bytes")
    models = _models(_parsed(file, text))
    if not models:
        raise _wrong(file, 'has no model: expected an id, or [models."provider/model:variant"]')
    return models


def _parsed(file: str, text: str) -> object:
    reasons = []
    for kind, parse in (("JSON", json.loads), ("TOML", tomllib.loads)):
        try:
            return parse(text)
        except (ValueError, RecursionError) as wrong:
            reasons.append(f"no {kind} ({wrong})")
    raise _wrong(file, f"is {' and '.join(reasons)}")


def _models(found: object) -> list[Mapping[str, object]]:
    match found:
        case dict() if "id" in found:
            return [found]
        case {"schemas": list(listed)} | {"models": list(listed)}:
            return _maps(listed)
        case list(listed):
            return _maps(listed)
        case {"models": dict(tables)}:
            return [{**row, "id": name} for name, row in tables.items() if isinstance(row, Mapping)]
        case _:
            return []


def _maps(listed: list[object]) -> list[Mapping[str, object]]:
    return [row for row in listed if isinstance(row, Mapping)]


def _wrong(file: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{file}: {problem}", details={"field": file})
