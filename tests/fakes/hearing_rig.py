"""A faster-whisper engine under test: how it is opened, asked, fed and heard.

Covers: `HearingRig`. Does not cover recordings (`recordings`) and models (`speech_models`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from loaded_engine import LoadedEngine
from numpy.typing import NDArray

from inferd.messages.bounds import Blob
from inferd.messages.control import Feed, Priority
from inferd.messages.events import Error
from inferd.messages.speech import Final, Transcribe, Transcribed, TranscribeStream, TranscriptSegment
from inferd_actors.engine import StreamId
from inferd_actors.engines.faster_whisper.engine import FasterWhisper

E = TypeVar("E")
RATE_HZ = 16_000


class HearingRig(LoadedEngine[FasterWhisper]):
    """A loaded ear."""

    def __init__(self, path: Path, **options: str | float | bool) -> None:
        super().__init__(FasterWhisper, str(path), {"threads": 1, **options})
        self._fed: dict[StreamId, tuple[int, int]] = {}

    def file(self, audio: bytes | None, priority: Priority = "interactive", **fields: Any) -> StreamId:  # noqa: ANN401
        """Ask for the words of a whole sound."""
        return self.submit(Transcribe(None if audio is None else Blob(audio), **fields), priority)

    def stream(self, priority: Priority = "voice", **fields: Any) -> StreamId:  # noqa: ANN401 - fields of the case
        """Ask for the words of a sound that will be fed."""
        return self.submit(TranscribeStream(**fields), priority)

    def feed(self, stream: StreamId, sound: bytes | NDArray[np.int16], piece_bytes: int = 3_200) -> None:
        """Feed in pieces as the window lets them through; returns when the last one is fed, or the stream has ended."""
        data = sound if isinstance(sound, bytes) else sound.astype("<i2").tobytes()
        for at in range(0, len(data), piece_bytes):
            piece = data[at : at + piece_bytes]
            seq, size = self._fed.get(stream, (0, 0))
            if not self.sink.room(stream, seq + 1, size + len(piece)):
                return
            self._fed[stream] = seq + 1, size + len(piece)
            self.engine.feed(stream, Feed(stream, seq + 1, data=Blob(piece)))

    def finish(self, stream: StreamId) -> None:
        """Feed no more."""
        self.engine.finish(stream)

    def fed_bytes(self, stream: StreamId) -> int:
        """Return how much was fed so far."""
        return self._fed.get(stream, (0, 0))[1]

    def of(self, stream: StreamId, kind: type[E]) -> list[E]:
        """Return all events of one kind, waiting for the stream's end."""
        return [event for event in self.sink.whole(stream) if isinstance(event, kind)]

    def of_so_far(self, stream: StreamId) -> list[object]:
        """Return what was said about a stream until now."""
        return list(self.sink.events(stream))

    def end(self, stream: StreamId) -> Transcribed:
        """Return how a stream was completed, waiting for it."""
        last = self.sink.whole(stream)[-1]
        assert isinstance(last, Transcribed), last
        return last

    def refusal(self, stream: StreamId) -> Error:
        """Return why a stream failed, waiting for it."""
        last = self.sink.whole(stream)[-1]
        assert isinstance(last, Error), last
        return last

    def words(self, stream: StreamId) -> str:
        """Return the whole transcript of a file or a stream, waiting for it."""
        self.end(stream)
        finals = [event.text for event in self.of(stream, Final) if event.text]
        return " ".join(finals) or "".join(event.text for event in self.of(stream, TranscriptSegment))


def silence(for_s: float) -> NDArray[np.int16]:
    """Return nothing at all."""
    return np.zeros(int(for_s * RATE_HZ), np.int16)


def noise(for_s: float, level: float = 0.1) -> NDArray[np.int16]:
    """Return white noise, the same every time."""
    drawn = np.random.default_rng(1).standard_normal(int(for_s * RATE_HZ)) * level * 32_767
    clipped: NDArray[np.int16] = drawn.clip(-32_768, 32_767).astype(np.int16)
    return clipped


def music(for_s: float) -> NDArray[np.int16]:
    """Return three chords of a harmonium, over and over."""
    time_s = np.arange(int(for_s * RATE_HZ)) / RATE_HZ
    chords = ((220.0, 277.2, 329.6), (293.7, 370.0, 440.0), (246.9, 311.1, 370.0))
    sound = np.zeros_like(time_s)
    for at, chord in enumerate(chords):
        here = (time_s // 0.7).astype(int) % len(chords) == at
        for tone in chord:
            sound += here * sum(np.sin(2 * np.pi * tone * over * time_s) / over for over in (1, 2, 3, 4))
    scaled: NDArray[np.int16] = (sound / np.abs(sound).max() * 16_000).astype(np.int16)
    return scaled
