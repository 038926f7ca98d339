"""Where a row says that its model's bytes come from.

Covers: choosing among the keys of `KINDS`, and refusing what cannot be meant. Does not cover the
sources' own rules (`sources`). Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from inferd_daemon.catalogue.composed import Downloaded, FilesSource, JoinedSource, NamedFile, Source
from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.catalogue.places import invalid, place
from inferd_daemon.catalogue.schema import Engine, Schema
from inferd_daemon.catalogue.sources import (
    BuiltinSource,
    FileSource,
    LmStudioSource,
    OllamaSource,
    RemoteSource,
    UrlSource,
)

if TYPE_CHECKING:
    from inferd_daemon.catalogue.rows import FileRow, Row

KINDS: Final = ("file", "package", "hub", "url", "ollama", "lmstudio", "converted", "files", "remote")
"""Keys of a row of which one at most may be there."""
WITH_DIGEST: Final = frozenset({"file", "url", "lmstudio"})
"""Those that `sha256` belongs to."""
KINDS_OF_FILE: Final = ("file", "package", "hub", "url", "joined")
"""Keys of one of `files`, of which exactly one must be there."""


def source_of(model: ModelId, row: Row, engine: Engine, known: Schema | None) -> Source:
    """Return where the bytes come from. Raises InvalidRequest naming the key; the numbered rules are tried in order."""
    # 1. Two sources in one row, or a digest of none: what is meant cannot be known.
    said = _kind_of(model, row, KINDS)
    # 2. What the row says, what the row below says, or an engine that needs no bytes.
    source = (
        (_said(model, row, said) if said else None)
        or (known.source if known else None)
        or (BuiltinSource() if engine == "echo" else None)
    )
    if source is None:
        wanted = "remote" if engine == "remote" else "file"
        raise invalid(place(model, wanted), _missing(engine))
    # 3. What runs elsewhere has no file, and what runs here has no server.
    if (engine == "remote") != isinstance(source, RemoteSource):
        raise invalid(place(model, "engine"), f"the engine {engine} does not go with this source of the model")
    return source


def _missing(engine: Engine) -> str:
    if engine == "remote":
        return "is required: base_url, protocol and model of the server"
    return f"or one of {', '.join(KINDS[1:-1])} is required: this engine reads a file"


def _kind_of(model: ModelId, row: Row | FileRow, kinds: Sequence[str], within: str = "") -> str | None:
    """Return which of the keys says where the bytes come from. `within`: the place in the row. Raises InvalidRequest."""
    said = [kind for kind in kinds if getattr(row, kind) is not None]
    if len(said) > 1:
        raise invalid(place(model, within + said[0]), f"expected either {said[0]} or {said[1]}, got both")
    if row.sha256 is not None and not WITH_DIGEST.intersection(said):
        owners = [kind for kind in kinds if kind in WITH_DIGEST]
        problem = f"belongs to {', '.join(owners[:-1])} or {owners[-1]}, and none of them is there"
        raise invalid(place(model, within + "sha256"), problem)
    return said[0] if said else None


def _said(model: ModelId, row: Row, kind: str) -> Source | None:
    try:
        match kind:
            case "file":
                return FileSource(row.file or "", row.sha256)
            case "url":
                return UrlSource(row.url or "", sha256=row.sha256)
            case "ollama":
                return OllamaSource(row.ollama or "")
            case "lmstudio":
                return LmStudioSource(row.lmstudio or "", row.sha256)
            case "files":
                return FilesSource(tuple(_named(model, one, at) for at, one in enumerate(row.files or ())))
            case _:
                return row.package or row.hub or row.converted or row.remote
    except ValueError as wrong:
        raise invalid(place(model, kind), str(wrong)) from None


def _named(model: ModelId, row: FileRow, at: int) -> NamedFile:
    within = f"files[{at}]."
    kind = _kind_of(model, row, KINDS_OF_FILE, within)
    if kind is None:
        raise invalid(place(model, within + KINDS_OF_FILE[0]), f"or one of {', '.join(KINDS_OF_FILE[1:])} is required")
    try:
        source = _source_of_file(row, kind)
    except ValueError as wrong:
        raise invalid(place(model, within + kind), str(wrong)) from None
    try:
        return NamedFile(row.name, source)
    except ValueError as wrong:
        raise invalid(place(model, within + "name"), str(wrong)) from None


def _source_of_file(row: FileRow, kind: str) -> Downloaded | JoinedSource | FileSource:
    match kind:
        case "url":
            return UrlSource(row.url or "", sha256=row.sha256)
        case _:
            return row.package or row.hub or row.joined or FileSource(row.file or "", row.sha256)
