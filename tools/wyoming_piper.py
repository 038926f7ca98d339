#!/usr/bin/env python3
"""wyoming-piper, the voice server that inferd is measured against: made for a bench, in an environment of the user's cache.

Covers: its version, and the environment: `$XDG_CACHE_HOME/inferd/wyoming-piper` (default `~/.cache`), one directory per set of
requirements and Python, published by a rename. It never comes into inferd's environment or its locks. piper and ONNX Runtime
are of inferd's versions. Run alone, it prints the path of the environment's Python on its last line.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Final

import compiling

SERVER: Final = "wyoming-piper==2.4.0"
SHARED: Final = ("piper-tts", "onnxruntime", "numpy", "wyoming")
"""What the speech of both depends on."""


def find_or_install() -> Path:
    """Return the Python that has the server; packages are fetched now if this machine has none."""
    wanted = (SERVER, *(f"{name}=={metadata.version(name)}" for name in SHARED))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inferd" / "wyoming-piper"
    parts = "\n".join((*wanted, f"{sys.version_info.major}.{sys.version_info.minor}", sys.platform))
    room = cache / hashlib.sha256(parts.encode()).hexdigest()[:20]
    if not room.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        compiling.say(f"fetching {SERVER}: a minute, only this first time")
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=cache) as scratch:
            made = Path(scratch, "made")
            subprocess.run([sys.executable, "-m", "venv", str(made)], check=True)
            pip = [str(_python(made)), "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--quiet"]
            subprocess.run([*pip, "--only-binary", ":all:", *wanted], check=True)
            made.rename(room)
    return _python(room)


def _python(room: Path) -> Path:
    return room / "bin" / "python"


if __name__ == "__main__":
    sys.stdout.write(f"{find_or_install()}\n")
