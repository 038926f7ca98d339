"""The daemon's hold on its keeper: one is there as long as the daemon, and none that is not its own is touched."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import psutil
import pytest
from keeper_process import BareSwitchboard, answering

from inferd_actors import messages
from inferd_daemon.cluster import FIRST_PAUSE_S, LONGEST_PAUSE_S, STEADY_S, Cluster, next_pause_s
from inferd_daemon.keeper_files import Place, held


@pytest.fixture
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="ifc-") as runtime:
        yield Place(Path(runtime))


@asynccontextmanager
async def running(cluster: Cluster) -> AsyncIterator[None]:
    """Run a cluster as the daemon does, and let it end."""
    task = asyncio.create_task(cluster.run())
    try:
        yield
    finally:
        await cluster.leave()
        await task


async def hear_ready(cluster: Cluster, daemon: BareSwitchboard) -> messages.ActorHello:
    hello = await asyncio.to_thread(daemon.wait_for, messages.ActorHello)
    cluster.heard(await asyncio.to_thread(daemon.wait_for, messages.KeeperReady))
    return hello


def test_a_keeper_comes_says_the_secret_comes_again_and_leaves_with_the_daemon(place: Place) -> None:
    async def scenario() -> None:
        cluster = Cluster(place.runtime_dir, place.runtime_dir, "child")
        async with running(cluster):
            hello = await hear_ready(cluster, daemon)
            assert (hello.kind, hello.life, hello.secret) == ("keeper", 0, cluster.keeper_secret)
            states = [cluster.state]
            known = {name: pid for pid, _, name in cluster.processes()}
            assert known["keeper"] == hello.pid
            assert {name: psutil.Process(known[name]).name() for name in ("gcs_server", "raylet")} == {
                "gcs_server": "gcs_server",
                "raylet": "raylet",
            }
            os.kill(hello.pid, signal.SIGKILL)
            again = await hear_ready(cluster, daemon)
            assert again.pid != hello.pid
        assert not psutil.pid_exists(again.pid)
        assert [*states, cluster.state] == ["ready", "down"]

    with answering(place) as daemon:
        asyncio.run(scenario())


@pytest.mark.parametrize("mode", ["external", "child"])
def test_a_keeper_of_its_own_unit_is_neither_doubled_nor_ended(
    place: Place, mode: Literal["external", "child"]
) -> None:
    async def scenario() -> None:
        cluster = Cluster(place.runtime_dir, place.runtime_dir, mode)
        async with running(cluster):
            assert cluster.state == "starting"
            assert list(cluster.processes()) == [(os.getpid(), "keeper", "keeper")]

    with held(place, "service", 1.0):
        asyncio.run(scenario())


def test_without_a_keeper_the_cluster_is_down(place: Place) -> None:
    assert Cluster(place.runtime_dir, place.runtime_dir, "child").state == "down"


def test_each_life_has_a_secret_of_its_own_and_each_daemon_others(place: Place) -> None:
    first, second = (Cluster(place.runtime_dir, place.runtime_dir, "child") for _ in range(2))
    assert first.keeper_secret == second.keeper_secret
    secrets = {cluster.new_secret(life) for cluster in (first, second) for life in range(100)}
    assert len(secrets) == 200
    assert first.new_secret(1) == first.new_secret(1)


def test_pauses_between_keepers_grow_to_a_bound_and_are_forgiven() -> None:
    pauses = [0.0]
    while len(pauses) < 10:
        pauses.append(next_pause_s(pauses[-1], lived_s=1.0))
    assert pauses[1:4] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
    assert pauses[-1] == LONGEST_PAUSE_S
    assert next_pause_s(LONGEST_PAUSE_S, lived_s=STEADY_S) == FIRST_PAUSE_S
