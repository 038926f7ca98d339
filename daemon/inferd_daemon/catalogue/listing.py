"""All models that can be asked for, and which of them a name means.

Covers: lookup by full and short names, near matches, and the user's rows on top of the curated ones; pure, never
changed in place. Does not cover state or files.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from inferd.errors import InvalidRequest, ModelNotFound
from inferd_daemon.catalogue.names import MAX_ID_CHARS, ModelId, shown
from inferd_daemon.catalogue.rows import schema_from
from inferd_daemon.catalogue.schema import Schema

NEAR_MATCHES = 3
"""Names that an error proposes: more than a person reads at a glance help nobody."""

NEAR_CUTOFF = 0.5
"""difflib's ratio from which a name is proposed; its default of 0.6 misses "smol" for "smollm2"."""


class Models(Protocol):
    """What the rooms ask about models: a `Catalogue`, or the one in force while rows come and go (`registry`)."""

    @property
    def schemas(self) -> tuple[Schema, ...]:
        """All models."""

    @property
    def starter_id(self) -> ModelId:
        """The model that is used by whoever has none yet."""

    def find(self, name: str) -> Schema:
        """Return the one model that `name` means. Raises ModelNotFound."""

    def of(self, model: ModelId) -> Schema:
        """Return a model that somebody has found before, also if its name means nothing any more."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The schemas, each id once, and which of them is the starter. Raises ValueError if that does not hold."""

    schemas: tuple[Schema, ...]
    starter_id: ModelId
    """The model that is used by whoever has none yet."""
    broken: Mapping[str, str] = field(default_factory=dict)
    """Rows that cannot be used: what they are called → why."""
    _meaning: Mapping[str, tuple[Schema, ...]] = field(init=False, repr=False, compare=False)
    """Every name in use → the models it fits."""

    def __post_init__(self) -> None:
        ids = Counter(schema.id for schema in self.schemas)
        if twice := sorted(str(one) for one, times in ids.items() if times > 1):
            raise ValueError(f"listed twice: {', '.join(twice)}")
        if self.starter_id not in ids:
            raise ValueError(f"the starter {self.starter_id} is not listed")
        object.__setattr__(self, "_meaning", _meanings(self.schemas))

    @property
    def starter(self) -> Schema:
        """The starter's schema."""
        return self.find(str(self.starter_id))

    def find(self, name: str) -> Schema:
        """Return the one model that `name` means.

        In this order, in any case: the full id; the id without variant; model and variant; the model; the family.
        A shorter name counts only while it is unique. Raises ModelNotFound; `details["near"]`: full ids to choose from.
        """
        fits = self._meaning.get(name.lower(), ())
        if len(fits) == 1:
            return fits[0]
        near = tuple(str(schema.id) for schema in fits) or self._near(name)
        if problem := self.broken.get(name.lower()):
            message = f"the row of {shown(name)} cannot be used: {problem}"
        elif fits:
            message = f"{shown(name)} could be {len(fits)} models; name one of them in full: {', '.join(near)}"
        elif near:
            message = f"no model is called {shown(name)}; closest: {', '.join(near)}"
        else:
            message = f"no model is called {shown(name)}, nor anything close; `inferd list` shows all"
        raise ModelNotFound(message, details={"near": near})

    def of(self, model: ModelId) -> Schema:
        """Return the schema of a listed model. Raises KeyError: whoever has an id has found it here."""
        return self._meaning[str(model)][0]

    def with_rows(self, rows: Mapping[str, Mapping[str, object]]) -> Catalogue:
        """Return a catalogue with these rows on top: tables of TOML, by id, whose keys are `rows.Row`'s.

        A row with a known id changes the fields it names, any other adds a model. Raises InvalidRequest (the field).
        """
        merged = {schema.id: schema for schema in self.schemas}
        for name, table in rows.items():
            schema = schema_from(name, table, merged)
            merged[schema.id] = schema
        return Catalogue(tuple(merged.values()), self.starter_id)

    def with_usable_rows(self, rows: Mapping[str, object]) -> Catalogue:
        """Return the same for rows that were not checked before: a wrong one is left out, and `broken` says why."""
        merged = {schema.id: schema for schema in self.schemas}
        broken = {}
        for name, table in rows.items():
            try:
                schema = schema_from(name, _table(name, table), merged)
            except InvalidRequest as wrong:
                broken[name.lower()] = wrong.message
            else:
                merged[schema.id] = schema
        return Catalogue(tuple(merged.values()), self.starter_id, broken)

    def _near(self, name: str) -> tuple[str, ...]:
        close = difflib.get_close_matches(name.lower()[:MAX_ID_CHARS], self._meaning, n=8, cutoff=NEAR_CUTOFF)
        ids = [str(schema.id) for one in close for schema in self._meaning[one]]
        return tuple(dict.fromkeys(ids))[:NEAR_MATCHES]


def _table(name: str, table: object) -> Mapping[str, object]:
    if not isinstance(table, Mapping):
        raise InvalidRequest(f"models.{shown(name)}: expected a map of keys, got {type(table).__name__}")
    return table


def _meanings(schemas: tuple[Schema, ...]) -> Mapping[str, tuple[Schema, ...]]:
    """Return name → models; a more exact kind of name hides the same text as a less exact kind."""
    meaning: dict[str, tuple[Schema, ...]] = {}
    names_of = {schema.id: (*schema.id.short_names, schema.family.lower()) for schema in schemas}
    for kind in zip(*names_of.values(), strict=True):
        fits: dict[str, list[Schema]] = {}
        for schema, name in zip(schemas, kind, strict=True):
            fits.setdefault(name, []).append(schema)
        meaning = {name: tuple(found) for name, found in fits.items() if name} | meaning
    return meaning
