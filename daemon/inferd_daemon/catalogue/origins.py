"""Where a row says that its model's bytes come from.

Covers: choosing among the keys of `KINDS`, and refusing what cannot be meant. Does not cover the
sources' own rules (`sources`). Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.catalogue.places import invalid, place
from inferd_daemon.catalogue.schema import Engine, Schema
from inferd_daemon.catalogue.sources import (
    BuiltinSource,
    FileSource,
    LmStudioSource,
    OllamaSource,
    RemoteSource,
    Source,
    UrlSource,
)

if TYPE_CHECKING:
    from inferd_daemon.catalogue.rows import Row

KINDS: Final = ("file", "package", "hub", "url", "ollama", "lmstudio", "remote")
"""Keys of a row of which one at most may be there."""
WITH_DIGEST: Final = frozenset({"file", "url", "lmstudio"})
"""Those that `sha256` belongs to."""


def source_of(model: ModelId, row: Row, engine: Engine, known: Schema | None) -> Source:
    """Return where the bytes come from. Raises InvalidRequest naming the key; the numbered rules are tried in order."""
    said = [kind for kind in KINDS if getattr(row, kind) is not None]
    # 1. Two sources in one row: which one is meant cannot be known.
    if len(said) > 1:
        raise invalid(place(model, said[0]), f"expected either {said[0]} or {said[1]}, got both")
    # 2. A digest without a file says nothing: the other sources have their own.
    if row.sha256 is not None and not WITH_DIGEST.intersection(said):
        raise invalid(place(model, "sha256"), "belongs to file, url or lmstudio, and none of them is there")
    # 3. What the row says, what the row below says, or an engine that needs no bytes.
    source = (
        (_said(model, row, said[0]) if said else None)
        or (known.source if known else None)
        or (BuiltinSource() if engine == "echo" else None)
    )
    if source is None:
        wanted = "remote" if engine == "remote" else "file"
        raise invalid(place(model, wanted), _missing(engine))
    # 4. What runs elsewhere has no file, and what runs here has no server.
    if (engine == "remote") != isinstance(source, RemoteSource):
        raise invalid(place(model, "engine"), f"the engine {engine} does not go with this source of the model")
    return source


def _missing(engine: Engine) -> str:
    if engine == "remote":
        return "is required: base_url, protocol and model of the server"
    return f"or one of {', '.join(KINDS[1:-1])} is required: this engine reads a file"


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
            case _:
                return row.package or row.hub or row.remote
    except ValueError as wrong:
        raise invalid(place(model, kind), str(wrong)) from None
