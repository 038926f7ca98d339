"""The daemon under the benches, and readings of its processes.

Covers: which models it has, loading them, memory, CPU time and descriptors of a process. Starting and stopping it is the
harness's (`daemon_process`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil
from daemon_process import DaemonProcess, running

from inferd import Client

ECHO: Final = "bench/echo:fast"
"""As fast as it goes."""
SLOW_ECHO: Final = "bench/echo:slow"
STARTER: Final = "huggingfacetb/smollm2-135m-instruct:q4_1"
SLOTS: Final = 4096
"""More than any bench has streams at once: nothing may queue."""
SLOW_TOKENS_PER_S: Final = 2

CONFIG: Final = f"""
log_level = "warning"
drain_s = 0.0

[models."{ECHO}"]
engine = "echo"
engine_options = {{ tokens_per_s = 0, slots = {SLOTS} }}

[models."{SLOW_ECHO}"]
engine = "echo"
engine_options = {{ tokens_per_s = {SLOW_TOKENS_PER_S}, slots = {SLOTS} }}
"""


def models_dir() -> Path:
    """Return where the tests keep real models, so that nothing is downloaded twice."""
    return Path(os.environ.get("INFERD_TEST_MODELS") or Path.home() / ".cache" / "inferd" / "test-models")


@contextmanager
def service() -> Iterator[DaemonProcess]:
    """Run a daemon of its own for the length of a block."""
    models = models_dir()
    models.mkdir(parents=True, exist_ok=True)
    with running(CONFIG, environment={"INFERD_MODELS_DIR": str(models)}) as daemon:
        yield daemon


def load(client: Client, model: str) -> None:
    """Have a model loaded; returns when it has answered."""
    client.generate("ready", model=model, max_tokens=1)


def actor_pid(client: Client, model: str) -> int:
    """Return the process of a loaded model."""
    return next(row.pid for row in client.models.list() if row.id == model)


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process has used, all threads together."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def private_bytes(pid: int) -> int:
    """Return the memory that a process shares with nobody: what it would give back by ending."""
    return int(psutil.Process(pid).memory_full_info().uss)


def pss_bytes(pid: int) -> int:
    """Return a process's memory, pages shared with others counted by their share; RSS where the system has no PSS."""
    memory = psutil.Process(pid).memory_full_info()
    return int(getattr(memory, "pss", memory.rss))


def tree_bytes(pid: int) -> int:
    """Return the memory of a process and of those below it. Raises psutil.Error when one of them has just ended."""
    root = psutil.Process(pid)
    return sum(pss_bytes(one.pid) for one in (root, *root.children(recursive=True)))
