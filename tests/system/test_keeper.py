"""The keeper with real Ray: what it starts, what others can see of it, what happens when any process of it is killed."""

from __future__ import annotations

import ipaddress
import os
import signal
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import psutil
import pytest
from keeper_process import BareSwitchboard, KeeperProcess, answering, keeping

from inferd_actors import messages

PLANTED = {
    "PLANTED_API_KEY": "sk-planted",
    "RAY_ADDRESS": "192.0.2.1:6379",
    "PYTHONPATH": "/nonexistent/planted",
    "LD_PRELOAD": "",
    "INFERD_PLANTED": "sk-planted",
}
"""What a user's shell might hold; 192.0.2.1 is an address of documentation."""
KINDS: tuple[messages.Kind, ...] = ("router", "keypool", "tracker", "model")


@dataclass(frozen=True)
class Scene:
    """A keeper that is ready, with the daemon's end of its line."""

    keeper: KeeperProcess
    daemon: BareSwitchboard
    ready: messages.KeeperReady


@pytest.fixture
def scene() -> Iterator[Scene]:
    with keeping() as keeper, answering(keeper.place, keeper.check) as daemon:
        keeper.start()
        yield Scene(keeper, daemon, daemon.wait_for(messages.KeeperReady))


@dataclass(frozen=True)
class Household:
    """A keeper with one actor of each kind, for looking at only."""

    keeper: KeeperProcess
    daemon: BareSwitchboard
    pids: dict[messages.Kind, int]
    home: Path


@pytest.fixture(scope="module")
def household(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    home = tmp_path_factory.mktemp("home")
    environment = {**PLANTED, "HOME": str(home)}
    with keeping(environment=environment) as keeper, answering(keeper.place, keeper.check) as daemon:
        keeper.start()
        daemon.wait_for(messages.KeeperReady)
        yield Household(keeper, daemon, {kind: daemon.spawn(life, kind) for life, kind in enumerate(KINDS, 1)}, home)


def test_every_listener_is_loopback(household: Household) -> None:
    listeners = [
        ipaddress.ip_address(connection.laddr.ip)
        for process in household.keeper.tree()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN or connection.type.name == "SOCK_DGRAM"
    ]
    plain = [getattr(one, "ipv4_mapped", None) or one for one in listeners]
    assert len(plain) >= 4 + len(KINDS)  # gcs_server, raylet twice, the keeper, each actor: so the audit sees them
    assert [one for one in plain if not one.is_loopback] == []


def test_nothing_of_the_shell_reaches_a_process_below_the_keeper(household: Household) -> None:
    for process in household.keeper.tree()[1:]:
        found = set(process.environ().items()) & set(PLANTED.items())
        assert not found, f"{process.name()} has {found}"


def test_libraries_in_actors_use_as_many_threads_as_without_ray(household: Household) -> None:
    assert {psutil.Process(pid).environ()["OMP_NUM_THREADS"] for pid in household.pids.values()} == {
        str(os.cpu_count())
    }


def test_actors_are_as_nice_and_as_killable_as_their_keeper(household: Household) -> None:
    keeper = household.keeper.pid
    for pid in household.pids.values():
        assert psutil.Process(pid).nice() == psutil.Process(keeper).nice()
        if (killable := Path(f"/proc/{pid}/oom_score_adj")).exists():
            assert killable.read_text() == Path(f"/proc/{keeper}/oom_score_adj").read_text()


def test_only_ray_s_two_servers_and_two_stand_ins_run_beside_the_actors(household: Household) -> None:
    names = Counter(process.name() for process in household.keeper.tree()[1:])
    actors = Counter(psutil.Process(pid).name() for pid in household.pids.values())
    assert names - actors == Counter({"gcs_server": 1, "raylet": 1, "cat": 2})


def test_files_in_the_runtime_directory_are_for_their_owner_alone(household: Household) -> None:
    place = household.keeper.place
    for file in (place.token, place.secret, place.lock):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert not (household.home / ".ray").exists()


def test_keeper_and_actors_answer_for_their_counters(household: Household) -> None:
    daemon = household.daemon
    daemon.order(messages.AskStats())
    assert daemon.wait_for(messages.Stats).counters["lives"] == len(KINDS)
    for life, kind in enumerate(KINDS, 1):
        if kind != "model":  # it has nothing to tell before it is loaded
            daemon.send(daemon.actors[life], messages.AskStats())
            assert daemon.wait_for(messages.Stats).counters["up_s"] > 0


def test_asking_actors_costs_no_call_of_ray(household: Household) -> None:
    daemon = household.daemon
    daemon.order(messages.AskStats())
    before = daemon.wait_for(messages.Stats).counters["ray_calls"]
    for _ in range(100):
        daemon.send(daemon.actors[1], messages.AskStats())
        daemon.wait_for(messages.Stats)
    daemon.order(messages.AskStats())
    assert daemon.wait_for(messages.Stats).counters["ray_calls"] == before


def test_a_killed_actor_is_told_once_its_process_is_gone_and_another_can_be_started(scene: Scene) -> None:
    pid = scene.daemon.spawn(1)
    os.kill(pid, signal.SIGKILL)
    scene.daemon.died(1)
    assert not is_running(pid)
    scene.daemon.spawn(2)


def test_a_kill_is_answered_when_the_process_is_gone(scene: Scene) -> None:
    pid = scene.daemon.spawn(1)
    os.kill(pid, signal.SIGSTOP)  # it cannot answer anybody; Ray's kill has to do without
    scene.daemon.order(messages.Kill(1))
    scene.daemon.died(1)
    assert not is_running(pid)


def test_an_actor_that_is_told_to_leave_is_gone_without_a_kill(scene: Scene) -> None:
    pid = scene.daemon.spawn(1)
    scene.daemon.send(scene.daemon.actors[1], messages.Leave(1.0))
    scene.daemon.wait_for(messages.Left)
    scene.daemon.died(1)
    assert not is_running(pid)


def test_a_life_that_cannot_be_lived_is_told(scene: Scene) -> None:
    scene.daemon.order(messages.Spawn(1, "keeper", "no actor", "secret-of-0001"))
    scene.daemon.died(1)


@pytest.mark.parametrize("server", [0, 1], ids=["gcs_server", "raylet"])
def test_ray_is_started_anew_when_a_server_of_it_is_killed(scene: Scene, server: int) -> None:
    daemon = scene.daemon
    pid = daemon.spawn(1)
    os.kill(scene.ready.ray_pids[server], signal.SIGKILL)
    daemon.wait_for(messages.KeeperTrouble)
    daemon.send(daemon.actors[1], messages.AskStats())
    daemon.wait_for(messages.Stats)  # it lives on, and its line with it
    daemon.order(messages.Spawn(2, "router", "too early", "secret-of-0002"))
    daemon.died(2)
    daemon.send(daemon.actors[1], messages.Leave(1.0))
    daemon.died(1)
    ready = daemon.wait_for(messages.KeeperReady)
    assert ready.lives == ()
    assert not set(ready.ray_pids) & set(scene.ready.ray_pids)
    daemon.spawn(3)
    below = {process.pid for process in scene.keeper.tree()[1:]}
    assert {process.pid for process in scene.keeper.tagged()} == below
    assert not is_running(pid)
    os.kill(scene.keeper.pid, signal.SIGTERM)
    assert scene.keeper.ended() == 0  # the new Ray took no signal from the keeper


def test_a_new_keeper_leaves_nothing_of_a_killed_one(scene: Scene) -> None:
    keeper, daemon = scene.keeper, scene.daemon
    daemon.spawn(1)
    old = {process.pid for process in keeper.tree()}
    sessions = set(keeper.place.ray_dir.glob("session_2*"))
    os.kill(keeper.pid, signal.SIGKILL)
    keeper.ended()
    keeper.let_go()
    keeper.start()
    daemon.wait_for(messages.KeeperReady)
    assert not [pid for pid in old if is_running(pid)]
    assert not [session for session in sessions if session.exists()]
    daemon.spawn(2)


def test_a_new_daemon_finds_keeper_and_actors_and_can_tell_who_they_are() -> None:
    with keeping(service=True) as keeper:
        keeper.start()
        with answering(keeper.place, keeper.check) as first:
            first.wait_for(messages.KeeperReady)
            pid = first.spawn(7, "tracker")
        with answering(keeper.place, keeper.check) as second:
            (held,) = second.wait_for(messages.KeeperReady).lives
            hello = second.wait_for(messages.ActorHello, lambda one: one.life == 7)
            digest = sha256(hello.secret.encode()).hexdigest()
            assert held == messages.HeldLife(7, "tracker", "test/tracker:x", pid, digest)
            second.order(messages.Shutdown())
            assert keeper.ended() == 0
            assert not is_running(pid)


def test_a_keeper_that_no_daemon_comes_back_to_ends() -> None:
    with keeping(service=True) as keeper:
        keeper.start("--orphan-limit-s", "0.1")
        assert keeper.ended() == 0
        assert not keeper.place.ray_dir.exists()
        assert not keeper.place.token.exists()


@pytest.mark.parametrize("way", ["signal", "pipe"])
def test_the_keeper_takes_everything_along_when_it_ends(scene: Scene, way: str) -> None:
    scene.daemon.spawn(1)
    tree = scene.keeper.tree()
    scene.keeper.let_go() if way == "pipe" else os.kill(scene.keeper.pid, signal.SIGTERM)
    assert scene.keeper.ended() == 0
    assert not [process for process in tree if process.is_running()]
    assert not scene.keeper.place.ray_dir.exists()
    assert not scene.keeper.place.token.exists()


def is_running(pid: int) -> bool:
    """Return whether there is such a process; one that only waits to be reaped does not count."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
