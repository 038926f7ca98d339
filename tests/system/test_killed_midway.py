"""A daemon that is killed while a model loads or leaves: what the next one finds, cleans up and serves.

By hand, keeper and models go with the daemon; as a service the keeper is a unit of its own and outlives it, models included.
"""

from __future__ import annotations

import os
import random
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from daemon_process import DaemonProcess
from file_server import FileServer, serving
from keeper_process import keeping_in
from waiting import until

import inferd
from inferd import Client

STORED, SLOW, RESIDENT, NEXT = "test/stored:q4", "test/slow:echo", "test/resident:echo", "test/next:echo"
WEIGHTS = random.Random(5).randbytes(300_001)  # noqa: S311 - bytes of which no two places are alike
CONFIG = """
keeper = "{keeper}"
drain_s = 0.0

[memory]
budget_bytes = 420_000_000

[models."test/stored:q4"]
engine = "llama_cpp"
url = "{url}"

[models."test/slow:echo"]
engine = "echo"
engine_options = {{ memory_bytes = 150_000_000, load_s = 10.0 }}

[models."test/resident:echo"]
engine = "echo"
engine_options = {{ memory_bytes = 150_000_000 }}

[models."test/next:echo"]
engine = "echo"
engine_options = {{ memory_bytes = 150_000_000 }}
"""
"""Each echo model is taken to need 251 MB at first: two do not fit."""


@pytest.fixture(params=["child", "external"], ids=["by hand", "as a service"])
def daemon(request: pytest.FixtureRequest) -> Iterator[DaemonProcess]:
    """Yield a daemon that has a file in its store, and that is killed in the case; stop what follows it."""
    with ExitStack() as ending:
        root = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="ifd-")))
        server = ending.enter_context(serving(FileServer()))
        server.shelf.content = WEIGHTS
        (root / "run").mkdir(mode=0o700)
        if request.param == "external":
            ending.enter_context(keeping_in(root / "run", service=True)).start()
        environment = {"INFERD_MODELS_DIR": str(root / "models"), "no_proxy": "*"}
        made = DaemonProcess(root, CONFIG.format(keeper=request.param, url=server.url), environment)
        ending.callback(made.stop)
        made.start()
        with made.client() as client:
            list(client.models.pull(STORED))
        yield made


def kill(daemon: DaemonProcess) -> None:
    """Kill the daemon as the kernel would."""
    assert daemon.process is not None
    os.kill(daemon.pid, signal.SIGKILL)
    daemon.process.wait()


def process_of(daemon: DaemonProcess, model: str) -> psutil.Process:
    """Return a model's process, once there is one."""
    until(lambda: daemon.model(model).pid != 0, f"a process of {model}")
    return psutil.Process(daemon.model(model).pid)


def told(client: Client, model: str) -> list[str]:
    """Return which decisions about a model's memory are remembered."""
    return [one.kind for one in client.daemon.why(model) if one.kind in ("load", "eviction", "refusal", "failure")]


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def serves_as_if_nothing_had_been(daemon: DaemonProcess, left: psutil.Process) -> None:
    """See that this daemon has the store, none of the old memory, and answers."""
    with daemon.client() as client:
        row = next(one for one in client.models.list() if one.id == STORED)
        assert (row.state, row.weights_ready, row.size_bytes) == ("stored", True, len(WEIGHTS))
        assert not list((daemon.root / "models" / "partials").glob("*/part"))
        assert client.generate("one two", model=NEXT, timeout_s=60).text.split() == ["one", "two"]
        assert is_gone(left), "a process of the killed daemon keeps its memory"
        assert client.generate("one two", model=RESIDENT, timeout_s=60).text.split() == ["one", "two"]
        assert told(client, NEXT) == ["load", "eviction"]


def test_a_daemon_that_is_killed_while_a_model_loads(daemon: DaemonProcess) -> None:
    with daemon.client() as client, client.stream("one", model=SLOW) as stream:
        events = iter(stream)
        next(event for event in events if isinstance(event, inferd.Loading) and event.phase == "pretending")
        loading = process_of(daemon, SLOW)
        kill(daemon)
        daemon.start()
        with pytest.raises(inferd.ConnectionLost):
            list(events)
    serves_as_if_nothing_had_been(daemon, loading)


def test_a_daemon_that_is_killed_while_a_model_leaves_for_another(daemon: DaemonProcess) -> None:
    with daemon.client() as client:
        client.generate("one", model=RESIDENT)
        leaving = process_of(daemon, RESIDENT)
        leaving.suspend()  # else it would be gone before anybody could be killed
        with client.stream("one", model=NEXT) as stream:
            events = iter(stream)
            next(event for event in events if isinstance(event, inferd.Loading) and RESIDENT in event.phase)
            assert told(client, RESIDENT) == ["load", "eviction"]
            kill(daemon)
            daemon.start()
            with pytest.raises(inferd.ConnectionLost):
                list(events)
    serves_as_if_nothing_had_been(daemon, leaving)
