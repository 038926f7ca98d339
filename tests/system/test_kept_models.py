"""Models that are kept in memory, by the real daemon: holds, warm-ups, pins over a restart, wishes, and its health."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from daemon_process import DaemonProcess, running
from waiting import until

import inferd
from inferd import Client

THREE = tuple(f"test/{name}:echo" for name in ("hear", "think", "speak"))
OTHER = "test/other:echo"
HUGE = "test/huge:echo"
BALLAST = 60_000_000
BUDGET = 720_000_000
"""Each is taken to need 161 MB before it was ever loaded: four fit."""

CONFIG = f"""
[memory]
budget_bytes = {BUDGET}
pinned = ["nobody"]

[models."{HUGE}"]
engine = "echo"
engine_options = {{ memory_bytes = 400_000_000 }}
""" + "".join(
    f"""
[models."{model}"]
engine = "echo"
engine_options = {{ memory_bytes = {BALLAST}, load_s = 0.3, slots = 4 }}
"""
    for model in (*THREE, OTHER)
)


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    with running(CONFIG) as process:
        yield process


@pytest.fixture
def client(daemon: DaemonProcess) -> Iterator[Client]:
    with daemon.client() as made:
        yield made
        for row in made.models.list():
            if row.state == "ready":
                made.models.unload(row.id)


def lives(client: Client) -> dict[str, int]:
    return {row.id: row.life for row in client.models.list() if row.state == "ready"}


def test_three_models_are_held_together_while_others_want_their_memory(daemon: DaemonProcess, client: Client) -> None:
    progress: list[inferd.Loading] = []
    with daemon.client("voice") as voice, voice.models.hold(THREE, seconds=60, on_progress=progress.append) as hold:
        held = lives(client)
        assert set(held) == set(hold.models) == set(THREE)
        assert {event.model for event in progress} == set(THREE)
        assert all(row.held_s > 50 for row in client.models.list() if row.id in THREE)
        with pytest.raises(inferd.DeadlineExceeded):
            client.generate("one", model=HUGE, timeout_s=8)
        client.generate("one", model=OTHER)
        assert held.items() <= lives(client).items(), "a held model left"
        with pytest.raises(inferd.ResourceBlocked, match="held by voice"):
            client.models.unload(THREE[0])
        hold.renew(30)
    client.generate("one", model=HUGE)
    assert not set(lives(client)) >= set(THREE), "somebody had to leave once the hold had ended"


def test_a_hold_that_does_not_fit_holds_nothing_and_an_app_that_dies_takes_its_hold_along(
    daemon: DaemonProcess, client: Client
) -> None:
    with pytest.raises(inferd.ResourceBlocked, match="together") as refused:
        client.models.hold([*THREE, HUGE], seconds=10)
    assert refused.value.details["need_bytes"] > refused.value.details["limit_bytes"] == BUDGET  # type: ignore[operator]
    assert lives(client) == {}
    program = f"""
import inferd
client = inferd.Client("dies", socket={str(daemon.socket)!r})
client.models.hold([{OTHER!r}], 600)
print("held", flush=True)
input()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as app:
        assert app.stdout is not None
        app.stdout.readline()
        assert daemon.model(OTHER).held_s > 500
        app.kill()
    until(lambda: daemon.model(OTHER).held_s == 0, "its hold had ended")


def test_a_held_model_that_is_killed_is_loaded_again(daemon: DaemonProcess, client: Client) -> None:
    with client.models.hold([OTHER], seconds=60):
        before = daemon.model(OTHER)
        os.kill(before.pid, signal.SIGKILL)
        until(lambda: (now := daemon.model(OTHER)).state == "ready" and now.life != before.life, "it lives again")


def test_a_warm_up_has_one_result_per_name_in_both_clients(daemon: DaemonProcess, client: Client) -> None:
    names = [THREE[0], "nobody", "qwen3-32b"]
    results = client.models.warm_up(names)
    assert [(one.name, one.ready) for one in results] == [(THREE[0], True), ("nobody", False), ("qwen3-32b", False)]
    assert results[2].code == "load_failed"
    assert "inferd pull" in results[2].message

    async def again() -> tuple[inferd.Warmed, ...]:
        async with (
            inferd.AsyncClient("again", socket=daemon.socket) as awaited,
            awaited.models.hold([OTHER], 60) as hold,
        ):
            assert hold.models == (OTHER,)
            return await awaited.models.warm_up([THREE[0], OTHER])

    assert [one.load_s for one in asyncio.run(again())] == [0.0, 0.0]


def test_a_model_leaves_when_the_request_wishes_it(daemon: DaemonProcess, client: Client) -> None:
    client.generate("one", model=OTHER, keep_alive_s=0)
    until(lambda: daemon.model(OTHER).state == "stored", "it was unloaded")


def test_health_tells_what_is_wrong_with_the_settings_and_the_command_ends_well(
    daemon: DaemonProcess, client: Client
) -> None:
    found = client.health()
    assert found.healthy
    assert "memory.pinned" in {one.about for one in found.problems}
    assert {"daemon", "keeper", "router", "tracker"} <= {row.kind for row in found.processes}
    command = [sys.executable, "-m", "inferd_cli", "health", "--json", "--socket", str(daemon.socket)]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert told["health"]["models_known"] == found.models_known


def test_a_pin_survives_a_restart(daemon: DaemonProcess) -> None:
    with daemon.client() as client:
        assert client.models.pin("other").pinned
    daemon.stop()
    daemon.start()
    assert daemon.model(OTHER).pinned
    with daemon.client() as client:
        client.models.unpin(OTHER)
    assert not daemon.model(OTHER).pinned
