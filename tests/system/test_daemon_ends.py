"""How the service ends: drained, killed, or with nobody to talk to; and that it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from daemon_process import DaemonProcess
from waiting import until

import inferd
from inferd import TextDelta

CONFIG = """
[models."test/slow:echo"]
engine = "echo"
engine_options = { tokens_per_s = 20 }
"""
SLOW = "test/slow:echo"


@pytest.fixture
def daemon() -> Iterator[DaemonProcess]:
    with tempfile.TemporaryDirectory(prefix="ifd-") as root:
        process = DaemonProcess(Path(root), CONFIG)
        process.start()
        yield process
        if process.process is not None and process.process.poll() is None:
            process.stop()


def test_sigterm_lets_running_streams_finish_and_leaves_nothing(daemon: DaemonProcess) -> None:
    with daemon.client() as client, client.stream("w " * 40, model=SLOW) as stream:
        events = iter(stream)
        next(event for event in events if isinstance(event, TextDelta))
        codes: list[int] = []
        stopper = threading.Thread(target=lambda: codes.append(daemon.stop()))
        stopper.start()
        rest = [event for event in events if isinstance(event, TextDelta)]
        stopper.join()
    assert len(rest) == 39
    assert codes == [0]
    assert not daemon.socket.exists()


def test_a_draining_daemon_takes_nothing_new_and_says_when_to_come_back(daemon: DaemonProcess) -> None:
    with daemon.client() as client, client.stream("w " * 40, model=SLOW) as stream:
        events = iter(stream)
        next(event for event in events if isinstance(event, TextDelta))
        client.daemon.stop(grace_s=30)
        with pytest.raises(inferd.QueueFull) as full:
            client.generate("one more", model=SLOW)
        assert full.value.retry_after_s is not None
    assert daemon.process is not None
    assert daemon.process.wait(30) == 0


def test_a_stop_without_grace_ends_streams_as_cancelled(daemon: DaemonProcess) -> None:
    with daemon.client() as client, client.stream("w " * 1000, model=SLOW) as stream:
        events = iter(stream)
        next(event for event in events if isinstance(event, TextDelta))
        client.daemon.stop(grace_s=0)
        with pytest.raises(inferd.Cancelled) as cancelled:
            list(events)
    assert cancelled.value.details["reason"] == "shutdown"


def test_a_killed_daemon_takes_keeper_and_actors_along_and_the_next_one_starts(daemon: DaemonProcess) -> None:
    with daemon.client(connect_timeout_s=1.0) as client:
        client.generate("hello", model=SLOW)
        tree = daemon.tree()
        with client.stream("w " * 1000, model=SLOW, timeout_s=5) as stream:
            events = iter(stream)
            next(event for event in events if isinstance(event, TextDelta))
            os.kill(daemon.pid, signal.SIGKILL)
            with pytest.raises(inferd.ConnectionLost) as lost:
                list(events)
        assert lost.value.details["started"] is True
    assert daemon.process is not None
    daemon.process.wait()
    _, alive = psutil.wait_procs(tree, timeout=20)
    assert not alive
    daemon.start()
    with daemon.client() as client:
        assert client.generate("again", model=SLOW).text.split() == ["again"]


def test_a_killed_keeper_is_replaced_and_models_serve_again(daemon: DaemonProcess) -> None:
    with daemon.client() as client:
        client.generate("hello", model=SLOW)
        keeper = next(one for one in client.daemon.status().processes if one.kind == "keeper")
        os.kill(keeper.pid, signal.SIGKILL)
        until(lambda: client.daemon.status().keeper == "ready" and not psutil.pid_exists(keeper.pid), "a new keeper")
        assert client.generate("again", model=SLOW, timeout_s=60).text.split() == ["again"]
