"""What models exist: their schemas, where their bytes would come from, and what a name means.

`names`: ids. `sources`: where bytes come from. `schema`: what is known of a model. `rows`: TOML to schema.
`listing`: lookup. `curated`: the list that comes with inferd. Pure, apart from reading that list at start.
See also: `store` (the files).
"""

from inferd_daemon.catalogue.curated import curated
from inferd_daemon.catalogue.listing import Catalogue
from inferd_daemon.catalogue.names import VOCAB, ModelId
from inferd_daemon.catalogue.schema import Capability, Cost, Engine, Schema
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

__all__ = [
    "VOCAB",
    "BuiltinSource",
    "Capability",
    "Catalogue",
    "Cost",
    "Engine",
    "FileSource",
    "HubSource",
    "LmStudioSource",
    "ModelId",
    "OllamaSource",
    "PackageSource",
    "Schema",
    "Source",
    "UrlSource",
    "curated",
]
