"""Downloads by the whole service: watched by several apps, killed with the daemon, gone on with by the next one."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from daemon_process import DaemonProcess, running
from file_server import GIVE_UP_S, FileServer, answering, serving, stalled
from waiting import until

import inferd
from inferd import Pulled, PullFailed, PullProgress

MODEL = "test/tiny:q4"
WEIGHTS = random.Random(3).randbytes(2_000_003)  # noqa: S311 - bytes of which no two places are alike
CONFIG = """
[models."test/tiny:q4"]
engine = "llama_cpp"
url = "{url}"
"""


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving(FileServer()) as running_server:
        running_server.shelf.content = WEIGHTS
        yield running_server


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def daemon(server: FileServer, models: Path) -> Iterator[DaemonProcess]:
    environment = {"INFERD_MODELS_DIR": str(models), "no_proxy": "*"}
    with running(CONFIG.format(url=server.url), environment=environment) as process:
        yield process


def kept_bytes(models: Path) -> int:
    return sum(one.stat().st_size for one in models.glob("partials/*/part"))


def pull(daemon: DaemonProcess, app: str) -> list[inferd.PullEvent]:
    with daemon.client(app) as client:
        return list(client.models.pull(MODEL))


def test_a_pull_is_watched_by_all_survives_the_daemon_and_ends_with_the_file(
    daemon: DaemonProcess, server: FileServer, models: Path
) -> None:
    server.shelf.acts.append(stalled(700_000))
    with ThreadPoolExecutor(2) as pool:
        watchers = [pool.submit(pull, daemon, f"app{number}") for number in range(2)]
        until(lambda: kept_bytes(models) == 700_000, "what was sent is kept")
        killed = daemon.tree()
        os.kill(daemon.pid, signal.SIGKILL)
        assert daemon.process is not None
        daemon.process.wait(GIVE_UP_S)
        psutil.wait_procs(killed, timeout=GIVE_UP_S)
        daemon.start()
        for watcher in watchers:
            assert isinstance(watcher.exception(GIVE_UP_S), inferd.InferenceError)
    assert server.shelf.hung_up.wait(GIVE_UP_S), "the download outlived its daemon"
    assert daemon.model(MODEL).state == "absent"
    events = pull(daemon, "later")

    assert events[-1] == Pulled(MODEL, len(WEIGHTS))
    progress = [one for one in events if isinstance(one, PullProgress)]
    assert {one.phase for one in progress} <= {"verifying", "downloading", "publishing"}
    assert [one.start_bytes for one in server.shelf.asked] == [0, 700_000]
    row = daemon.model(MODEL)
    assert (row.state, row.weights_ready, row.size_bytes) == ("stored", True, len(WEIGHTS))


def test_a_failed_pull_tells_the_app_its_cause(daemon: DaemonProcess, server: FileServer) -> None:
    server.shelf.acts.append(answering(404))

    with daemon.client() as client, pytest.raises(PullFailed) as caught:
        list(client.models.pull(MODEL))

    assert caught.value.retryable is False
    assert (caught.value.details["cause"], caught.value.details["status"]) == ("missing", 404)
    assert daemon.model(MODEL).state == "absent"
