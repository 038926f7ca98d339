"""The `hub` source against a hub on loopback: the hub's own library asks, and another server has the bytes."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import ONCE, FileServer, answering, cut, serving
from hub_server import HubServer

from inferd.errors import PullFailed
from inferd_daemon.catalogue import HubSource, ModelId, Schema
from inferd_daemon.store import Store

REPO = "someone/tiny-GGUF"
FILE = "sub/tiny.Q4_K_M.gguf"
WEIGHTS = random.Random(2).randbytes(300_000)  # noqa: S311 - bytes of which no two places are alike
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """A hub with one file on `main`; the library is told of it by its own variable."""
    with serving(FileServer()) as files:
        hub = HubServer(files, REPO, FILE)
        hub.commit("main", WEIGHTS)
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        monkeypatch.setenv("no_proxy", "*")
        with serving(hub):
            yield hub


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


def model(*, revision: str = "main", file: str = FILE, repo: str = REPO, sha256: str | None = None) -> Schema:
    source = HubSource(repo, revision, file, sha256=sha256)
    identity = ModelId("someone", "tiny", "q4")
    return Schema(id=identity, name="", engine="llama_cpp", source=source, capabilities=("generate",))


def pull(store: Store, schema: Schema) -> bytes:
    file = store.pull(schema, lambda progress: None, threading.Event())
    assert file is not None
    return file.read_bytes()


def refused(store: Store, schema: Schema) -> PullFailed:
    with pytest.raises(PullFailed) as caught:
        pull(store, schema)
    assert not store.has(schema)
    return caught.value


def test_a_file_of_a_hub_is_fetched_from_where_the_hub_says(hub: HubServer, root: Path) -> None:
    store, schema = Store(root, patience=ONCE), model()

    assert pull(store, schema) == WEIGHTS
    assert pull(Store(root), schema) == WEIGHTS
    assert [one.path for one in hub.shelf.asked] == [f"/{REPO}/resolve/main/{FILE}"]
    assert [one.path.partition("?")[0] for one in hub.files.shelf.asked] == [f"/signed/{hub.commit_of['main']}"]
    assert {one.name for one in (root / "blobs").iterdir()} == {DIGEST}


def test_a_broken_line_is_gone_on_with_after_asking_the_hub_again(hub: HubServer, root: Path) -> None:
    store, schema = Store(root, patience=ONCE), model()
    hub.files.shelf.acts.append(cut(100_000))
    refused(store, schema)

    assert pull(store, schema) == WEIGHTS
    assert [one.start_bytes for one in hub.files.shelf.asked] == [0, 100_000]
    assert len(hub.shelf.asked) == 2


def test_a_branch_that_moved_while_a_download_waited_starts_it_anew(hub: HubServer, root: Path) -> None:
    store, schema = Store(root, patience=ONCE), model()
    hub.files.shelf.acts.append(cut(100_000))
    refused(store, schema)
    hub.commit("main", WEIGHTS[::-1])

    assert pull(store, schema) == WEIGHTS[::-1]
    assert [one.start_bytes for one in hub.files.shelf.asked] == [0, 0]


def test_a_damaged_file_is_healed_from_its_own_commit_wherever_the_branch_is(hub: HubServer, root: Path) -> None:
    store, schema = Store(root, patience=ONCE), model()
    pull(store, schema)
    file, first = store.path(schema), hub.commit_of["main"]
    assert file is not None
    file.chmod(0o600)
    file.write_bytes(b"x" + WEIGHTS[1:])
    hub.commit("main", WEIGHTS[::-1])

    assert pull(store, schema) == WEIGHTS
    assert hub.shelf.asked[-1].path == f"/{REPO}/resolve/{first}/{FILE}"

    store.remove(schema)
    assert pull(store, schema) == WEIGHTS[::-1]


def test_bytes_that_are_not_what_the_hub_says_are_refused(hub: HubServer, root: Path) -> None:
    hub.files.shelf.acts.append(answering(200, WEIGHTS[::-1]))

    error = refused(Store(root, patience=ONCE), model())

    assert error.details["cause"] == "checksum"
    assert DIGEST in error.message


def test_a_hub_that_says_otherwise_than_recorded_is_refused_before_the_download(hub: HubServer, root: Path) -> None:
    error = refused(Store(root, patience=ONCE), model(sha256="0" * 64))

    assert (error.details["cause"], error.retryable) == ("checksum", False)
    assert hub.files.shelf.asked == []


def test_a_small_file_is_recorded_by_its_own_digest(hub: HubServer, root: Path) -> None:
    hub.is_large = False
    store, schema = Store(root, patience=ONCE), model()

    assert pull(store, schema) == WEIGHTS
    assert {one.name for one in (root / "blobs").iterdir()} == {DIGEST}


def test_a_key_goes_to_the_hub_and_no_further(hub: HubServer, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_canary")

    pull(Store(root, patience=ONCE), model())

    assert [one.headers.get("authorization") for one in hub.shelf.asked] == ["Bearer hf_canary"]
    assert [one.headers.get("authorization") for one in hub.files.shelf.asked] == [None]
    assert not any(b"hf_canary" in one.read_bytes() for one in root.rglob("*") if one.is_file())


@pytest.mark.parametrize(
    ("change", "cause", "words"),
    [
        ({"repo": "someone/else"}, "missing", "no repository someone/else"),
        ({"revision": "v9"}, "missing", "no revision v9"),
        ({"file": "other.gguf"}, "missing", "no file other.gguf"),
    ],
)
def test_what_the_hub_does_not_have_is_named(
    hub: HubServer, root: Path, change: dict[str, str], cause: str, words: str
) -> None:
    error = refused(Store(root, patience=ONCE), model(**change))

    assert (error.details["cause"], error.retryable) == (cause, False)
    assert words in error.message


@pytest.mark.parametrize(
    ("status", "code", "cause", "retryable", "words"),
    [
        (403, "GatedRepo", "access", False, "accepted its terms"),
        (401, "RepoNotFound", "missing", False, "private"),
        (429, "", "download", True, "429"),
        (503, "", "download", True, "503"),
    ],
)
def test_a_hub_that_refuses_is_an_error_with_its_cause(
    hub: HubServer,
    root: Path,
    status: int,
    code: str,
    cause: str,
    retryable: bool,  # noqa: FBT001
    words: str,
) -> None:
    hub.error = (status, code)

    error = refused(Store(root, patience=ONCE), model())

    assert (error.details["cause"], error.details["status"], error.retryable) == (cause, status, retryable)
    assert error.retry_after_s == (3600 if retryable else None)
    assert words in error.message


def test_a_hub_that_nobody_runs_is_an_error(hub: HubServer, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")

    error = refused(Store(root, patience=ONCE), model())

    assert (error.details["cause"], error.retryable) == ("download", True)
    assert "hub cannot be reached" in error.message


def test_who_wants_no_hub_has_none(hub: HubServer, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    error = refused(Store(root, patience=ONCE), model())

    assert (error.details["cause"], error.retryable) == ("source", False)
    assert hub.shelf.asked == []
