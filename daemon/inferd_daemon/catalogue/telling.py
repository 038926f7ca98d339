"""From a schema to what apps read of it: the same keys that a row has, so that it can be registered again.

Covers: the way out. Does not cover the way in (`rows`). Pure.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, assert_never

from inferd.messages.schemas import (
    ConvertedFile,
    Endpoint,
    HubFile,
    InputFile,
    JoinedFile,
    ModelSchema,
    PackageFile,
    SchemaFile,
)
from inferd_daemon.catalogue.composed import ConvertedSource, FilesSource, JoinedSource, NamedFile, Source
from inferd_daemon.catalogue.sources import (
    BuiltinSource,
    FileSource,
    HubSource,
    LmStudioSource,
    OllamaSource,
    PackageSource,
    RemoteSource,
    UrlSource,
)

if TYPE_CHECKING:
    from inferd_daemon.catalogue.schema import Schema


def told(schema: Schema, origin: str = "") -> ModelSchema:
    """Return what an app sees; `origin`: whose row it is."""
    return _with_source(
        ModelSchema(
            id=str(schema.id),
            name=schema.name,
            engine=schema.engine,
            engine_options=dict(schema.engine_options) or None,
            family=schema.family,
            version=schema.version,
            upstream_family=schema.upstream_family,
            capabilities=schema.capabilities,
            context_tokens=schema.context_tokens,
            output_limit_tokens=schema.output_limit_tokens,
            parameters=schema.parameters,
            quantization=schema.quantization,
            size_bytes=schema.size_bytes,
            languages=schema.languages,
            supported_parameters=schema.supported_parameters,
            performance=schema.performance,
            cost=schema.cost,
            benchmarks=dict(schema.benchmarks) or None,
            tags=schema.tags,
            license=schema.license,
            trust=schema.trust,
            deprecated=schema.deprecated,
            replaced_by=None if schema.replaced_by is None else str(schema.replaced_by),
            replaced_reason=schema.replaced_reason,
            origin=origin,
        ),
        schema.source,
    )


def _with_source(shown: ModelSchema, source: Source) -> ModelSchema:  # noqa: PLR0911 - a return for each kind
    match source:
        case FileSource(path, sha256):
            return replace(shown, file=path, sha256=sha256)
        case PackageSource():
            return replace(shown, package=PackageFile(**asdict(source)))
        case HubSource():
            return replace(shown, hub=HubFile(**asdict(source)))
        case RemoteSource():
            return replace(shown, remote=Endpoint(**asdict(source)))
        case UrlSource(url, _, sha256):
            return replace(shown, url=url, sha256=sha256)
        case OllamaSource(name):
            return replace(shown, ollama=name)
        case LmStudioSource(file, sha256):
            return replace(shown, lmstudio=file, sha256=sha256)
        case ConvertedSource(recipe, inputs, size_bytes, digest):
            made_of = tuple(InputFile(one.name, PackageFile(**asdict(one.package))) for one in inputs)
            return replace(shown, converted=ConvertedFile(recipe, made_of, size_bytes, digest))
        case FilesSource(files):
            return replace(shown, files=tuple(map(_file, files)))
        case BuiltinSource():
            return shown
        case _:
            assert_never(source)


def _file(one: NamedFile) -> SchemaFile:
    match one.source:
        case FileSource(path, sha256):
            return SchemaFile(one.name, file=path, sha256=sha256)
        case PackageSource():
            return SchemaFile(one.name, package=PackageFile(**asdict(one.source)))
        case HubSource():
            return SchemaFile(one.name, hub=HubFile(**asdict(one.source)))
        case UrlSource(url, _, sha256):
            return SchemaFile(one.name, url=url, sha256=sha256)
        case JoinedSource(parts, digest):
            return SchemaFile(one.name, joined=JoinedFile(tuple(PackageFile(**asdict(part)) for part in parts), digest))
        case _:
            assert_never(one.source)
