"""What tests of several rooms share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from threading import Event

import pytest
from hypothesis import settings

from inferd_daemon.catalogue import curated
from inferd_daemon.store import Store

settings.register_profile("house", deadline=None)  # a busy machine is no failure
settings.load_profile("house")

FIRST_DOWNLOAD_S = 600
"""93 MB at 2 Mbit/s; later runs find the model in the shared folder."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the first test that needs the starter model the time to download it."""
    for item in items:
        if "starter_store" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(FIRST_DOWNLOAD_S))
            return


@pytest.fixture(scope="session")
def starter_store() -> Store:
    """Return a store that has the starter model, in ~/.cache/inferd/test-models or the folder in INFERD_TEST_MODELS."""
    configured = os.environ.get("INFERD_TEST_MODELS")
    store = Store(Path(configured) if configured else Path.home() / ".cache" / "inferd" / "test-models")
    store.pull(curated().starter, lambda progress: None, Event())
    return store


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Return small models by name, made on the spot: see `tests/fakes/tiny_models.py`."""
    tiny = pytest.importorskip("tiny_models", exc_type=ImportError)  # it needs numpy
    folder = tmp_path_factory.mktemp("models")
    return {name: make(folder) for name, make in tiny.MODELS.items()}
