"""The list of models that comes with inferd: `curated.toml` beside this file.

Covers: reading it. Does not cover the meaning of its keys (`rows`).
"""

from __future__ import annotations

import tomllib
from importlib import resources

from inferd_daemon.catalogue.listing import Catalogue
from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.catalogue.rows import schema_from


def curated() -> Catalogue:
    """Return the catalogue of a user who configured nothing. Reads one small file of the package; called at start."""
    data = tomllib.loads(resources.files("inferd_daemon.catalogue").joinpath("curated.toml").read_text("utf-8"))
    schemas = tuple(schema_from(name, table, {}) for name, table in data["models"].items())
    return Catalogue(schemas, ModelId.parse(data["starter"]))
