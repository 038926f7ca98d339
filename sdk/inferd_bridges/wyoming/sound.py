"""Sound in the form that the other side knows: one channel of int16 inwards, small timed chunks outwards.

Covers: widths and channels; cutting. Does not cover rates: the engine that hears resamples whatever it gets. Pure.
"""

from __future__ import annotations

import sys
from array import array
from typing import TYPE_CHECKING, Final

from inferd.uplink import SAMPLE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferd_bridges.wyoming.asked import Format

CHUNK_SAMPLES: Final = 1_024
"""What satellites know: 46 ms at 22,050 Hz. One chunk per sentence broke some."""


class Mono:
    """Turns sound of any width and number of channels into int16 of one; pieces may be cut anywhere."""

    def __init__(self, form: Format) -> None:
        self._width = form.width
        self._channels = form.channels
        self._rest = b""

    def push(self, pcm: bytes) -> bytes:
        """Return what is whole of it: int16, mono, little-endian."""
        pcm = self._rest + pcm
        whole = len(pcm) - len(pcm) % (self._width * self._channels)
        self._rest = pcm[whole:]
        narrow = _narrow(pcm[:whole], self._width)
        return narrow if self._channels == 1 else _mixed(narrow, self._channels)


def _narrow(pcm: bytes, width: int) -> bytes:
    """Return samples of `width` bytes as int16: their two highest bytes. One byte is signed, as the library reads it."""
    if width == SAMPLE_BYTES:
        return pcm
    narrow = bytearray(len(pcm) // width * SAMPLE_BYTES)
    narrow[1::SAMPLE_BYTES] = pcm[width - 1 :: width]
    if width > 1:
        narrow[0::SAMPLE_BYTES] = pcm[width - 2 :: width]
    return bytes(narrow)


def _mixed(pcm: bytes, channels: int) -> bytes:
    """Return the mean of all channels."""
    samples = _ordered(array("h", pcm))
    tracks = (samples[track::channels] for track in range(channels))
    return _ordered(array("h", (sum(moment) // channels for moment in zip(*tracks, strict=True)))).tobytes()


def _ordered(samples: array[int]) -> array[int]:
    """Return samples in the other of the two byte orders, if this machine's is not the wire's."""
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


class Cutter:
    """Cuts sound into chunks of CHUNK_SAMPLES, each with the moment when it sounds."""

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._rest = b""
        self._samples = 0

    @property
    def ms(self) -> int:
        """Length of what has been cut."""
        return self._samples * 1_000 // self.rate_hz

    def push(self, pcm: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield (ms since the beginning, chunk) of what is whole."""
        step = CHUNK_SAMPLES * SAMPLE_BYTES
        pcm = self._rest + pcm
        whole = len(pcm) - len(pcm) % step
        self._rest = pcm[whole:]
        for at in range(0, whole, step):
            yield self._cut(pcm[at : at + step])

    def flush(self) -> Iterator[tuple[int, bytes]]:
        """Yield what is left."""
        rest, self._rest = self._rest, b""
        if rest:
            yield self._cut(rest)

    def _cut(self, chunk: bytes) -> tuple[int, bytes]:
        began_ms = self.ms
        self._samples += len(chunk) // SAMPLE_BYTES
        return began_ms, chunk
