"""Memory on the real machine: more models than fit, a budget that is kept, and requests that all succeed."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from daemon_process import DaemonProcess, running
from waiting import until

import inferd
from inferd import Client
from inferd.messages.control import PRIORITIES
from inferd_daemon.ledger.estimate import PROCESS_BYTES

MODELS = tuple(f"test/{name}:echo" for name in ("one", "two", "three", "four"))
HUGE = "test/huge:echo"
BALLAST = 150_000_000
BUDGET = 560_000_000
"""Each model is taken to need 251 MB before it was ever loaded, and takes some 200: two fit, three do not."""
APPS = 6
ROUNDS = 8

CONFIG = f"""
[memory]
budget_bytes = {BUDGET}

[models."{HUGE}"]
engine = "echo"
engine_options = {{ memory_bytes = 2_000_000_000 }}
""" + "".join(
    f"""
[models."{model}"]
engine = "echo"
engine_options = {{ memory_bytes = {BALLAST}, load_s = 0.2, slots = 4, tokens_per_s = 100 }}
"""
    for model in MODELS
)


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    with running(CONFIG) as process:
        yield process


@pytest.fixture
def client(daemon: DaemonProcess) -> Iterator[Client]:
    with daemon.client() as made:
        yield made


def test_apps_that_want_more_models_than_fit_are_all_served_within_the_budget(daemon: DaemonProcess) -> None:
    most_bytes, done = [0], threading.Event()

    def app(number: int) -> int:
        dice = random.Random(number)  # noqa: S311 - a repeatable story, not a secret
        with daemon.client(f"app{number}") as own:
            for _ in range(ROUNDS):
                model = dice.choices(MODELS, (8, 4, 2, 1))[0]
                priority = dice.choice(PRIORITIES)
                reply = own.generate("one two three", model=model, priority=priority)
                assert (reply.text.split(), reply.model) == (["one", "two", "three"], model)
        return ROUNDS

    def watch() -> None:
        with daemon.client("watch") as own:
            while not done.wait(0.5):
                rows = own.models.list()
                most_bytes[0] = max(most_bytes[0], sum(row.memory_bytes for row in rows if row.id in MODELS))

    with ThreadPoolExecutor(APPS + 1) as threads:
        watching = threads.submit(watch)
        try:
            assert sum(threads.map(app, range(APPS))) == APPS * ROUNDS
        finally:
            done.set()
        watching.result()
    assert BALLAST < most_bytes[0] <= BUDGET


def test_every_load_and_eviction_has_a_record_within_the_budget(client: Client) -> None:
    for model in MODELS:
        client.generate("one", model=model)
    decisions = [one for model in MODELS for one in client.daemon.why(model)]
    assert {"load", "eviction"} <= {one.kind for one in decisions}
    assert [one for one in decisions if not one.after_bytes <= one.limit_bytes == BUDGET] == []


def test_a_model_that_is_larger_than_the_budget_is_refused_and_takes_nobody_along(client: Client) -> None:
    client.generate("one", model=MODELS[0])
    loaded = {row.id: row.life for row in client.models.list() if row.state == "ready"}
    with pytest.raises(inferd.ResourceBlocked) as refused:
        client.generate("one", model=HUGE)
    assert refused.value.details["limit_bytes"] == BUDGET
    assert not refused.value.retryable
    assert loaded.items() <= {row.id: row.life for row in client.models.list()}.items()


def test_why_is_told_on_the_command_line(daemon: DaemonProcess, client: Client) -> None:
    client.generate("one", model=MODELS[0])
    command = [sys.executable, "-m", "inferd_cli", "why", MODELS[0], "--socket", str(daemon.socket)]
    told = subprocess.run([*command, "--json"], check=True, capture_output=True, text=True)
    assert json.loads(told.stdout)["decisions"][-1]["limit_bytes"] == BUDGET
    shown = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "DECISION" in shown.stdout
    assert "560 MB" in shown.stdout


def test_what_a_life_took_is_what_the_next_one_is_taken_to_need(daemon: DaemonProcess, client: Client) -> None:
    """Measured while it lives: the second load needs less than the first was taken to."""
    model = MODELS[3]
    client.generate("one", model=model)
    until(lambda: learned_bytes(daemon, model) > BALLAST, "its memory was measured")
    client.models.unload(model)
    client.generate("one", model=model)
    load = [one for one in client.daemon.why(model) if one.kind == "load"][-1]
    assert BALLAST < load.need_bytes < BALLAST + PROCESS_BYTES


def learned_bytes(daemon: DaemonProcess, model: str) -> int:
    with closing(sqlite3.connect(daemon.root / "state" / "memory.sqlite3")) as database:
        row = database.execute("SELECT peak_bytes FROM peaks WHERE model = ?", (model,)).fetchone()
    return row[0] if row else 0
