"""Whole sounds as an app gives them; a file is read with the app's own rights while it is fed: the daemon opens no app's paths.

Covers: what `audio` may be, reading block by block, what is wrong with a path. See also: `sound`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from inferd.bulk import Bulk
from inferd.sound import check_size, sound_blocks
from inferd.uplink import BULK_BYTES, SAMPLE_BYTES, invalid

if TYPE_CHECKING:
    from inferd.errors import InvalidRequest


class Samples(Protocol):
    """An array of int16, float32 or float64 samples, one channel: of numpy, `array`, or any other with a buffer."""

    @property
    def itemsize(self) -> int:
        """Bytes of one sample."""


Audio = str | os.PathLike[str] | bytes | bytearray | memoryview | Samples
"""A path; bytes of a file, or samples; or an array of samples."""


def opened(audio: object, rate_hz: int | None) -> Bulk:
    """Return a whole sound, ready to be fed: a path, bytes, or an array of samples; see `sound_blocks`. Reads a little.

    `rate_hz`: of samples without a header; None: a file, or its bytes. Raises InvalidRequest naming what is wrong with it.
    """
    if isinstance(audio, (str, os.PathLike)):
        unit_bytes = SAMPLE_BYTES if rate_hz else 1
        blocks = _blocks_of_file(Path(audio), unit_bytes)
    else:
        blocks, unit_bytes = sound_blocks(audio, rate_hz)
    first = next(blocks)  # what is wrong with a sound is raised where it is given
    return Bulk(chain((first,), blocks), unit_bytes)


def _blocks_of_file(path: Path, unit_bytes: int) -> Iterator[bytes]:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise _refused(path, "a folder" if stat.S_ISDIR(status.st_mode) else "no ordinary file")
        check_size(status.st_size, unit_bytes)
        with path.open("rb") as file:
            while block := file.read(BULK_BYTES):
                yield block
    except FileNotFoundError:
        raise _refused(path, "no such file") from None
    except (OSError, ValueError) as reason:  # ValueError: a name that no file can have
        raise _refused(path, str(getattr(reason, "strerror", None) or reason)) from None


def _refused(path: Path, problem: str) -> InvalidRequest:
    return invalid("audio", f"{str(path)!r}: {problem}")
