"""What models exist: their schemas, where their bytes would come from, and what a name means.

`names`: ids. `sources`: where bytes come from. `composed`: several files. `schema`: what is known of a model. `rows` (with
`origins`, `places`): TOML or JSON to schema. `telling`: schema to what apps read. `listing`: lookup. `upgrades`: newer models
for installed ones.
`curated`: the list that comes with inferd. Pure, apart from reading that list at start.
See also: `store` (the files), `registry` (rows that come and go).
"""

from inferd_daemon.catalogue.composed import (
    ConvertedSource,
    Downloaded,
    FilesSource,
    InPlace,
    JoinedSource,
    Made,
    NamedFile,
    OneFile,
    Owned,
    Source,
    files_of,
)
from inferd_daemon.catalogue.curated import curated
from inferd_daemon.catalogue.listing import Catalogue, Models
from inferd_daemon.catalogue.names import STANDBY, VOCAB, ModelId
from inferd_daemon.catalogue.schema import Capability, Engine, Schema
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
from inferd_daemon.catalogue.telling import told
from inferd_daemon.catalogue.upgrades import upgrades

__all__ = [
    "STANDBY",
    "VOCAB",
    "BuiltinSource",
    "Capability",
    "Catalogue",
    "ConvertedSource",
    "Downloaded",
    "Engine",
    "FileSource",
    "FilesSource",
    "HubSource",
    "InPlace",
    "JoinedSource",
    "LmStudioSource",
    "Made",
    "ModelId",
    "Models",
    "NamedFile",
    "OllamaSource",
    "OneFile",
    "Owned",
    "PackageSource",
    "RemoteSource",
    "Schema",
    "Source",
    "UrlSource",
    "curated",
    "files_of",
    "told",
    "upgrades",
]
