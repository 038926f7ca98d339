#!/usr/bin/env python3
"""What llama-cpp-python's own server needs beside the package: fetched for a bench into a folder of the user's cache.

Covers: which packages, and the folder: `$XDG_CACHE_HOME/inferd/python-server` (default `~/.cache`), one directory per set of
requirements and Python, published by a rename. They never come into inferd's environment or its locks, and nothing of inferd
runs with them. Run alone, it prints the folder's path on its last line.
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

PACKAGE: Final = "llama-cpp-python"
MARKER: Final = 'extra == "server"'


def find_or_install() -> Path:
    """Return the folder to put in `PYTHONPATH` of that server; packages are fetched now if this machine has none."""
    wanted = requirements()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inferd" / "python-server"
    parts = "\n".join((*wanted, f"{sys.version_info.major}.{sys.version_info.minor}", sys.platform))
    room = cache / hashlib.sha256(parts.encode()).hexdigest()[:20]
    if not room.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        compiling.say(f"fetching what the server of {PACKAGE} needs: seconds, only this first time")
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=cache) as scratch:
            made = Path(scratch, "made")
            pip = [sys.executable, "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--quiet"]
            subprocess.run([*pip, "--only-binary", ":all:", "--target", str(made), *wanted], check=True)
            made.rename(room)
    return room


def requirements() -> tuple[str, ...]:
    """Return what the installed package says that its server needs."""
    told = (line.partition(";") for line in metadata.requires(PACKAGE) or ())
    return tuple(sorted(need.strip() for need, _, marker in told if marker.strip() == MARKER))


if __name__ == "__main__":
    sys.stdout.write(f"{find_or_install()}\n")
