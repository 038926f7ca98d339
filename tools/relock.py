#!/usr/bin/env python3
"""Renew the four lock files: choose versions with uv, keep the hashes of the files that this platform can install.

Covers: which packages each lock holds and whose hashes. See also `pins.py` (the format), `install.py` (the use).

Hashes of source archives are left out: what has no wheel would run its build on the installing machine. The one
exception is llama-cpp-python, which is published as source alone. Each lock is resolved under those before it, so the
four fit together.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any, Final

import llama_wheel
import pins
from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

ROOT: Final = Path(__file__).resolve().parent.parent
PYTHONS: Final = ((3, 11), (3, 12), (3, 13))
NEWEST_GLIBC_MINOR: Final = 40  # a wheel for glibc 2.40 or older is listed; pip chooses by the glibc it finds
PLATFORMS: Final = (
    *(f"manylinux_2_{minor}_x86_64" for minor in range(NEWEST_GLIBC_MINOR, 4, -1)),
    *(f"{name}_x86_64" for name in ("manylinux2014", "manylinux2010", "manylinux1", "linux")),
)
HEADER: Final = """\
# {what}
# Made for Linux x86-64 and Python 3.11 to 3.13: exact versions, sha256 of every file that may be installed.
# Renewed by `make lock`; not edited by hand.
"""


def main() -> None:
    """Write requirements.lock, and those of building, of speech and of tests."""
    extras = (f"--extra={name}" for name in ("cli", "daemon", "llama", "nvidia"))
    runtime = _resolve(*extras, "pyproject.toml")
    _write("requirements.lock", "What inferd runs with: the extras cli, daemon, llama and nvidia.", runtime)
    build = _resolve("--group", "build", constraints=runtime)
    _write("requirements-build.lock", "What builds llama-cpp-python and the project itself: the group build.", build)
    beside = ("--extra", "speech", "--extra", "wyoming", "--extra", "report")
    speech = _resolve(*beside, "pyproject.toml", constraints=(*runtime, *build))
    heard = _beyond(speech, runtime, build)
    _write("requirements-speech.lock", "What the extras speech, wyoming and report add to the other two locks.", heard)
    dev = _resolve("--extra", "dev", "pyproject.toml", constraints=(*runtime, *build, *heard))
    _write("requirements-dev.lock", "What the extra dev adds to the other locks.", _beyond(dev, runtime, build, heard))


def _beyond(chosen: tuple[pins.Pin, ...], *locks: tuple[pins.Pin, ...]) -> tuple[pins.Pin, ...]:
    known = {pin.name for lock in locks for pin in lock}
    return tuple(pin for pin in chosen if pin.name not in known)


def _resolve(*wanted: str, constraints: tuple[pins.Pin, ...] = ()) -> tuple[pins.Pin, ...]:
    """Return the newest versions of `wanted` that fit together and agree with `constraints`."""
    with tempfile.TemporaryDirectory() as room:
        bounds, output = Path(room, "constraints.txt"), Path(room, "pylock.toml")
        bounds.write_text(pins.text(constraints), encoding="utf-8")
        command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--no-header"]
        command += ["--constraint", str(bounds), "--format", "pylock.toml", "--output-file", str(output), *wanted]
        subprocess.run([sys.executable, "-m", *command], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        packages = tomllib.loads(output.read_text(encoding="utf-8"))["packages"]
    return tuple(pin for package in packages for pin in _pins(package))


def _pins(package: dict[str, Any]) -> tuple[pins.Pin, ...]:
    """Return the pin of `package`, or nothing when no supported Python on Linux x86-64 needs it."""
    marker = package.get("marker", "")
    pythons = [python for python in PYTHONS if not marker or Marker(marker).evaluate(_environment(python))]
    if not pythons:
        return ()
    needed = "" if len(pythons) == len(PYTHONS) else marker
    return (pins.Pin(package["name"], package["version"], needed, _hashes(package, pythons)),)


def _hashes(package: dict[str, Any], pythons: list[tuple[int, int]]) -> tuple[str, ...]:
    if package["name"] == llama_wheel.PACKAGE:
        return (package["sdist"]["hashes"]["sha256"],)
    chosen: set[str] = set()
    for python in pythons:
        usable = [wheel for wheel in package.get("wheels", ()) if _tags(wheel) & _supported(python)]
        if not usable:
            raise SystemExit(f"{package['name']} {package['version']} has no wheel for Linux x86-64, Python {python}")
        chosen |= {wheel["hashes"]["sha256"] for wheel in usable}
    return tuple(sorted(chosen))


def _tags(wheel: dict[str, Any]) -> frozenset[Tag]:
    return parse_wheel_filename(wheel["url"].rpartition("/")[2])[3]


def _supported(python: tuple[int, int]) -> frozenset[Tag]:
    interpreter = f"cp{python[0]}{python[1]}"
    own = cpython_tags(python, abis=[interpreter], platforms=PLATFORMS)
    return frozenset((*own, *compatible_tags(python, interpreter, PLATFORMS)))


def _environment(python: tuple[int, int]) -> dict[str, str]:
    version = f"{python[0]}.{python[1]}"
    return {
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "os_name": "posix",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "python_version": version,
        "python_full_version": f"{version}.0",
    }


def _write(name: str, what: str, locked: tuple[pins.Pin, ...]) -> None:
    (ROOT / name).write_text(HEADER.format(what=what) + "\n" + pins.text(locked), encoding="utf-8")
    sys.stderr.write(f"{name}: {len(locked)} pins\n")


if __name__ == "__main__":
    main()
