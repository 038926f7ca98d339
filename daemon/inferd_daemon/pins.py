"""Pinned models: those of the config, and those that were pinned over the wire, kept in `pins.json` in the state directory.

Covers: who is pinned and by whom, reading and writing the file. Does not cover what a pin means (`ledger`) nor answering
(`custodian`). Ids are kept whether or not a model has them: one that was unregistered may come back. Reading and `write` block
for a small file's time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

from inferd.errors import InvalidRequest
from inferd_daemon import whole_file
from inferd_daemon.catalogue import ModelId

NAME: Final = "pins.json"
MAX_BYTES: Final = 2**20

Origin = Literal["", "config", "user"]
"""Whose pin it is; of both the config's, which stays."""


class Pins:
    """All pins. Made by reading the file; one that cannot be read leaves the config's alone and says so in `problem`."""

    def __init__(self, file: Path, configured: Iterable[ModelId] = ()) -> None:
        self._file = file
        self._configured = frozenset(configured)
        self._own: frozenset[ModelId] = frozenset()
        self.problem = ""
        """Why the file could not be read."""
        try:
            self._own = _read(file)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as wrong:
            self.problem = f"{file}: pinned models cannot be read ({wrong}); correct the file, or remove it"

    @property
    def models(self) -> frozenset[ModelId]:
        """Return all pinned models."""
        return self._configured | self._own

    def origin(self, model: ModelId) -> Origin:
        """Return whose pin a model has, empty for none."""
        return "config" if model in self._configured else "user" if model in self._own else ""

    def changed(self, model: ModelId, *, is_pinned: bool) -> frozenset[ModelId]:
        """Return the pins of the file with, or without, this one. Raises InvalidRequest: the file is broken, or full."""
        if self.problem:
            raise InvalidRequest(self.problem, details={"field": str(self._file)})
        return self._own | {model} if is_pinned else self._own - {model}

    def write(self, own: frozenset[ModelId]) -> None:
        """Put these pins in force, and in the file. For a worker thread; raises OSError, InvalidRequest for too many."""
        data = (json.dumps({"pinned": sorted(map(str, own))}, indent=2) + "\n").encode()
        if len(data) > MAX_BYTES:
            message = f"pins would take {len(data):,} bytes, {MAX_BYTES:,} are allowed: unpin some"
            raise InvalidRequest(message, details={"field": "name", "found": len(data), "limit": MAX_BYTES})
        whole_file.write(self._file, data)
        self._own = own


def _read(file: Path) -> frozenset[ModelId]:
    found = whole_file.read(file, MAX_BYTES)
    if found is None:
        return frozenset()
    return frozenset(ModelId.parse(str(name)) for name in json.loads(found)["pinned"])
