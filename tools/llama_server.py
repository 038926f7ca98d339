#!/usr/bin/env python3
"""llama.cpp's own server, compiled for this machine's CPU: what inferd is measured against. Never installed, never in CI.

Covers: building it from the very source archive that inferd's own llama.cpp comes from, and the cache of what was built:
`$XDG_CACHE_HOME/inferd/llama-server` (default `~/.cache`), one directory per archive, flags and kind of CPU, published by a
rename. Does not cover running it.
Run alone, it prints the program's path on its last line. Flags in `CMAKE_ARGS` are added to ours, as for the wheel.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Final

import amx
import compiling
import llama_wheel
import pins

PROGRAM: Final = "llama-server"
FLAGS: Final = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DGGML_NATIVE=ON",  # as in the wheel
    "-DBUILD_SHARED_LIBS=OFF",  # one file to keep
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_BUILD_UI=OFF",  # its web pages: npm would build them,
    "-DLLAMA_USE_PREBUILT_UI=OFF",  # or the network bring them
    "-DLLAMA_CURL=OFF",
    "-DLLAMA_OPENSSL=OFF",
)
"""OpenMP is left as llama.cpp has it, unlike in the wheel: this is what its users get."""


def find_or_build(lock: Path) -> Path:
    """Return the program built from the version pinned in `lock`, compiled now if this machine has none: minutes.

    Ends the process with the compiler's last lines if that fails.
    """
    pin = next(pin for pin in pins.read(lock) if pin.name == llama_wheel.PACKAGE)
    flags = (*FLAGS, *amx.flags(), *shlex.split(os.environ.get("CMAKE_ARGS", "")))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inferd" / PROGRAM
    room = cache / llama_wheel.key(pin, flags, llama_wheel.host())
    if not room.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with compiling.alone(cache, PROGRAM):
            if not room.is_dir():  # another build may have made it while this one waited
                _build(pin, flags, room)
    return room / PROGRAM


def _build(pin: pins.Pin, flags: tuple[str, ...], room: Path) -> None:
    compiling.say(f"compiling {PROGRAM} of {pin.name} {pin.version}: about 10 minutes on 2 cores, only this first time")
    for abandoned in room.parent.glob(".building-*"):
        shutil.rmtree(abandoned)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=room.parent) as scratch:
        source = _source(pin, Path(scratch))
        made = Path(scratch, "made")
        beside = str(Path(sys.executable).parent)  # cmake and ninja of the lock, before the system's
        environment = os.environ | {"PATH": f"{beside}{os.pathsep}{os.environ['PATH']}"}
        configure = ["cmake", "-G", "Ninja", "-S", str(source), "-B", str(made), *flags]
        build = ["cmake", "--build", str(made), "--target", PROGRAM, "--parallel", str(compiling.cores())]
        log = room.with_suffix(".log")
        compiling.run(configure, environment, log)
        compiling.run(build, environment, log)
        published = Path(scratch, "published")
        published.mkdir()
        (made / "bin" / PROGRAM).rename(published / PROGRAM)
        published.rename(room)
    compiling.say(f"kept for later in {room}")


def _source(pin: pins.Pin, scratch: Path) -> Path:
    """Return llama.cpp's sources as they lie in the archive, whose hash pip has compared with the lock's."""
    requirements = scratch / "pin.txt"
    requirements.write_text(pins.text((pin,)), encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "download", "--no-input", "--disable-pip-version-check"]
    # pip asks the source for its metadata even so; what builds stands in the project's own environment.
    rules = ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes"]
    subprocess.run([*pip, *rules, "--requirement", str(requirements), "--dest", str(scratch)], check=True)
    with tarfile.open(next(scratch.glob("*.tar.gz"))) as archive:
        archive.extractall(scratch, filter="data")
    return next(scratch.glob("*/vendor/llama.cpp"))


if __name__ == "__main__":
    sys.stdout.write(f"{find_or_build(Path(__file__).resolve().parent.parent / 'requirements.lock')}\n")
