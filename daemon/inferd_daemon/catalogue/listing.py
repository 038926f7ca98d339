"""All models that can be asked for, and which of them a name means.

Covers: lookup by full and short names, near matches, and the user's rows on top of the curated ones; pure, never
changed in place. Does not cover state or files.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field

from inferd.errors import ModelNotFound
from inferd_daemon.catalogue.names import MAX_ID_CHARS, ModelId, shown
from inferd_daemon.catalogue.rows import schema_from
from inferd_daemon.catalogue.schema import Schema

NEAR_MATCHES = 3
"""Names that an error proposes: more than a person reads at a glance help nobody."""

NEAR_CUTOFF = 0.5
"""difflib's ratio from which a name is proposed; its default of 0.6 misses "smol" for "smollm2"."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The schemas, each id once, and which of them is the starter. Raises ValueError if that does not hold."""

    schemas: tuple[Schema, ...]
    starter_id: ModelId
    """The model that is used by whoever has none yet."""
    _meaning: Mapping[str, tuple[Schema, ...]] = field(init=False, repr=False, compare=False)
    """Every name in use → the models it fits."""

    def __post_init__(self) -> None:
        ids = [schema.id for schema in self.schemas]
        if twice := sorted({str(one) for one in ids if ids.count(one) > 1}):
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
        if fits:
            message = f"{shown(name)} could be {len(fits)} models; name one of them in full: {', '.join(near)}"
        elif near:
            message = f"no model is called {shown(name)}; closest: {', '.join(near)}"
        else:
            message = f"no model is called {shown(name)}, nor anything close; `inferd list` shows all"
        raise ModelNotFound(message, details={"near": near})

    def with_rows(self, rows: Mapping[str, Mapping[str, object]]) -> Catalogue:
        """Return a catalogue with these rows on top: tables of TOML, by id, whose keys are `rows.Row`'s.

        A row with a known id changes the fields it names, any other adds a model. Raises InvalidRequest (the field).
        """
        merged = {schema.id: schema for schema in self.schemas}
        for name, table in rows.items():
            schema = schema_from(name, table, merged)
            merged[schema.id] = schema
        return Catalogue(tuple(merged.values()), self.starter_id)

    def _near(self, name: str) -> tuple[str, ...]:
        close = difflib.get_close_matches(name.lower()[:MAX_ID_CHARS], self._meaning, n=8, cutoff=NEAR_CUTOFF)
        ids = [str(schema.id) for one in close for schema in self._meaning[one]]
        return tuple(dict.fromkeys(ids))[:NEAR_MATCHES]


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
