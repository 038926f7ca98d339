"""A file put together from its pieces.

Covers: the copy and its check. Does not cover fetching the pieces, nor publishing (`bringing`).
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from inferd_daemon.store.digest import drain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from inferd_daemon.catalogue import JoinedSource
    from inferd_daemon.store.watch import Watch


def join(source: JoinedSource, pieces: Sequence[Path], room: Path, watch: Watch) -> Path:
    """Return the verified file, inside `room` and synced to disk; blocks for the copy. Raises PullFailed, OSError."""
    joined, sha256, before_bytes = room / "joined", hashlib.sha256(), 0

    with joined.open("xb") as target:
        for part, piece in zip(source.parts, pieces, strict=True):

            def moved(done_bytes: int, before_bytes: int = before_bytes) -> None:
                watch.report("verifying", before_bytes + done_bytes, source.size_bytes)

            def keep(chunk: bytes) -> None:
                sha256.update(chunk)
                target.write(chunk)

            with piece.open("rb", buffering=0) as reader:
                drain(reader, part.size_bytes, moved, keep)
            before_bytes += part.size_bytes
        target.flush()
        os.fsync(target.fileno())
    if sha256.hexdigest() != source.sha256:
        problem = f"its pieces make a file with the sha256 {sha256.hexdigest()}, it should be {source.sha256}"
        raise watch.failed("checksum", problem, retryable=False)
    return joined
