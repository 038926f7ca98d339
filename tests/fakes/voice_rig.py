"""A piper engine under test: how it is opened, fed and listened to.

Covers: `VoiceRig` around the real voice joe. See also: `speech_models`, which fetches it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loaded_engine import LoadedEngine

from inferd.messages.control import Feed, Priority
from inferd.messages.events import AudioChunk, Cancelled, Terminal
from inferd.messages.speech import Spoken, Synthesize, SynthesizeStream, Word
from inferd_actors.engine import EngineEvent, StreamId
from inferd_actors.engines.piper.engine import Piper

SAMPLE_BYTES = 2
STILL = {"threads": 1, "noise_scale": 0.0, "noise_w_scale": 0.0}
"""The same text always sounds the same."""


class VoiceRig(LoadedEngine[Piper]):
    """A loaded voice."""

    def __init__(self, path: Path, **options: str | float | bool) -> None:
        super().__init__(Piper, str(path), {**STILL, **options})
        self._fed: dict[StreamId, int] = {}

    def say(self, text: str, priority: Priority = "interactive", **fields: Any) -> StreamId:  # noqa: ANN401 - fields of the case
        """Have a whole text spoken."""
        return self.submit(Synthesize(text, **fields), priority)

    def open(self, *texts: str, priority: Priority = "interactive", **fields: Any) -> StreamId:  # noqa: ANN401 - as `say`
        """Open a stream and feed it."""
        stream = self.submit(SynthesizeStream(**fields), priority)
        self.feed(stream, *texts)
        return stream

    def feed(self, stream: StreamId, *texts: str) -> None:
        for text in texts:
            self._fed[stream] = seq = self._fed.get(stream, 0) + 1
            self.engine.feed(stream, Feed(1, seq, text=text))

    def chunks(self, stream: StreamId, at_least: int = 1) -> list[AudioChunk]:
        """Return the sound so far, waiting for so many chunks."""
        self.sink.wait(lambda: len(sounds(self.sink.events(stream))) >= at_least)
        return sounds(self.sink.events(stream))

    def words(self, stream: StreamId, at_least: int = 0) -> list[Word]:
        """Return the words so far, waiting for so many."""
        self.sink.wait(lambda: len(words(self.sink.events(stream))) >= at_least)
        return words(self.sink.events(stream))

    def end(self, stream: StreamId) -> Terminal:
        """Return how a stream ended, waiting for it."""
        end = self.sink.whole(stream)[-1]
        assert isinstance(end, Terminal)
        return end

    def spoken(self, stream: StreamId) -> Spoken:
        """Return the end of a stream that spoke all of its text."""
        end = self.end(stream)
        assert isinstance(end, Spoken), end
        return end

    def cancelled(self, stream: StreamId) -> Cancelled:
        """Return the end of a stream that was cancelled."""
        end = self.end(stream)
        assert isinstance(end, Cancelled), end
        return end


def sounds(events: Sequence[EngineEvent]) -> list[AudioChunk]:
    return [event for event in events if isinstance(event, AudioChunk)]


def words(events: Sequence[EngineEvent]) -> list[Word]:
    return [event for event in events if isinstance(event, Word)]


def pcm(events: Sequence[EngineEvent]) -> bytes:
    """Return the sound of a stream in one."""
    return b"".join(one.pcm for one in sounds(events))
