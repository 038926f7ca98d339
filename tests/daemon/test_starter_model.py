"""The real starter model, from the real package: downloaded once, kept between runs."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from inferd_daemon.catalogue import PackageSource, curated

if TYPE_CHECKING:
    from inferd_daemon.store import Store


def test_the_starter_model_is_the_recorded_file(starter_store: Store) -> None:
    schema = curated().starter
    file = starter_store.path(schema)

    assert file is not None
    assert isinstance(schema.source, PackageSource)
    content = file.read_bytes()
    assert len(content) == schema.source.size_bytes == 98_362_432
    assert hashlib.sha256(content).hexdigest() == schema.source.sha256
    assert content.startswith(b"GGUF")
