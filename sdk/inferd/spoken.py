"""A text spoken: its sound, its words with their times, and what of it a listener has heard at any moment.

Covers: `Speech`, `heard`, what is stale after a cancel. Pure: times are passed in.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

from inferd.errors import InvalidRequest
from inferd.messages import events
from inferd.messages.events import AudioChunk, Loading, Parked, Queued, Resumed, Usage
from inferd.messages.speech import AudioStarted, Heard, Spoken, Word

SpeechEvent = Queued | Loading | Parked | Resumed | AudioStarted | AudioChunk | Word
"""What a `synthesize_stream` yields: state, the sound's format at once, then sound and words in the order of time."""

_STATES: Final = (Queued, Loading, Parked, Resumed)
_SOUNDING: Final = (AudioStarted, AudioChunk, Word)


@dataclass(frozen=True, slots=True)
class Speech:
    """A text spoken. `pcm`: int16, mono, little-endian, `rate_hz` samples a second."""

    pcm: bytes
    """Empty for a stream: its chunks have been handed out."""
    rate_hz: int
    """0: nothing was to be said, and nobody named a rate."""
    words: tuple[Word, ...] = ()
    """With times, in ms since the first sample, and offsets into the text as it was given."""
    voice: str = ""
    """The speaker, where the model has several."""
    duration_s: float = 0.0
    compute_s: float = 0.0
    """Time that the model took; over `duration_s`: the real-time factor (RTF)."""
    usage: Usage = Usage()  # noqa: RUF009 - a frozen value
    """Tokens, where a model counts any: none that speaks does."""
    trace_id: str = ""
    """Names this call in logs and outcomes."""
    model: str = ""
    """Who spoke."""
    latency_s: float = 0.0
    """From the call to its end, as the app saw it."""
    first_event_s: float | None = None
    """From the call to the first sound; None if there was none."""
    queue_s: float = 0.0
    load_s: float = 0.0
    fallback_from: str | None = None
    warnings: tuple[str, ...] = ()
    """What was done differently from what was asked, one sentence each."""


class Script:
    """What was given to be spoken, and which of its words end when."""

    def __init__(self) -> None:
        self.words: list[Word] = []
        self.complete = False
        """All of the text has been spoken: there are no more words to come."""
        self._pieces: list[str] = []
        self._ends_ms: list[int] = []

    def give(self, text: str) -> None:
        """Add the next piece of the text."""
        self._pieces.append(text)

    def word(self, word: Word) -> None:
        """Add the next word."""
        self.words.append(word)
        self._ends_ms.append(max(word.end_ms, self._ends_ms[-1] if self._ends_ms else 0))

    def heard(self, played_ms: int) -> Heard:
        """Return what has been heard once so much was played: up to the last word that had ended by then.

        With the marks and the markup that cling to it, so that what was opened in front of it is closed.
        """
        text = "".join(self._pieces)
        count = bisect_right(self._ends_ms, played_ms)
        if count == 0:
            return Heard("", 0, played_ms)
        if self.complete and count == len(self.words):  # with the mark behind the last word
            return Heard(text, len(text), played_ms)
        text = text[: self._behind(text, count)]
        return Heard(text, len(text), played_ms)

    def _behind(self, text: str, count: int) -> int:
        """Return where so many words end in the text; where the next one begins that is not known yet, a letter does."""
        is_last = count == len(self.words)
        end = max(word.end_char for word in self.words[:count])
        following = len(text) if is_last else min(len(text), self.words[count].first_char)
        while end < following and not text[end].isspace() and not (is_last and text[end].isalnum()):
            end += 1
        return end


class SpeechView:
    """Shows a stream of speech to the app. Sound of an older epoch than the newest seen is stale, as is all behind a cut.

    `keep`: the sound is gathered for the result.
    """

    def __init__(self, asked_s: float, epoch: int, *, keep: bool) -> None:
        self.script = Script()
        self._asked_s = asked_s
        self._epoch = epoch
        self._keep = keep
        self._cut = False
        self._sound = bytearray()
        self._rate_hz = 0
        self._voice = ""
        self._first_event_s: float | None = None
        self._trace_id = ""
        self._speech: Speech | None = None

    @property
    def speech(self) -> Speech:
        """The whole of it. Raises InvalidRequest before the end of the stream: a part would pass for the whole."""
        if self._speech is None:
            raise InvalidRequest(
                "speech: the stream has not come to its end: read on first", details={"field": "speech"}
            )
        return self._speech

    def cut(self) -> None:
        """Show nothing more that sounds."""
        self._cut = True

    def show(self, event: events.Event, now_s: float, /) -> SpeechEvent | None:
        """Return what the app sees of an event; None: nothing."""
        match event:
            case events.Accepted():
                self._trace_id = event.trace_id
            case Spoken():
                self.script.complete = True
                self._speech = self._ending(event, now_s)
            case _ if isinstance(event, _STATES):
                return event
            case _ if isinstance(event, _SOUNDING) and not self._is_stale(event.epoch):
                self._take(event, now_s)
                return event
        return None

    def _is_stale(self, epoch: int) -> bool:
        self._epoch = max(self._epoch, epoch)
        return self._cut or epoch < self._epoch

    def _take(self, event: AudioStarted | AudioChunk | Word, now_s: float) -> None:
        match event:
            case AudioStarted():
                self._rate_hz, self._voice = event.rate_hz, event.voice
            case Word():
                self.script.word(event)
            case AudioChunk():
                self._rate_hz = event.rate_hz
                if self._first_event_s is None:
                    self._first_event_s = now_s - self._asked_s
                if self._keep:
                    self._sound += event.pcm

    def _ending(self, end: Spoken, now_s: float) -> Speech:
        return Speech(
            pcm=bytes(self._sound),
            rate_hz=self._rate_hz,
            words=tuple(self.script.words),
            voice=self._voice,
            duration_s=end.duration_s,
            compute_s=end.compute_s,
            trace_id=self._trace_id,
            model=end.model,
            latency_s=now_s - self._asked_s,
            first_event_s=self._first_event_s,
            queue_s=end.queue_s,
            load_s=end.load_s,
            fallback_from=end.fallback_from,
            warnings=end.warnings,
        )
