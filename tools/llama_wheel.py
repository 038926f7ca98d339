#!/usr/bin/env python3
"""A wheel of llama-cpp-python compiled for this machine's own CPU: built once, found again ever after.

Covers: what it is compiled with, the cache of built wheels, what is shown meanwhile. Does not cover installing it
(`install.py`). The cache is `$XDG_CACHE_HOME/inferd/wheels` (default `~/.cache`): one directory per source archive,
flags and kind of CPU, published whole by a rename, so a directory that is there is complete. A lock file keeps two
builds from running at once.
Run alone, it prints the wheel's path on its last line. Flags in `CMAKE_ARGS` (a GPU, say) are added to ours.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import selectors
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import amx
import pins

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PACKAGE: Final = "llama-cpp-python"
FLAGS: Final = (
    "-DGGML_NATIVE=ON",  # every instruction of this CPU
    "-DGGML_OPENMP=OFF",  # ggml's own threads: OpenMP's spin, and lose 4 to 6 times their speed to one busy neighbour
    "-DLLAVA_BUILD=OFF",  # pictures: not used by the engine
)
LEAN: Final = "set(LLAMA_BUILD_COMMON OFF)\n"
"""Read by CMake as the project starts: leaves out the library of llama.cpp's own commands, half of the compiling, which
nothing in the wheel loads. No flag can: the source forces the cached value on; a plain variable stands over it."""
SPARSE_S: Final = 30.0
"""Away from a terminal one line in this time: a log shows that it goes on without being flooded."""
_STEP: Final = re.compile(rb"^\s*\[(\d+)/(\d+)\] ", re.MULTILINE)
_TAIL_LINES: Final = 40


def find_or_build(lock: Path) -> Path:
    """Return the wheel of the version pinned in `lock`, compiled now if this machine has none: minutes.

    Ends the process with the compiler's last lines if that fails.
    """
    pin = next(pin for pin in pins.read(lock) if pin.name == PACKAGE)
    flags = all_flags()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inferd" / "wheels"
    room = cache / key(pin, flags, host())
    if not room.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with _alone(cache):
            if not room.is_dir():  # another build may have made it while this one waited
                _build(pin, flags, room)
    return next(room.glob("*.whl"))


def all_flags() -> tuple[str, ...]:
    """Return what CMake is told: ours, what this machine needs, and what the user added."""
    return (*FLAGS, *amx.flags(), *shlex.split(os.environ.get("CMAKE_ARGS", "")))


def key(pin: pins.Pin, flags: tuple[str, ...], machine: str) -> str:
    """Return the name of the wheel's directory: the same for the same source, flags and kind of machine."""
    parts = (pin.version, *pin.hashes, *flags, LEAN, machine)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]


def host() -> str:
    """Return what a native build depends on: system, C library, and the CPU with its instruction sets."""
    return "\n".join((platform.system(), platform.machine(), *platform.libc_ver(), _cpu()))


def _cpu() -> str:
    if platform.system() == "Darwin":
        return subprocess.run(["/usr/sbin/sysctl", "machdep.cpu"], check=True, capture_output=True, text=True).stdout
    wanted = ("model name", "flags", "CPU part", "Features")  # x86, then Arm
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return "\n".join(sorted({line for line in lines if line.startswith(wanted)}))


@contextlib.contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """Hold the cache's lock; the lock ends with the process, so a killed build blocks nobody."""
    with (cache / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another build of llama-cpp-python is running; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(pin: pins.Pin, flags: tuple[str, ...], room: Path) -> None:
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        raise SystemExit("llama-cpp-python needs a C and C++ compiler: apt install g++, or xcode-select --install")
    _say(f"compiling {PACKAGE} {pin.version} for this CPU: about 7 minutes on 2 cores, only this first time")
    for abandoned in room.parent.glob(".building-*"):
        shutil.rmtree(abandoned)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=room.parent) as scratch:
        lean, requirements, made = Path(scratch, "lean.cmake"), Path(scratch, "pin.txt"), Path(scratch, "wheel")
        lean.write_text(LEAN, encoding="utf-8")
        requirements.write_text(pins.text((pin,)), encoding="utf-8")
        arguments = shlex.join((*flags, f"-DCMAKE_PROJECT_llama_cpp_INCLUDE={lean}"))
        _compile(_pip_wheel(requirements, made), _environment(arguments), room.with_suffix(".log"))
        made.rename(room)
    _say(f"kept for later in {room}")


def _pip_wheel(requirements: Path, made: Path) -> list[str]:
    pip = [sys.executable, "-m", "pip", "wheel", "--verbose", "--no-input", "--disable-pip-version-check"]
    # pip's own cache of built wheels knows nothing of CMake's flags: it would return a wheel built with others.
    rules = ["--no-cache-dir", "--no-deps", "--no-build-isolation", "--require-hashes"]
    return [*pip, *rules, "--requirement", str(requirements), "--wheel-dir", str(made)]


def _environment(cmake_arguments: str) -> Mapping[str, str]:
    beside = str(Path(sys.executable).parent)  # cmake and ninja of the lock, before the system's
    return os.environ | {
        "PATH": f"{beside}{os.pathsep}{os.environ['PATH']}",
        "CMAKE_ARGS": cmake_arguments,
        "CMAKE_BUILD_PARALLEL_LEVEL": str(_cores()),
        "PYTHONUNBUFFERED": "1",
    }


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _compile(command: list[str], environment: Mapping[str, str], log_path: Path) -> None:
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


def _say(line: str) -> None:
    sys.stderr.write(f"== {line}\n")


if __name__ == "__main__":
    sys.stdout.write(f"{find_or_build(Path(__file__).resolve().parent.parent / 'requirements.lock')}\n")
