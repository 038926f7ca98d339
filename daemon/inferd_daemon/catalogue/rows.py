"""From a row of TOML to a schema: strict, with errors that name the row, the key and what is allowed.

Covers: the keys of `[models."provider/model:variant"]`, the same for the curated list and for the user's config.
Does not cover reading files (`curated`, `config`) or looking names up (`Catalogue`).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Annotated

from inferd.errors import InvalidRequest
from inferd.fields import field_error
from inferd.messages.bounds import Length, Name, Positive, ShortText
from inferd.strict import make_strict
from inferd_daemon.catalogue.names import VOCAB, ModelId, shown
from inferd_daemon.catalogue.schema import Capability, Cost, Engine, Option, Schema
from inferd_daemon.catalogue.sources import (
    BuiltinSource,
    FileSource,
    HubSource,
    LmStudioSource,
    OllamaSource,
    PackageSource,
    Source,
    UrlSource,
)

_STRICT = make_strict(unknown_fields_refused=True, detailed=True)

DEFAULT_CAPABILITIES: Mapping[Engine, tuple[Capability, ...]] = {
    "echo": ("generate", "loopback"),
    "llama_cpp": ("generate",),
}
"""What a row's engine serves when the row does not say it."""


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
    name: ShortText | None = None
    family: ShortText | None = None
    version: ShortText | None = None
    capabilities: Annotated[tuple[Capability, ...], Length(1, 16)] | None = None
    context_tokens: Positive | None = None
    output_limit_tokens: Positive | None = None
    parameters: Positive | None = None
    quantization: ShortText | None = None
    cost: Cost | None = None
    tags: Annotated[tuple[Name, ...], Length(0, 32)] | None = None
    license: ShortText | None = None


_KINDS = ("file", "package", "hub", "url", "ollama", "lmstudio")
"""Keys of which one at most may be there."""
_WITH_DIGEST = frozenset({"file", "url", "lmstudio"})
_SOURCE_KEYS = frozenset({*_KINDS, "sha256"})
_KEYS = tuple(one.name for one in fields(Row))


def schema_from(name: str, table: Mapping[str, object], below: Mapping[ModelId, Schema]) -> Schema:
    """Return the schema that a row describes, on top of the one in `below` with the same id, if there is one.

    Raises InvalidRequest; `details["field"]` is the key, e.g. `models."me/mine:q4".engine`.
    """
    try:
        model = ModelId.parse(name)
    except ValueError as wrong:
        raise _invalid(f"models.{shown(name)}", str(wrong)) from None
    if model == VOCAB:
        raise _invalid(_place(model, ""), "is the name of a process of inferd's own: choose another")
    row = _read(model, table)
    known = below.get(model)
    base = known or _bare(model, row)
    source = _source(model, row, known)
    said = {key: value for key in _KEYS if key not in _SOURCE_KEYS and (value := getattr(row, key)) is not None}
    return replace(base, source=source, **said)


def _read(model: ModelId, table: Mapping[str, object]) -> Row:
    for key in table:
        if key not in _KEYS:
            near = difflib.get_close_matches(key[:64], _KEYS, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(_KEYS)}"
            raise _invalid(_place(model, shown(key)), f"is no key of a model{hint}")
    try:
        return _STRICT.structure(table, Row)
    except Exception as wrong:  # noqa: BLE001 - cattrs' own tree, and what a field's check raised
        error = field_error(wrong)
        raise _invalid(_place(model, error.field), error.problem) from None


def _source(model: ModelId, row: Row, known: Schema | None) -> Source:
    """Return where the bytes come from; the numbered rules are tried in order."""
    said = [kind for kind in _KINDS if getattr(row, kind) is not None]
    # 1. Two sources in one row: which one is meant cannot be known.
    if len(said) > 1:
        raise _invalid(_place(model, said[0]), f"expected either {said[0]} or {said[1]}, got both")
    # 2. A digest without a file says nothing: the other sources have their own.
    if row.sha256 is not None and not _WITH_DIGEST.intersection(said):
        raise _invalid(_place(model, "sha256"), "belongs to file, url or lmstudio, and none of them is there")
    # 3. What the row says.
    if said:
        return _said(model, row, said[0])
    # 4. What the row below says.
    if known is not None:
        return known.source
    # 5. An engine that needs no bytes.
    if row.engine == "echo":
        return BuiltinSource()
    raise _invalid(_place(model, "file"), f"or one of {', '.join(_KINDS[1:])} is required: this engine reads a file")


def _said(model: ModelId, row: Row, kind: str) -> Source:
    try:
        match row:
            case Row(package=PackageSource() as source) | Row(hub=HubSource() as source):
                return source
            case Row(url=str(url)):
                return UrlSource(url, sha256=row.sha256)
            case Row(ollama=str(name)):
                return OllamaSource(name)
            case Row(lmstudio=str(file)):
                return LmStudioSource(file, row.sha256)
            case _:
                return FileSource(row.file or "", row.sha256)
    except ValueError as wrong:
        raise _invalid(_place(model, kind), str(wrong)) from None


def _bare(model: ModelId, row: Row) -> Schema:
    if row.engine is None:
        raise _invalid(_place(model, "engine"), "is required for a model that is not in the curated list")
    return Schema(
        id=model,
        name=str(model),
        engine=row.engine,
        source=BuiltinSource(),
        capabilities=DEFAULT_CAPABILITIES[row.engine],
    )


def _place(model: ModelId, key: str) -> str:
    return f'models."{model}".{key}' if key else f'models."{model}"'


def _invalid(place: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{place}: {problem}", details={"field": place})
