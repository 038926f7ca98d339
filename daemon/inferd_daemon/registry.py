"""The models in force: the curated and configured rows, and over them the registered ones, which come and go.

Covers: one catalogue that is exchanged as a whole, so that every room, and the I/O thread, sees the same; what a changed
file means; models that have left but still have a process. Does not cover draining those, nor answering anybody
(`registrar`). Every method is called in the loop, `find` and the properties from any thread; reading a small file blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from inferd.errors import InvalidRequest
from inferd_daemon import rows_file
from inferd_daemon.catalogue import Catalogue, ModelId, Schema
from inferd_daemon.rows_file import Rows

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Change:
    """What a new set of rows changes: models that are new or different, and models that are in no list any more."""

    changed: tuple[Schema, ...] = ()
    left: tuple[Schema, ...] = ()


class Registry:
    """The catalogue that changes. Made of the rows below (`base`) and the file of registered rows, which is read."""

    def __init__(self, base: Catalogue, file: Path, configured: frozenset[ModelId]) -> None:
        """`configured`: which models of `base` the user's config names."""
        self._base = base
        self._file = file
        self._configured = configured
        self._rows = Rows({})
        self._listed = self._now = base
        """`_listed`: what names mean; `_now`: that, and models that have left but whose process has not ended."""
        self._leaving: dict[ModelId, Schema] = {}
        self._stamp = rows_file.ABSENT
        self.problem: InvalidRequest | None = None
        """Why the file as a whole could not be read; the rows from before stay in force."""
        self.reload()

    # --- what the rooms ask

    @property
    def schemas(self) -> tuple[Schema, ...]:
        """All models, those included that have left but whose process has not ended yet."""
        return self._now.schemas

    @property
    def starter_id(self) -> ModelId:
        """The model that is used by whoever has none yet."""
        return self._now.starter_id

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the file and its rows, one sentence each."""
        return (*([self.problem.message] if self.problem else ()), *self._now.broken.values())

    def find(self, name: str) -> Schema:
        """Return the one model that `name` means. Raises ModelNotFound, also for one that is about to go."""
        return self._listed.find(name)

    def of(self, model: ModelId) -> Schema:
        """Return a model that somebody has found before, also if it is about to go."""
        return self._now.of(model)

    def origin(self, model: ModelId) -> str:
        """Return whose row is on top: user, config or curated."""
        if self.row_of(str(model)) is not None:
            return "user"
        return "config" if model in self._configured else "curated"

    # --- registered rows

    def row_of(self, name: str) -> object | None:
        """Return the registered row of this very name, as it is in the file, usable or not; None if there is none."""
        return self._rows.models.get(name)

    def leaving(self, name: str) -> ModelId | None:
        """Return the model of this id if it has left and waits for the end of its process, else None."""
        return next((model for model in self._leaving if str(model) == name), None)

    def is_below(self, name: str) -> bool:
        """Tell whether there is a row for this id without the registered ones."""
        return any(str(schema.id) == name for schema in self._base.schemas)

    def checked(self, name: str, table: Mapping[str, object]) -> Schema:
        """Return the schema that a row would make. Raises InvalidRequest naming row and key."""
        return self._base.with_rows({name: table}).find(name)

    def with_row(self, name: str, table: Mapping[str, object] | None) -> Rows:
        """Return the rows with this one among them, or without it for None. Raises InvalidRequest: the file is broken."""
        if self.problem is not None:
            raise self.problem
        others = {key: row for key, row in self._rows.models.items() if key != name}
        return Rows(others if table is None else {**others, name: table})

    def write(self, rows: Rows) -> None:
        """Write the file; `reload` has it in force. Blocks for the disk: the one method for a worker thread."""
        rows_file.write(self._file, rows)

    # --- changes

    def reload(self) -> Change:
        """Read the file if it has changed, put its rows in force and return what that changed. Never raises."""
        stamp = rows_file.stamp_of(self._file)
        if stamp == self._stamp:
            return Change()
        self._stamp = stamp
        try:
            rows = rows_file.read(self._file)
        except InvalidRequest as wrong:
            log.warning("registered models unreadable", file=str(self._file), reason=wrong.message)
            self.problem = wrong
            return Change()
        self.problem = None
        return self._put(rows)

    def let_go(self, model: ModelId) -> bool:
        """Forget a model that had left, now that nothing of it runs; tell whether it was one."""
        gone = self._leaving.pop(model, None)
        if gone is not None:
            self._now = replace(self._now, schemas=tuple(one for one in self._now.schemas if one.id != model))
        return gone is not None

    def _put(self, rows: Rows) -> Change:
        before = {schema.id: schema for schema in self.schemas if schema.id not in self._leaving}
        merged = self._base.with_usable_rows(rows.models)
        for name, problem in merged.broken.items():
            log.warning("registered row unusable", row=name[:80], reason=problem)
        there = {schema.id for schema in merged.schemas}
        left = tuple(schema for schema in self.schemas if schema.id not in there)
        self._leaving = {schema.id: schema for schema in left}
        self._rows, self._listed = rows, merged
        self._now = replace(merged, schemas=(*merged.schemas, *left))
        return Change(tuple(one for one in merged.schemas if before.get(one.id) != one), left)
