"""What tests of several rooms share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from types import ModuleType

import pytest
from hypothesis import settings

from inferd_actors import engines
from inferd_daemon.catalogue import curated
from inferd_daemon.store import Store

settings.register_profile("house", deadline=None)  # a busy machine is no failure
settings.load_profile("house")

FIRST_DOWNLOAD_S = 600
"""93 MB at 2 Mbit/s; later runs find the model in the shared folder."""


DOWNLOADED = frozenset({"starter_store", "tiny_en", "spoken"})
"""Fixtures that fetch something."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests that need a model, or recordings, the time to download them: the first one does."""
    for item in items:
        if DOWNLOADED.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.timeout(FIRST_DOWNLOAD_S))


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


@pytest.fixture(scope="session")
def tiny_en() -> Path:
    """Return the folder of Whisper tiny.en: see `tests/fakes/speech_models.py`."""
    pytest.importorskip("faster_whisper")
    import speech_models

    try:
        return speech_models.tiny_en()
    except OSError as missing:
        pytest.skip(f"no packages of models here: {missing}")


@pytest.fixture(scope="session")
def joe() -> Path:
    """Return the path of a voice: see `tests/fakes/speech_models.py`."""
    if absent := engines.missing("piper"):
        pytest.skip(f"not installed: {', '.join(absent)}")
    import speech_models

    try:
        return speech_models.joe()
    except OSError as missing:
        pytest.skip(f"no packages of models here: {missing}")


@pytest.fixture(scope="session")
def spoken() -> ModuleType:
    """Return `tests/fakes/recordings.py`, with its recordings fetched."""
    pytest.importorskip("av")
    import recordings

    try:
        for fetch in (recordings.librivox, recordings.prompts):
            fetch()
    except OSError as missing:
        pytest.skip(f"no packages of recordings here: {missing}")
    return recordings
