"""From a row of TOML or JSON to a schema: strict, with errors that name the row, the key and what is allowed.

Covers: the keys of `[models."provider/model:variant"]`, the same for the curated list, the user's config and registered
rows. Does not cover where the bytes come from (`origins`), files (`curated`, `config`, `registry`) or looking names up.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Annotated

from inferd.fields import field_error
from inferd.messages.bounds import Length, Name, Positive, ShortText
from inferd.messages.schemas import Performance, TokenCost
from inferd.strict import make_strict
from inferd_daemon.catalogue.composed import MAX_FILES, ConvertedSource, JoinedSource
from inferd_daemon.catalogue.names import STANDBY, VOCAB, ModelId, shown
from inferd_daemon.catalogue.origins import KINDS, source_of
from inferd_daemon.catalogue.places import invalid, place
from inferd_daemon.catalogue.schema import Capability, Engine, Option, Parameter, Schema, Trust
from inferd_daemon.catalogue.sources import BuiltinSource, HubSource, PackageSource, RemoteSource

_STRICT = make_strict(unknown_fields_refused=True, detailed=True)

DEFAULT_CAPABILITIES: Mapping[Engine, tuple[Capability, ...]] = {
    "echo": ("generate", "loopback"),
    "llama_cpp": ("generate",),
    "faster_whisper": ("transcribe",),
    "piper": ("synthesize",),
    "remote": ("generate",),
}
"""What a row's engine serves when the row does not say it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """What may be said about one of several files; exactly one key says where its bytes come from."""

    name: Name
    """What the engine calls it: a plain name, never a path."""
    file: ShortText | None = None
    sha256: ShortText | None = None
    """Of `file` or `url`."""
    package: PackageSource | None = None
    hub: HubSource | None = None
    url: Annotated[str, Length(1, 2048)] | None = None
    joined: JoinedSource | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What may be said about a model; None: not said, so the row of the same id below it, or the default, stands."""

    engine: Engine | None = None
    engine_options: Annotated[Mapping[Name, Option], Length(0, 64)] | None = None
    """Takes the place of all options of the row below, not of single ones."""
    file: ShortText | None = None
    sha256: ShortText | None = None
    """Of `file`, `lmstudio` or `url`; without it a file is taken as it is, and what a URL gives first is recorded."""
    package: PackageSource | None = None
    hub: HubSource | None = None
    url: Annotated[str, Length(1, 2048)] | None = None
    ollama: ShortText | None = None
    lmstudio: ShortText | None = None
    converted: ConvertedSource | None = None
    files: Annotated[tuple[FileRow, ...], Length(1, MAX_FILES)] | None = None
    """In place of the keys above, for a model in several files."""
    remote: RemoteSource | None = None
    name: ShortText | None = None
    family: ShortText | None = None
    version: ShortText | None = None
    upstream_family: ShortText | None = None
    capabilities: Annotated[tuple[Capability, ...], Length(1, 16)] | None = None
    context_tokens: Positive | None = None
    output_limit_tokens: Positive | None = None
    parameters: Positive | None = None
    quantization: ShortText | None = None
    size_bytes: Positive | None = None
    languages: Annotated[tuple[Name, ...], Length(0, 128)] | None = None
    supported_parameters: Annotated[tuple[Parameter, ...], Length(0, 64)] | None = None
    performance: Annotated[tuple[Performance, ...], Length(0, 16)] | None = None
    cost: TokenCost | None = None
    benchmarks: Annotated[Mapping[Name, float], Length(0, 64)] | None = None
    tags: Annotated[tuple[Name, ...], Length(0, 32)] | None = None
    license: ShortText | None = None
    trust: Trust | None = None
    deprecated: bool | None = None
    replaced_by: Name | None = None
    """Id of another model, which need not be in the list."""
    replaced_reason: ShortText | None = None


_KEYS = tuple(one.name for one in fields(Row))
_PLAIN = tuple(key for key in _KEYS if key not in {*KINDS, "sha256", "replaced_by"})
"""Keys that are fields of a schema as they are."""


def schema_from(name: str, table: Mapping[str, object], below: Mapping[ModelId, Schema]) -> Schema:
    """Return the schema that a row describes, on top of the one in `below` with the same id, if there is one.

    Raises InvalidRequest; `details["field"]` is the key, e.g. `models."me/mine:q4".engine`.
    """
    model = _id(name)
    row = _read(model, table)
    known = below.get(model)
    base = known or _bare(model, row)
    source = source_of(model, row, row.engine or base.engine, known)
    said = {key: value for key in _PLAIN if (value := getattr(row, key)) is not None}
    if row.replaced_by is not None:
        said["replaced_by"] = _replacement(model, row.replaced_by)
    return replace(base, source=source, **said)


def _id(name: str) -> ModelId:
    try:
        model = ModelId.parse(name)
    except ValueError as wrong:
        raise invalid(f"models.{shown(name)}", str(wrong)) from None
    if model in (STANDBY, VOCAB):
        raise invalid(place(model, ""), "is the name of a process of inferd's own: choose another")
    return model


def _replacement(model: ModelId, name: str) -> ModelId:
    try:
        return ModelId.parse(name)
    except ValueError as wrong:
        raise invalid(place(model, "replaced_by"), str(wrong)) from None


def _read(model: ModelId, table: Mapping[str, object]) -> Row:
    for key in table:
        if key not in _KEYS:
            near = difflib.get_close_matches(key[:64], _KEYS, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(_KEYS)}"
            raise invalid(place(model, shown(key)), f"is no key of a model{hint}")
    try:
        return _STRICT.structure(table, Row)
    except Exception as wrong:  # noqa: BLE001 - cattrs' own tree, and what a field's check raised
        error = field_error(wrong)
        raise invalid(place(model, error.field), error.problem) from None


def _bare(model: ModelId, row: Row) -> Schema:
    if row.engine is None:
        raise invalid(place(model, "engine"), "is required for a model that is in no list yet")
    return Schema(
        id=model,
        name=str(model),
        engine=row.engine,
        source=BuiltinSource(),
        capabilities=DEFAULT_CAPABILITIES[row.engine],
        trust="user",
    )
