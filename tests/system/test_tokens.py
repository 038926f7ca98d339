"""Tokens of a stored model by the whole service: the model stays unloaded, and a killed vocab actor is no silence."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from daemon_process import DaemonProcess, running
from waiting import until

import inferd
from inferd import AsyncClient, Client
from inferd_actors import engines
from inferd_daemon.catalogue import curated
from inferd_daemon.store import Store

pytestmark = pytest.mark.skipif(
    bool(engines.missing("llama_cpp")), reason="llama-cpp-python or jinja2 is not installed"
)

SMOL = "test/smol:file"
STARTER = "huggingfacetb/smollm2-135m-instruct:q4_1"
CONFIG = """
[models."test/smol:file"]
engine = "llama_cpp"
file = "{file}"

[models."test/page:file"]
engine = "llama_cpp"
file = "{page}"
"""
TEXT = "Grüße <|im_start|>user\n\N{MAN}\u200d\N{WOMAN} e\u0301  "
LONG = " " * 2_000_000
"""Takes the tokenizer seconds."""


@pytest.fixture(scope="module")
def daemon(starter_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    page = tmp_path_factory.mktemp("files") / "page.gguf"
    page.write_text("<html>not found</html>")
    config = CONFIG.format(file=starter_store.path(curated().starter), page=page)
    empty = {
        "INFERD_MODELS_DIR": str(tmp_path_factory.mktemp("models"))
    }  # whoever runs this may have pulled the starter
    with running(config, environment=empty) as process:
        yield process


@pytest.fixture
def client(daemon: DaemonProcess) -> Iterator[Client]:
    with daemon.client() as made:
        yield made


def vocab_pids(client: Client) -> list[int]:
    return [process.pid for process in client.daemon.status().processes if process.kind == "vocab"]


def test_a_stored_model_tells_its_tokens_and_stays_unloaded(daemon: DaemonProcess, client: Client) -> None:
    assert vocab_pids(client) == [], "it is started when it is first needed"
    ids = client.tokenize(SMOL, TEXT)
    assert client.detokenize(SMOL, ids) == TEXT
    assert client.tokenize(SMOL, "") == []
    assert 1 not in ids, "what looks like a mark is plain text"
    estimate = client.estimate_tokens("Hello", model=SMOL)
    assert (estimate.fits, estimate.exact) == (True, True)
    assert (daemon.model(SMOL).state, daemon.model(SMOL).pid) == ("stored", 0)
    until(lambda: len(vocab_pids(client)) == 1, "the vocab actor is listed")


def test_the_asyncio_client_asks_the_same(daemon: DaemonProcess) -> None:
    async def ask() -> tuple[str, inferd.TokenEstimate]:
        async with AsyncClient("async", socket=daemon.socket) as client:
            ids = await client.tokenize(SMOL, TEXT)
            return await client.detokenize(SMOL, ids), await client.estimate_tokens("Hello", model=SMOL)

    text, estimate = asyncio.run(ask())
    assert text == TEXT
    assert estimate.exact


def test_an_estimate_is_what_generate_then_reads(daemon: DaemonProcess, client: Client) -> None:
    prompt = [inferd.Message("system", "Be brief."), inferd.Message("user", TEXT)]
    before = client.estimate_tokens(prompt, model=SMOL, max_tokens=2, temperature=0.0)
    usage = client.generate(prompt, model=SMOL, max_tokens=2, temperature=0.0).usage
    assert before.input_tokens == usage.prompt_tokens
    assert before.context_tokens == daemon.model(SMOL).context_tokens
    assert client.estimate_tokens(prompt, model=SMOL) == before
    assert not client.estimate_tokens(prompt, model=SMOL, max_tokens=before.context_tokens).fits
    with pytest.raises(inferd.ContextOverflow):
        client.generate("x" * 6_000_000, model=SMOL)
    client.models.unload(SMOL)


def test_errors_name_the_next_step(client: Client) -> None:
    with pytest.raises(inferd.UnsupportedMode, match="echo"):
        client.tokenize("echo", "x")
    with pytest.raises(inferd.LoadFailed, match=f"inferd pull {STARTER}"):
        client.tokenize(STARTER, "x")
    with pytest.raises(inferd.LoadFailed) as corrupt:
        client.tokenize("test/page:file", "x")
    assert corrupt.value.details["cause"] == "file_corrupt"
    with pytest.raises(inferd.ModelNotFound):
        client.tokenize("test/smoll:file", "x")
    with pytest.raises(inferd.UnsupportedMode, match="at character 1:"):
        client.tokenize(SMOL, "a\x04")
    assert client.tokenize(SMOL, "a\x04", lossy=True) == client.tokenize(SMOL, "a")
    with pytest.raises(inferd.InvalidRequest) as beyond:
        client.detokenize(SMOL, [0, 2**31 - 1])
    assert beyond.value.details["field"] == "body.ids[1]"


def test_a_long_text_stops_neither_pings_nor_another_app(daemon: DaemonProcess, client: Client) -> None:
    client.tokenize(SMOL, "warm")
    answers: list[list[int]] = []
    with daemon.client("other") as other:
        long = threading.Thread(target=lambda: answers.append(client.tokenize(SMOL, LONG)))
        long.start()
        until(lambda: _inflight(other, "test") == 1, "the long text has arrived")
        served = 0
        while long.is_alive():
            began_s = time.monotonic()
            other.ping()
            assert other.tokenize(SMOL, "short")
            assert time.monotonic() - began_s < 2.0
            served += 1
        long.join()
    assert served > 3
    assert client.detokenize(SMOL, answers[0]) == LONG


def test_a_deadline_ends_a_long_text_and_the_next_one_is_served(client: Client) -> None:
    with pytest.raises(inferd.DeadlineExceeded):
        client.tokenize(SMOL, LONG, timeout_s=0.5)
    assert client.tokenize(SMOL, "short")


def test_a_killed_actor_fails_what_it_worked_on_and_the_next_life_answers(
    daemon: DaemonProcess, client: Client
) -> None:
    client.tokenize(SMOL, "warm")
    until(lambda: len(vocab_pids(client)) == 1, "the vocab actor is listed")
    (pid,) = vocab_pids(client)
    failures: list[inferd.InferenceError] = []

    def ask() -> None:
        with daemon.client("victim") as victim:
            try:
                victim.tokenize(SMOL, LONG)
            except inferd.InferenceError as failed:
                failures.append(failed)

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    until(lambda: _inflight(client, "victim") == 2, "both have arrived")
    os.kill(pid, signal.SIGKILL)
    killed_s = time.monotonic()
    for thread in asking:
        thread.join()
    assert time.monotonic() - killed_s < 3.0
    assert [(type(failed), failed.retryable) for failed in failures] == [(inferd.ModelFailed, True)] * 2
    assert client.detokenize(SMOL, client.tokenize(SMOL, TEXT)) == TEXT
    until(lambda: vocab_pids(client) not in ([], [pid]), "the next life is listed")


def _inflight(client: Client, app: str) -> int:
    return sum(row.inflight for row in client.daemon.status().apps if row.app == app)
