"""The `ollama` and `lmstudio` sources against folders laid out as those programs do: files are read where they are."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.errors import PullFailed
from inferd_daemon.catalogue import LmStudioSource, ModelId, OllamaSource, Schema
from inferd_daemon.store import Store
from inferd_daemon.store.adopted import MODEL_LAYER, NotThereError, ollama_file

WEIGHTS = b"weights of somebody else" * 1000
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()
TINY = OllamaSource("tiny")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("OLLAMA_MODELS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def model(source: OllamaSource | LmStudioSource) -> Schema:
    identity = ModelId("test", "tiny", "q4")
    return Schema(id=identity, name="", engine="llama_cpp", source=source, capabilities=("generate",))


def layer(digest: str, kind: str = MODEL_LAYER) -> dict[str, object]:
    return {"mediaType": kind, "digest": digest, "size": len(WEIGHTS)}


def put(file: Path, content: bytes | object) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return file


def ollama_has(models: Path, name: str = "registry.ollama.ai/library/tiny/latest") -> Path:
    """Lay out a model as Ollama does and return its blob."""
    layers = [layer("sha256:" + "0" * 64, "application/vnd.ollama.image.license"), layer(f"sha256:{DIGEST}")]
    put(models / "manifests" / name, {"schemaVersion": 2, "layers": layers})
    return put(models / "blobs" / f"sha256-{DIGEST}", WEIGHTS)


def pull(store: Store, schema: Schema) -> Path | None:
    return store.pull(schema, lambda progress: None, threading.Event())


def refused(store: Store, schema: Schema) -> PullFailed:
    with pytest.raises(PullFailed) as caught:
        pull(store, schema)
    assert not store.has(schema)
    return caught.value


def everything_in(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(one): (one.lstat().st_size, one.lstat().st_mtime_ns) for one in folder.rglob("*")}


def test_a_file_of_ollama_is_verified_and_used_in_place_and_never_touched(store: Store, home: Path) -> None:
    blob, schema = ollama_has(home / ".ollama/models"), model(TINY)
    before = everything_in(home)
    assert not store.has(schema)

    assert pull(store, schema) == store.path(schema) == blob
    assert store.size_bytes(schema) == len(WEIGHTS)
    assert store.remove(schema) == 0
    assert not store.has(schema)
    assert everything_in(home) == before


@pytest.mark.parametrize(
    ("name", "manifest"),
    [
        ("tiny", "registry.ollama.ai/library/tiny/latest"),
        ("tiny:1b-q4_K_M", "registry.ollama.ai/library/tiny/1b-q4_K_M"),
        ("me/tiny:x", "registry.ollama.ai/me/tiny/x"),
        ("hf.co/someone/Tiny-GGUF:Q4_K_M", "hf.co/someone/Tiny-GGUF/Q4_K_M"),
    ],
)
def test_a_name_means_what_ollama_means_by_it(store: Store, home: Path, name: str, manifest: str) -> None:
    blob = ollama_has(home / ".ollama/models", manifest)

    assert pull(store, model(OllamaSource(name))) == blob


def test_a_folder_that_ollama_was_told_to_use_is_the_only_one(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollama_has(home / ".ollama/models")
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "big"))
    store = Store(tmp_path / "store")
    assert str(tmp_path / "big") in refused(store, model(TINY)).message

    blob = ollama_has(tmp_path / "big")
    assert pull(store, model(TINY)) == blob


def test_a_damaged_file_of_ollama_is_refused_and_left_alone(store: Store, home: Path) -> None:
    blob = ollama_has(home / ".ollama/models")
    blob.write_bytes(b"x" + WEIGHTS[1:])

    error = refused(store, model(TINY))

    assert (error.details["cause"], error.retryable) == ("checksum", False)
    assert blob.exists()


def test_a_model_that_ollama_does_not_have_is_an_error(store: Store, home: Path) -> None:
    error = refused(store, model(TINY))

    assert (error.details["cause"], error.retryable) == ("file", False)
    assert "Ollama has no model tiny" in error.message
    blob = ollama_has(home / ".ollama/models")
    blob.unlink()
    assert refused(store, model(TINY)).details["cause"] == "file"


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"{",
        b"[" * 100_000,
        [],
        {},
        {"layers": None},
        {"layers": []},
        {"layers": [1]},
        {"layers": [{}]},
        {"layers": [layer("sha256:../../../etc/passwd")]},
        {"layers": [layer("sha256:" + "A" * 64)]},
        {"layers": [layer(f"sha256:{DIGEST}\n")]},
        {"layers": [{"mediaType": MODEL_LAYER, "digest": 5}]},
        {"layers": [{"mediaType": MODEL_LAYER, "digest": [DIGEST]}]},
        {"layers": [layer("sha256:" + "1" * 64), layer("sha256:" + "2" * 64)]},
    ],
)
def test_a_manifest_that_names_no_one_file_is_refused(store: Store, home: Path, manifest: object) -> None:
    put(home / ".ollama/models/manifests/registry.ollama.ai/library/tiny/latest", manifest)

    assert refused(store, model(TINY)).details["cause"] == "file"


@given(st.recursive(st.none() | st.integers() | st.text(), lambda of: st.lists(of) | st.dictionaries(st.text(), of)))
def test_no_manifest_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, said: object) -> None:
    models = tmp_path_factory.getbasetemp() / "hypothesis"
    put(models / "manifests/registry.ollama.ai/library/tiny/latest", {"layers": said})

    with pytest.raises(NotThereError):
        ollama_file(TINY, (models,))


@pytest.mark.parametrize(
    "name", ["", "/tiny", "../tiny", "a/../tiny", "tiny:", "tiny:..", "a/b/c/d", "a//b", "tiny:a/b", "a\0b", "x" * 200]
)
def test_a_name_that_leads_elsewhere_is_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="ollama: expected"):
        OllamaSource(name)


def test_a_file_of_lm_studio_is_used_in_place_and_never_touched(store: Store, home: Path) -> None:
    file = put(home / ".lmstudio/models/someone/Tiny-GGUF/tiny.Q4.gguf", WEIGHTS)
    before = everything_in(home)
    schema = model(LmStudioSource("someone/Tiny-GGUF/tiny.Q4.gguf"))

    assert store.has(schema)
    assert pull(store, schema) == store.path(schema) == file
    assert store.remove(schema) == 0
    assert everything_in(home) == before


def test_a_file_of_lm_studio_with_a_digest_is_verified_before_use(store: Store, home: Path) -> None:
    file = put(home / ".cache/lm-studio/models/someone/Tiny-GGUF/tiny.gguf", WEIGHTS)
    schema = model(LmStudioSource("someone/Tiny-GGUF/tiny.gguf", DIGEST))

    assert not store.has(schema)
    assert pull(store, schema) == file
    file.write_bytes(WEIGHTS[1:])
    assert refused(store, schema).details["cause"] == "checksum"


def test_a_file_that_lm_studio_does_not_have_is_an_error(store: Store) -> None:
    error = refused(store, model(LmStudioSource("someone/Tiny-GGUF/tiny.gguf")))

    assert error.details["cause"] == "file"
    assert "LM Studio has no file someone/Tiny-GGUF/tiny.gguf" in error.message


@pytest.mark.parametrize("file", ["", "a/b", "a/b/c/d", "../b/c", "a/../c", "/a/b/c", "a/b/.c", "a/b/c\0"])
def test_a_place_outside_lm_studios_folder_is_no_place(file: str) -> None:
    with pytest.raises(ValueError, match="lmstudio: expected"):
        LmStudioSource(file)


@pytest.mark.parametrize("make", [lambda place: place.mkdir(), os.mkfifo])
def test_what_is_no_file_is_refused_without_reading(store: Store, home: Path, make: Callable[[Path], object]) -> None:
    ollama_has(home / ".ollama/models").unlink()
    make(home / ".ollama/models/blobs" / f"sha256-{DIGEST}")

    assert refused(store, model(TINY)).details["cause"] == "file"
