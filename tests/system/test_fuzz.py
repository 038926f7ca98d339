"""Random messages, thrown at a real daemon from two processes for half a minute, next to an app that goes on as ever.

`INFERD_FUZZ_S` sets the seconds, `INFERD_FUZZ_SEED` repeats a run as far as two racing processes can be repeated. What is
thrown: `fuzzer`. Does not cover single mistakes and their wording (`test_bad_input`), nor actors that were let in
(`tests/daemon/test_hostile_actor.py`).
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from daemon_process import DaemonProcess, running
from waiting import until

from inferd import Client

ECHO = "inferd/echo:default"
CONFIG = f'default_model = "{ECHO}"'
"""A request whose model got lost is answered, too, and fetches nothing."""
FUZZER = Path(__file__).parents[1] / "fakes" / "fuzzer.py"
SECONDS = float(os.environ.get("INFERD_FUZZ_S", "30"))
SEED = int(os.environ.get("INFERD_FUZZ_SEED", secrets.randbits(32)))
GROWTH_BYTES = 96 * 2**20
"""Frames of 33 MiB come and go, and allocators keep some of it; a leak of every message would be far more."""
FEW = 8
"""Descriptors that come for reasons of their own: attendants that connect late, the harness's own questions."""
PATIENCE_S = 60.0
"""Every question is answered; how soon is for benches, since fuzzers and daemon share two cores with whoever else."""
MESSAGES_PER_S = 50
"""What each process throws at the very least, also on a loaded machine: below it the test has tested nothing."""


@pytest.mark.timeout(120 + 2 * SECONDS)
def test_random_messages_end_nothing_leak_nothing_and_disturb_nobody() -> None:
    with running(CONFIG) as daemon, daemon.client("healthy") as client:
        assert client.generate("ready", model=ECHO).text == "ready"
        watched = [psutil.Process(daemon.pid), psutil.Process(daemon.model(ECHO).pid)]
        life = daemon.model(ECHO).life
        before = [(process.num_fds(), process.memory_info().rss) for process in watched]
        print(f"INFERD_FUZZ_SEED={SEED}")  # pytest shows it when something fails
        with _fuzzers(daemon) as fuzzers:
            asked = _ask_on(client, fuzzers)
        assert asked > 0
        assert daemon.model(ECHO).life == life
        assert client.daemon.status(timeout_s=PATIENCE_S).pid == daemon.pid
        for process, (fds, rss_bytes) in zip(watched, before, strict=True):
            until(lambda: process.num_fds() <= fds + FEW, f"{process.name()} is back at {fds} descriptors")  # noqa: B023
            assert process.memory_info().rss - rss_bytes < GROWTH_BYTES
        until(lambda: {app.app for app in client.daemon.status().apps} == {"healthy"}, "no session is left")
        until(lambda: (row := daemon.model(ECHO)).busy == row.queued == 0, "no request is left")
        assert "Traceback" not in daemon.log


def _ask_on(client: Client, fuzzers: list[subprocess.Popen[str]]) -> int:
    """Ask as long as anybody throws; every answer is right. Return how many there were."""
    asked = 0
    while any(fuzzer.poll() is None for fuzzer in fuzzers):
        words = f"word{asked} and {secrets.token_hex(4)} and no other"
        assert client.generate(words, model=ECHO).text == words
        assert client.ping(ECHO, timeout_s=PATIENCE_S) >= 0
        assert any(row.id == ECHO for row in client.models.list(timeout_s=PATIENCE_S))
        asked += 1
    return asked


@contextmanager
def _fuzzers(daemon: DaemonProcess) -> Iterator[list[subprocess.Popen[str]]]:
    folder = str(daemon.socket.parent)
    fuzzers = [
        subprocess.Popen(
            [sys.executable, str(FUZZER), folder, str(SEED + which), str(SECONDS)], stdout=subprocess.PIPE, text=True
        )
        for which in range(2)
    ]
    try:
        yield fuzzers
        for fuzzer in fuzzers:
            sent, _ = fuzzer.communicate()
            assert fuzzer.returncode == 0
            assert int(sent) > MESSAGES_PER_S * SECONDS
    finally:
        for fuzzer in fuzzers:
            if fuzzer.poll() is None:
                fuzzer.kill()
                fuzzer.communicate()
