"""The list of models by the whole service: registered, asked, removed, found, and there again after a restart."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_process import DaemonProcess, running
from model_server import ModelServer, serving
from waiting import until

import inferd
from inferd import AsyncClient, Client, Endpoint, ModelSchema

WEIGHTS = b"GGUF" + bytes(4_000)
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
CONFIG = """
[discover]
ollama_port = {ollama}
lm_studio_port = 0
llama_cpp_port = {llama_cpp}
vllm_mlx_port = 0
ollama_dir = "{folder}/ollama"
lm_studio_dir = "{folder}/lmstudio"

[models."test/owned:echo"]
engine = "echo"
engine_options = {{ tokens_per_s = 20 }}

[models."test/owned:echo".package]
package = "no-such-package"
version = "1.0"
wheel_sha256 = "{sha256}"
wheel_bytes = 10
member = "x/weights.gguf"
size_bytes = {size_bytes}
sha256 = "{sha256}"
"""
OWNED = "test/owned:echo"
MINE = "me/mine:echo"
OLLAMA = {"models": [{"name": "llama3.2:3b", "size": 7}]}


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[ModelServer, ModelServer]]:
    with serving({"/api/tags": OLLAMA}) as ollama, serving({"/v1/models": b"<html>"}) as other:
        yield ollama, other


@pytest.fixture(scope="module")
def daemon(
    servers: tuple[ModelServer, ModelServer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DaemonProcess]:
    folder = tmp_path_factory.mktemp("others")
    (folder / "lmstudio" / "maker" / "tiny-GGUF").mkdir(parents=True)
    (folder / "lmstudio" / "maker" / "tiny-GGUF" / "tiny-Q4_0.gguf").write_bytes(WEIGHTS)
    config = CONFIG.format(
        ollama=servers[0].port, llama_cpp=servers[1].port, folder=folder, sha256=SHA256, size_bytes=len(WEIGHTS)
    )
    models = tmp_path_factory.mktemp("models")
    with running(config, environment={"INFERD_MODELS_DIR": str(models)}) as process:
        yield process


@pytest.fixture
def models_dir(daemon: DaemonProcess) -> Path:
    return Path(daemon.environment["INFERD_MODELS_DIR"])


@pytest.fixture
def client(daemon: DaemonProcess) -> Iterator[Client]:
    with daemon.client() as made:
        yield made


def store(client: Client, models_dir: Path) -> Path:
    """Have the owned model's file here, as a daemon that was killed before its receipt would leave it."""
    blob = models_dir / "blobs" / SHA256
    blob.write_bytes(WEIGHTS)
    list(client.models.pull(OWNED))
    return blob


def test_a_registered_model_is_listed_at_once_by_every_app_and_answers(daemon: DaemonProcess, client: Client) -> None:
    told = client.models.register(ModelSchema(MINE, engine="echo", tags=("mine",)))
    assert (told.model, told.outcome, told.note) == (MINE, "added", "")
    with daemon.client("another") as other:
        assert MINE in [model.id for model in other.models.list()]
        (schema,) = (one for one in other.models.schemas() if one.id == MINE)
    assert (schema.origin, schema.tags, schema.capabilities) == ("user", ("mine",), ("generate", "loopback"))
    assert client.generate("hello there", model=MINE).text.split() == ["hello", "there"]
    assert client.models.unregister(MINE).restored is False
    with pytest.raises(inferd.ModelNotFound):
        client.generate("hello", model=MINE)


def test_a_row_without_a_file_is_refused_by_its_key(client: Client) -> None:
    with pytest.raises(inferd.InvalidRequest) as refused:
        client.models.register({"id": "me/empty:q4", "engine": "llama_cpp"})
    assert refused.value.details["field"] == 'models."me/empty:q4".file'
    with pytest.raises(inferd.ModelNotFound):
        client.generate("hello", model="me/empty:q4")


def test_the_commands_register_and_take_away(daemon: DaemonProcess, client: Client, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[models."me/typed:echo"]\nengine = "echo"\n')

    def inferd_command(*words: str) -> str:
        command = [sys.executable, "-m", "inferd_cli", *words, "--socket", str(daemon.socket)]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    assert inferd_command("register", str(tmp_path / "mine.toml")) == "me/typed:echo: added\n"
    assert "me/typed:echo" in inferd_command("list")
    assert json.loads(inferd_command("unregister", "me/typed:echo", "--json"))["model"] == "me/typed:echo"
    assert "me/typed:echo" not in [model.id for model in client.models.list()]


def test_an_edit_of_the_file_counts_for_the_next_request(daemon: DaemonProcess, client: Client) -> None:
    file = daemon.root / "state" / "models.json"
    file.write_text(json.dumps({"models": {"me/edited:echo": {"engine": "echo"}}}))
    assert client.generate("hello", model="me/edited:echo").text.strip() == "hello"
    file.write_text("{")
    assert client.generate("hello", model="me/edited:echo").text.strip() == "hello"
    with pytest.raises(inferd.InvalidRequest, match=r"models\.json.*correct the file"):
        client.models.register(ModelSchema(MINE, engine="echo"))
    file.unlink()
    with pytest.raises(inferd.ModelNotFound):
        client.generate("hello", model="me/edited:echo")


def test_a_stream_ends_by_itself_before_its_models_file_is_removed(
    daemon: DaemonProcess, client: Client, models_dir: Path
) -> None:
    blob = store(client, models_dir)
    words = " ".join(f"word{number}" for number in range(40))
    removed: list[inferd.Removed] = []

    def remove() -> None:
        with daemon.client("remover") as remover:
            removed.append(remover.models.remove(OWNED))

    remover = threading.Thread(target=remove)
    with client.stream(words, model=OWNED) as stream:
        events = iter(stream)
        next(event for event in events if isinstance(event, inferd.TextDelta))
        remover.start()
        until(lambda: daemon.model(OWNED).state == "draining", "the model drains")
        assert blob.exists()
        rest = list(events)
    remover.join()
    done = rest[-1]
    assert isinstance(done, inferd.Done)
    assert len(done.reply.text.split()) == 40
    assert removed == [inferd.Removed(OWNED, len(WEIGHTS))]
    assert not blob.exists()
    assert daemon.model(OWNED).weights_ready is False
    with pytest.raises(inferd.LoadFailed, match="inferd pull"):
        client.generate("hello", model=OWNED)


def test_a_file_of_the_user_is_never_deleted(client: Client, tmp_path: Path) -> None:
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(WEIGHTS)
    client.models.register({"id": "me/file:q4", "engine": "llama_cpp", "file": str(mine)})
    removed = client.models.remove("me/file:q4")
    assert removed.freed_bytes == 0
    assert "stays where it is" in removed.note
    client.models.unregister("me/file:q4")
    assert mine.read_bytes() == WEIGHTS


def test_what_is_found_can_be_registered_and_a_strange_server_is_told(client: Client) -> None:
    found = client.models.discover()
    assert {server.kind: bool(server.problem) for server in found.servers} == {"ollama": False, "llama_cpp": True}
    assert sorted(schema.id for schema in found.schemas) == [
        "lmstudio/maker/tiny-gguf:tiny-q4_0",
        "ollama-server/llama3.2:3b",
    ]
    for schema in found.schemas:
        assert client.models.register(schema).outcome == "added"
    listed = {model.id: model for model in client.models.list()}
    assert listed["lmstudio/maker/tiny-gguf:tiny-q4_0"].weights_ready
    assert not listed["ollama-server/llama3.2:3b"].available
    with pytest.raises(inferd.UnsupportedMode, match="engine remote"):
        client.generate("hello", model="ollama-server/llama3.2:3b")
    for schema in found.schemas:
        client.models.unregister(schema.id)


def test_the_asyncio_client_does_the_same(daemon: DaemonProcess) -> None:
    async def act() -> None:
        async with AsyncClient("async", socket=str(daemon.socket)) as client:
            remote = ModelSchema(
                "me/far:x", engine="remote", remote=Endpoint("http://127.0.0.1:1", "openai", "far"), context_tokens=7
            )
            assert (await client.models.register(remote)).outcome == "added"
            assert remote.id in [schema.id for schema in await client.models.schemas()]
            assert (await client.models.remove(remote.id)).freed_bytes == 0
            assert (await client.models.unregister(remote.id)).model == remote.id
            assert await client.models.upgrades() == ()

    asyncio.run(act())


def test_registered_models_are_there_again_after_a_daemon_was_killed() -> None:
    with running() as daemon:
        with daemon.client() as client:
            client.models.register(ModelSchema(MINE, engine="echo"))
        tree = daemon.tree()
        os.kill(daemon.pid, signal.SIGKILL)
        until(lambda: not any(one.is_running() and one.status() != "zombie" for one in tree), "everything is gone")
        assert daemon.process is not None
        daemon.process.wait()
        daemon.start()
        with daemon.client() as client:
            assert client.generate("hello", model=MINE).text.strip() == "hello"
