"""A long build: one at a time, its output in a log, how far it is on the screen.

Covers: the lock, the run, what is shown meanwhile. Does not cover what is built (`llama_wheel.py`, `llama_server.py`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import selectors
import subprocess
import sys
import time
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SPARSE_S: Final = 30.0
"""Away from a terminal one line in this time: a log shows that it goes on without being flooded."""
_STEP: Final = re.compile(rb"^\s*\[(\d+)/(\d+)\] ", re.MULTILINE)
_TAIL_LINES: Final = 40


@contextlib.contextmanager
def alone(cache: Path, package: str) -> Iterator[None]:
    """Hold the cache's lock; the lock ends with the process, so a killed build blocks nobody."""
    with (cache / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another build of {package} is running; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def cores() -> int:
    """Return how many cores a build may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def run(command: list[str], environment: Mapping[str, str], log_path: Path) -> None:
    """Run a build to its end, its output in a log and its progress on screen.

    Ends this process with the log's last lines if it fails.
    """
    with log_path.open("wb") as log:
        build = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        with build:
            assert build.stdout is not None  # noqa: S101 - asked for above; tells the type checker
            _watch(build.stdout, log)
    if build.returncode:
        lines = log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
        raise SystemExit("\n".join((*lines, f"compiling failed; the whole log: {log_path}")))


def _watch(output: IO[bytes], log: IO[bytes]) -> None:
    """Copy the build's output into the log and show how far it is, until it ends."""
    screen, step = _Screen(), ""
    with selectors.DefaultSelector() as ready:
        ready.register(output, selectors.EVENT_READ)
        while True:
            if ready.select(timeout=1.0):
                chunk = os.read(output.fileno(), 1 << 16)
                if not chunk:
                    break
                log.write(chunk)
                step = latest_step(chunk) or step
            screen.show(step)
    screen.end()


class _Screen:
    """One line that is rewritten each second on a terminal; elsewhere a new line now and then."""

    def __init__(self) -> None:
        self._rewrites = sys.stderr.isatty()
        self._started_s = self._shown_s = time.monotonic()

    def show(self, step: str) -> None:
        now_s = time.monotonic()
        if now_s - self._shown_s >= (1.0 if self._rewrites else SPARSE_S):
            self._shown_s = now_s
            self._write(f"compiling: {now_s - self._started_s:.0f} s{step}", "" if self._rewrites else "\n")

    def end(self) -> None:
        self._write(f"the compiler ran {time.monotonic() - self._started_s:.0f} s", "\n")

    def _write(self, line: str, end: str) -> None:
        sys.stderr.write(f"\r{line}\x1b[K{end}" if self._rewrites else f"{line}{end}")
        sys.stderr.flush()


def latest_step(chunk: bytes) -> str:
    """Return the last `[n/m]` of the build tool in `chunk` as words for the screen; empty if it has none."""
    found = _STEP.findall(chunk)
    return f", step {int(found[-1][0])} of {int(found[-1][1])}" if found else ""


def say(line: str) -> None:
    """Tell what happens, apart from what the build itself prints."""
    sys.stderr.write(f"== {line}\n")
