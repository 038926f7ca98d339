"""Sound of any format and rate → float32, mono, 16 kHz, as a stream.

Covers: files by PyAV (FFmpeg's decoders), bare samples, the edge of a stream. Files are hostile input: a list of formats is
allowed, so that no playlist in a file's clothes can open another file or an address.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol

import av
import numpy as np
from av.error import FFmpegError

from inferd_actors.engines.faster_whisper.hearing import RATE_HZ, Samples, unreadable

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMATS: Final = "wav,w64,flac,mp3,ogg,mov,mp4,m4a,aac,matroska,webm,aiff,au,caf,amr,asf"
"""FFmpeg's names; none of them follows references."""
SCALE: Final = np.float32(1 / 32_768)
READ_BYTES: Final = 64 * 1024
SAMPLE_BYTES: Final = 2
WRONG_PACKETS: Final = 100
"""In a row that cannot be decoded: it is no sound, or its rest is lost."""


class Source(Protocol):
    """Bytes that can be read from the start to the end, and back where a format needs that."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; none at the end. May block."""


class Resampler:
    """Samples of one rate → 16 kHz, piece by piece, as if it were one."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._resampler = None if rate_hz == RATE_HZ else av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)

    def push(self, samples: NDArray[np.int16]) -> Samples:
        """Return what this piece makes, up to a few milliseconds that the next one brings."""
        if self._resampler is None or not len(samples):
            return samples * SCALE
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = self._rate_hz
        return _joined(self._resampler.resample(frame))

    def flush(self) -> Samples:
        """Return the last few milliseconds."""
        return _joined(self._resampler.resample(None)) if self._resampler is not None else np.zeros(0, np.float32)


def decoded_samples(source: Source, rate_hz: int) -> Iterator[Samples]:
    """Yield bare int16 samples as they come. Raises InvalidRequest for half a sample at the end."""
    resampler, rest = Resampler(rate_hz), b""
    while piece := source.read(READ_BYTES):
        whole = rest + piece
        even = len(whole) // SAMPLE_BYTES * SAMPLE_BYTES
        rest = whole[even:]
        yield resampler.push(np.frombuffer(whole[:even], "<i2"))
    if rest:
        raise unreadable(f"int16 samples take {SAMPLE_BYTES} bytes each, and the last one has {len(rest)}")
    yield resampler.flush()


def decoded(source: Source) -> Iterator[Samples]:
    """Yield a file's sound as it is decoded. Raises InvalidRequest for what is no sound."""
    limits = {"format_whitelist": FORMATS, "protocol_whitelist": ""}
    try:
        with av.open(source, mode="r", metadata_errors="ignore", options=limits) as file:
            if not file.streams.audio:
                raise unreadable("there is no sound in this file")
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
            for frame in _frames(file):
                frame.pts = None  # gaps and jumps in a file's clock are none of ours
                yield _joined(resampler.resample(frame))
            yield _joined(resampler.resample(None))
    except FFmpegError as refused:
        raise unreadable(f"this cannot be read as sound: {refused.strerror}") from None
    except ValueError as refused:  # PyAV's own, of layouts and formats that it does not know
        raise unreadable(f"this cannot be read as sound: {refused}") from None


def _frames(file: Any) -> Iterator[Any]:  # noqa: ANN401 - PyAV's
    """Yield the frames that can be decoded, past a few that cannot."""
    wrong = 0
    for packet in file.demux(file.streams.audio[0]):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            wrong += 1
            if wrong > WRONG_PACKETS:
                raise
        else:
            wrong = 0
            yield from frames


def _joined(frames: list[Any]) -> Samples:
    pieces = [frame.to_ndarray()[0] for frame in frames]
    return np.concatenate(pieces) * SCALE if pieces else np.zeros(0, np.float32)
