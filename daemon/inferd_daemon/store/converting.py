"""A file converted from others, by a process of its own.

Covers: starting it, following and ending it, checking what it made. Does not cover recipes (`inferd_actors.converting`),
fetching the inputs, nor publishing (`bringing`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from inferd_daemon.store.digest import TooLongError, digest_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from inferd_daemon.catalogue import ConvertedSource
    from inferd_daemon.store.watch import Watch

PROGRAM: Final = "inferd_actors.converting.process"
POLL_S: Final = 0.1
"""Between two looks at what is there: ten a second make a smooth bar."""


def convert(source: ConvertedSource, pieces: Sequence[Path], room: Path, watch: Watch) -> Path:
    """Return the verified file, inside `room` and synced to disk; blocks for seconds. Raises PullFailed, OSError."""
    inputs, made = room / "inputs", room / "made"
    inputs.mkdir()
    for one, piece in zip(source.inputs, pieces, strict=True):
        (inputs / one.name).symlink_to(piece)
    argv = [sys.executable, "-P", "-m", PROGRAM, source.recipe, str(inputs), str(made), str(source.size_bytes)]
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,  # its end tells the process that we are gone
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
        start_new_session=True,
    ) as process:
        try:
            while process.poll() is None:
                watch.report("verifying", 0, source.size_bytes)
                watch.wait(POLL_S)
        finally:
            if process.poll() is None:
                process.kill()
        problem = process.stdout.read().decode("utf-8", "replace") if process.stdout is not None else ""
    if problem or process.returncode:
        words = problem or f"the process that converts it ended with {process.returncode}"
        raise watch.failed("conversion", f"{source.recipe}: {words}", retryable=False)
    return _checked(source, made, watch)


def _checked(source: ConvertedSource, made: Path, watch: Watch) -> Path:
    try:
        status, sha256 = digest_of(made, lambda done, total: watch.report("verifying", done, total))
    except (FileNotFoundError, TooLongError) as wrong:
        raise watch.failed("conversion", f"{source.recipe} made no file: {wrong}", retryable=False) from None
    if (status.st_size, sha256) != (source.size_bytes, source.sha256):
        expected, found = f"{source.size_bytes} bytes {source.sha256}", f"{status.st_size} bytes {sha256}"
        raise watch.failed("checksum", f"{source.recipe} should make {expected}, makes {found}", retryable=False)
    with made.open("rb") as target:
        os.fsync(target.fileno())
    return made
