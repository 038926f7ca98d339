"""The process that stands by, in the whole service: taken by a load, replaced, killed, left by a daemon that was killed."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from daemon_process import DaemonProcess, running
from keeper_process import keeping_in
from waiting import until

from inferd import Client
from inferd_actors import engines

pytestmark = [
    pytest.mark.skipif(bool(engines.missing("llama_cpp")), reason="llama-cpp-python or jinja2 is not installed"),
    pytest.mark.timeout(400),
]

ONE, TWO = "tiny/one:a", "tiny/two:a"
COMES_S = 100.0
"""Ten times what it takes on a quiet machine of two cores: 5 s of quiet, then a process and an import."""


def rows(file: Path) -> str:
    settings = "{ context_tokens = 256, shelf_bytes = 0 }"
    row = '[models."{}"]\nengine = "llama_cpp"\nfile = "{}"\nengine_options = {}\n'
    return "".join(row.format(name, file, settings) for name in (ONE, TWO))


def standbys(daemon: DaemonProcess, name: str = "llama_cpp") -> list[int]:
    """Return the processes that stand by, with a model's file open or without; with the name `starting` those that will."""
    with daemon.client("harness") as client:
        told = client.daemon.status().processes
        return [one.pid for one in told if one.kind == "standby" and one.name.split()[0] == name]


def stands_by(daemon: DaemonProcess, *, beside: int = 0) -> int:
    """Return the process that stands by, once it does; another one than `beside`."""
    until(lambda: standbys(daemon) not in ([], [beside]), "a process stands by", COMES_S)
    (pid,) = standbys(daemon)
    return pid


def is_there(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def ask(client: Client, model: str) -> str:
    return client.generate("hello", model=model, max_tokens=2, temperature=0.0).model


@pytest.fixture(scope="module")
def daemon(tiny_models: Mapping[str, Path]) -> Iterator[DaemonProcess]:
    with running(rows(tiny_models["chat"])) as process:
        yield process


@pytest.fixture
def client(daemon: DaemonProcess) -> Iterator[Client]:
    with daemon.client() as made:
        yield made
        for model in (ONE, TWO):
            made.models.unload(model)


def test_a_load_takes_the_process_that_stands_by_and_tells_that_it_had_none_to_start(
    daemon: DaemonProcess, client: Client
) -> None:
    pid = stands_by(daemon)
    assert ask(client, ONE) == ONE
    row = daemon.model(ONE)
    assert row.pid == pid
    until(lambda: standbys(daemon) == [], "it is listed as what it is now", COMES_S)  # readings are up to a second old
    assert "starting process" not in row.load_phases
    assert {"loading", "importing", "reading weights", "first answer"} <= set(row.load_phases)
    assert [one.kind for one in client.daemon.why(ONE)][-2:] == ["load", "ready"]
    other = stands_by(daemon, beside=pid)
    assert ask(client, TWO) == TWO
    assert daemon.model(TWO).pid == other


def test_the_file_of_the_model_that_was_used_last_is_open_and_a_load_of_any_model_answers_as_ever(
    daemon: DaemonProcess, client: Client
) -> None:
    def text(model: str) -> str:
        return client.generate("hello", model=model, max_tokens=8, temperature=0.0).text

    def has_one_open(beside: int) -> int:
        def pids() -> list[int]:
            told = client.daemon.status().processes  # up to a second old
            return [row.pid for row in told if row.name == f"llama_cpp {ONE}" and row.pid != beside]

        until(lambda: pids() != [], "a process stands by with the file open", COMES_S)
        (pid,) = pids()
        return pid

    before = text(ONE)
    earlier = daemon.model(ONE).pid
    client.models.unload(ONE)
    pid = has_one_open(beside=earlier)
    assert text(ONE) == before
    assert daemon.model(ONE).pid == pid
    client.models.unload(ONE)
    pid = has_one_open(beside=pid)
    assert text(TWO) == before, "it is the same file by another name"
    assert daemon.model(TWO).pid == pid


def test_without_one_the_start_of_the_process_is_told(daemon: DaemonProcess, client: Client) -> None:
    pid = stands_by(daemon)
    ask(client, ONE)
    ask(client, TWO)  # at once: nothing stands by again
    row = daemon.model(TWO)
    assert row.pid != pid
    assert list(row.load_phases)[:4] == ["waiting for memory", "starting process", "connecting", "loading"]


def test_killing_it_harms_nobody(daemon: DaemonProcess, client: Client) -> None:
    pid = stands_by(daemon)
    os.kill(pid, signal.SIGKILL)
    assert ask(client, ONE) == ONE
    assert daemon.model(ONE).pid != pid
    client.models.unload(ONE)
    assert stands_by(daemon, beside=pid) != pid


def test_when_memory_is_short_there_is_none(tiny_models: Mapping[str, Path]) -> None:
    config = f"[memory]\nbudget_bytes = 50_000_000\n\n{rows(tiny_models['chat'])}"
    with running(config) as process:
        until(lambda: 'event="no standby"' in process.log, "the daemon looks for memory", COMES_S)
        assert standbys(process) + standbys(process, "starting") == []


def test_a_daemon_that_follows_one_that_was_killed_ends_its_standby_and_has_its_own(
    tiny_models: Mapping[str, Path],
) -> None:
    with ExitStack() as ending:
        root = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="ifd-")))
        (root / "run").mkdir(mode=0o700)
        keeper = ending.enter_context(keeping_in(root / "run", service=True))
        keeper.start()
        daemon = DaemonProcess(root, f'keeper = "external"\n{rows(tiny_models["chat"])}')
        ending.callback(daemon.stop)
        daemon.start()
        earlier = stands_by(daemon)
        os.kill(daemon.pid, signal.SIGKILL)
        assert daemon.process is not None
        daemon.process.wait()
        assert is_there(earlier)
        daemon.start()
        until(lambda: not is_there(earlier), "the earlier daemon's standby ends", COMES_S)
        later = stands_by(daemon)
        assert daemon.stop() == 0
        until(lambda: not is_there(later), "the standby ends with its daemon", COMES_S)
        assert keeper.process is not None
        assert keeper.process.poll() is None, "it serves the next daemon"
