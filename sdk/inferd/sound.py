"""Sound as apps have it, turned into what the wire carries: int16, mono, little-endian, or the bytes of a file.

Covers: bytes and arrays of samples, blocks of them. Does not cover files: `sound_file`. Pure.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterator
from typing import Final

from inferd.uplink import BULK_BYTES, SAMPLE_BYTES, invalid
from inferd.values import shown

LOUDEST: Final = 8.0
"""Float samples run from -1 to 1 and overshoot a little, which is clipped; what is this far out was never scaled to that."""
FULL_SCALE: Final = 32_767
BYTES: Final = ("B", "b", "c")
FLOATS: Final = ("f", "d")
"""float32 and float64, as the buffer protocol calls them; int16 is "h"."""
OTHER_ORDER: Final = ">" if sys.byteorder == "little" else "<"


def sound_blocks(audio: object, rate_hz: int | None) -> tuple[Iterator[bytes], int]:
    """Return what is to be fed, block by block, and how many bytes of it cannot be parted.

    `audio`: what `sound_file.Audio` may be, without paths; bytes are a file's, or samples if `rate_hz` is given. A copy is
    taken of what the app may write over. Raises InvalidRequest naming what is wrong with it; for a sample that is none
    when its block is reached.
    """
    view = _view(audio)
    if view.format in BYTES:
        unit_bytes = SAMPLE_BYTES if rate_hz else 1
        check_size(view.nbytes, unit_bytes)
        return _blocks_of_bytes(audio if isinstance(audio, bytes) else view.tobytes()), unit_bytes
    if rate_hz is None:
        raise invalid("rate_hz", "samples have no header: say how many of them make a second")
    return _blocks_of_samples(_samples(view)), SAMPLE_BYTES


def check_size(size_bytes: int, unit_bytes: int) -> None:
    """Raise InvalidRequest for sound of no length, or of half a sample."""
    if size_bytes == 0:
        raise invalid("audio", "expected sound, got nothing: 0 bytes")
    if size_bytes % unit_bytes:
        raise invalid("audio", f"expected int16 samples, got {size_bytes:,} bytes: an odd number")


def _view(audio: object) -> memoryview:
    try:
        return memoryview(audio)  # type: ignore[arg-type]  # what has no buffer raises
    except (TypeError, ValueError, BufferError):
        raise invalid(
            "audio", f"expected a path, bytes, or an array of int16 or float32 samples, got {shown(audio)}"
        ) from None


def _samples(view: memoryview) -> array[int] | array[float]:
    """Return the samples in a row. Raises InvalidRequest for what are none, for several channels, and for none at all."""
    kind = view.format.lstrip("@=<>")
    if kind not in ("h", *FLOATS) or view.format.startswith(OTHER_ORDER):
        raise invalid(
            "audio", f"expected int16 or float32 samples in this machine's byte order, got format {view.format}"
        )
    if sum(size != 1 for size in view.shape or ()) > 1:
        raise invalid("audio", f"expected one channel, got an array of shape {view.shape}: mix it down first")
    check_size(view.nbytes, view.itemsize)
    samples: array[int] | array[float] = array("h") if kind == "h" else array(kind)
    samples.frombytes(view.tobytes())
    return samples


def _blocks_of_bytes(data: bytes) -> Iterator[bytes]:
    return (data[at : at + BULK_BYTES] for at in range(0, len(data), BULK_BYTES))


def _blocks_of_samples(samples: array[int] | array[float]) -> Iterator[bytes]:
    step = BULK_BYTES // SAMPLE_BYTES
    for at in range(0, len(samples), step):
        block = samples[at : at + step]
        whole = array("h", _scaled(block, at) if samples.typecode in FLOATS else block)
        if sys.byteorder == "big":
            whole.byteswap()
        yield whole.tobytes()


def _scaled(block: array[int] | array[float], first: int) -> Iterator[int]:
    for at, value in enumerate(block):
        if not abs(value) <= LOUDEST:  # so that what is no number fails, too
            cure = ": divide by 32,768 first" if math.isfinite(value) else ""
            raise invalid(f"audio[{first + at}]", f"expected a sample from -1 to 1, got {value}{cure}")
        yield round(max(-1.0, min(1.0, value)) * FULL_SCALE)
