"""A real daemon as a subprocess, for system tests and benches: started, asked, killed, and looked after for leftovers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from inferd import Client
from inferd.messages.reports import Model

START_S = 60.0
"""Ray takes 3 to 9 s to start; a loaded two-core machine gets several times that."""
STOP_S = 45.0


@dataclass
class DaemonProcess:
    """One daemon with a runtime directory of its own."""

    root: Path
    config: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    descriptors: int | None = None
    """Hard limit of open files for the daemon; None: the test's own."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        """The apps' socket."""
        return self.root / "run" / "inferd.sock"

    @property
    def log(self) -> str:
        """What the daemon wrote to stderr."""
        return (self.root / "daemon.log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        assert self.process is not None
        return self.process.pid

    def start(self, *, wait: bool = True) -> None:
        """Start it; with `wait`, return when it answers and its keeper is ready."""
        (self.root / "run").mkdir(mode=0o700, exist_ok=True)
        (self.root / "config.toml").write_text(self.config)
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("INFERD_")},
            "INFERD_SOCKET": str(self.socket),
            "INFERD_STATE_DIR": str(self.root / "state"),
            **self.environment,
        }
        with (self.root / "daemon.log").open("ab") as log:
            limited = ["sh", "-c", f'ulimit -n {self.descriptors}; exec "$@"', "sh"] if self.descriptors else []
            self.process = subprocess.Popen(
                [*limited, sys.executable, "-m", "inferd_daemon", "--config", str(self.root / "config.toml")],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Return when the daemon answers and can load models."""
        deadline_s = time.monotonic() + START_S
        with self.client("harness", connect_timeout_s=START_S) as client:
            while client.daemon.status().keeper != "ready":
                if time.monotonic() > deadline_s or self.process is None or self.process.poll() is not None:
                    raise AssertionError(f"the daemon did not become ready:\n{self.log}")
                time.sleep(0.05)

    def client(self, app: str = "test", *, connect_timeout_s: float = 10.0) -> Client:
        """Return a client of this daemon."""
        return Client(app, socket=str(self.socket), connect_timeout_s=connect_timeout_s)

    def model(self, name: str) -> Model:
        """Return a model's row."""
        with self.client("harness") as client:
            return next(row for row in client.models.list() if row.id == name)

    def tree(self) -> list[psutil.Process]:
        """Return the daemon and every living process below it."""
        assert self.process is not None
        try:
            root = psutil.Process(self.process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def stop(self) -> int:
        """End it by SIGTERM and return its exit code; nothing of it may stay behind."""
        assert self.process is not None
        tree = self.tree()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"the daemon did not stop:\n{self.log}") from None
        finally:
            _, alive = psutil.wait_procs(tree, timeout=10)
            for left in alive:
                left.kill()
        assert not alive, f"left behind: {[left.pid for left in alive]}\n{self.log}"
        return code


@contextmanager
def running(config: str = "", *, environment: Mapping[str, str] | None = None) -> Iterator[DaemonProcess]:
    """Run a daemon for the length of a block, in a short directory of its own."""
    with tempfile.TemporaryDirectory(prefix="ifd-") as root:
        daemon = DaemonProcess(Path(root), config, environment or {})
        try:
            daemon.start()
            yield daemon
        finally:
            daemon.stop()
