#!/usr/bin/env python3
"""A wheel of llama-cpp-python compiled for this machine's own CPU: built once, found again ever after.

Covers: what it is compiled with, and the cache of built wheels. Does not cover the compiler's run (`compiling.py`) or
installing (`install.py`). The cache is `$XDG_CACHE_HOME/inferd/wheels` (default `~/.cache`): one directory per source archive,
flags and kind of CPU, published whole by a rename, so a directory that is there is complete. A lock file keeps two
builds from running at once.
Run alone, it prints the wheel's path on its last line. Flags in `CMAKE_ARGS` (a GPU, say) are added to ours.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import amx
import compiling
import pins

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGE: Final = "llama-cpp-python"
FLAGS: Final = (
    "-DGGML_NATIVE=ON",  # every instruction of this CPU
    "-DGGML_OPENMP=OFF",  # ggml's own threads: OpenMP's spin, and lose 4 to 6 times their speed to one busy neighbour
    "-DLLAVA_BUILD=OFF",  # pictures: not used by the engine
)
LEAN: Final = "set(LLAMA_BUILD_COMMON OFF)\n"
"""Read by CMake as the project starts: leaves out the library of llama.cpp's own commands, half of the compiling, which
nothing in the wheel loads. No flag can: the source forces the cached value on; a plain variable stands over it."""


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
        with compiling.alone(cache, PACKAGE):
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


def _build(pin: pins.Pin, flags: tuple[str, ...], room: Path) -> None:
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        raise SystemExit("llama-cpp-python needs a C and C++ compiler: apt install g++, or xcode-select --install")
    compiling.say(f"compiling {PACKAGE} {pin.version} for this CPU: about 7 minutes on 2 cores, only this first time")
    for abandoned in room.parent.glob(".building-*"):
        shutil.rmtree(abandoned)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=room.parent) as scratch:
        lean, requirements, made = Path(scratch, "lean.cmake"), Path(scratch, "pin.txt"), Path(scratch, "wheel")
        lean.write_text(LEAN, encoding="utf-8")
        requirements.write_text(pins.text((pin,)), encoding="utf-8")
        arguments = shlex.join((*flags, f"-DCMAKE_PROJECT_llama_cpp_INCLUDE={lean}"))
        compiling.run(_pip_wheel(requirements, made), _environment(arguments), room.with_suffix(".log"))
        made.rename(room)
    compiling.say(f"kept for later in {room}")


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
        "CMAKE_BUILD_PARALLEL_LEVEL": str(compiling.cores()),
        "PYTHONUNBUFFERED": "1",
    }


if __name__ == "__main__":
    sys.stdout.write(f"{find_or_build(Path(__file__).resolve().parent.parent / 'requirements.lock')}\n")
