#!/usr/bin/env python3
"""Install the project from its locks into the environment that runs this: `install.py runtime`, then `speech`, then `dev`.

Covers: the order of pip's runs. Does not cover the environment itself (`make_venv.py`) or compiling (`llama_wheel.py`).

Every file is checked against a hash of the lock, also what builds; only the wheel that was compiled here has none.
The project is installed editable, for use and for tests alike: Ray's processes find the classes as in any installed
package, and a changed source needs no new install. `tests/test_packaging.py` proves that a plain wheel holds all of it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import llama_wheel
import pins

ROOT: Final = Path(__file__).resolve().parent.parent
PIP: Final = (sys.executable, "-m", "pip", "install", "--no-input", "--disable-pip-version-check")


def runtime() -> None:
    """Install requirements.lock, what builds, the wheel for this CPU, and the project."""
    locked = pins.read(ROOT / "requirements.lock")
    _say("installing what inferd needs (about 150 MB to download the first time)")
    _install_pins(tuple(pin for pin in locked if pin.name != llama_wheel.PACKAGE))
    _install_pins(pins.read(ROOT / "requirements-build.lock"))
    wheel = llama_wheel.find_or_build(ROOT / "requirements.lock")
    _say("installing llama-cpp-python and inferd")
    _pip("--no-deps", "--force-reinstall", str(wheel))
    _pip("--no-deps", "--no-build-isolation", "--editable", str(ROOT))


def speech() -> None:
    """Install the engines of speech, what the Wyoming bridge needs, and what draws pictures; piper is GPL-3.0."""
    _say("installing the engines of speech (about 150 MB to download the first time)")
    _install_pins(pins.read(ROOT / "requirements-speech.lock"))


def dev() -> None:
    """Install what tests and linters need on top of the runtime and of speech."""
    _say("installing what the tests need")
    _install_pins(pins.read(ROOT / "requirements-dev.lock"))


def _install_pins(locked: tuple[pins.Pin, ...]) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
        requirements.write(pins.text(locked))
        requirements.flush()
        _pip("--require-hashes", "--requirement", requirements.name)


def _pip(*arguments: str) -> None:
    subprocess.run([*PIP, *arguments], check=True)


def _say(line: str) -> None:
    sys.stderr.write(f"== {line}\n")


if __name__ == "__main__":
    {"runtime": runtime, "speech": speech, "dev": dev}[sys.argv[1]]()
