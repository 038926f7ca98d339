"""The words of a sound, and how they come together from the events of a stream.

Covers: `Transcript`, of a whole sound and of one heard live. Pure: times are passed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from inferd.errors import InvalidRequest
from inferd.messages import events
from inferd.messages.events import Loading, Parked, Queued, Resumed, Usage
from inferd.messages.speech import Final as FinalText
from inferd.messages.speech import Partial, SpeechStarted, SpeechStopped, Transcribed, TranscriptSegment

E = TypeVar("E")

TranscriptionEvent = Queued | Loading | Parked | Resumed | TranscriptSegment
"""What a `transcription` yields: state, and the segments of the transcript as they are found."""
TRANSCRIPTION_EVENTS: Final = (Queued, Loading, Parked, Resumed, TranscriptSegment)

TranscriptEvent = Queued | Loading | Parked | Resumed | SpeechStarted | Partial | SpeechStopped | FinalText
"""What a `transcribe_stream` yields: state, and what is heard as it is heard."""
TRANSCRIPT_EVENTS: Final = (Queued, Loading, Parked, Resumed, SpeechStarted, Partial, SpeechStopped, FinalText)


@dataclass(frozen=True, slots=True)
class Transcript:
    """The words of a whole sound: `text` is what the texts of the segments say, in order. Empty where nobody spoke."""

    text: str
    segments: tuple[TranscriptSegment, ...] = ()
    """With times, in ms since the sound began; of a live stream one for each utterance."""
    language: str = ""
    """ISO 639-1; empty: nobody spoke."""
    language_probability: float = 0.0
    duration_s: float = 0.0
    speech_s: float = 0.0
    """Of the duration, how long somebody spoke."""
    compute_s: float = 0.0
    """Time that the model took; over `duration_s`: the real-time factor (RTF)."""
    usage: Usage = Usage()  # noqa: RUF009 - a frozen value
    """Tokens, where a model counts any: none that hears does."""
    trace_id: str = ""
    """Names this call in logs and outcomes."""
    model: str = ""
    """Who listened."""
    latency_s: float = 0.0
    """From the call to its end, as the app saw it."""
    first_event_s: float | None = None
    """From the call to the first that was heard; None if there was nothing."""
    queue_s: float = 0.0
    load_s: float = 0.0
    fallback_from: str | None = None
    warnings: tuple[str, ...] = ()
    """What was done differently from what was asked, one sentence each."""


class TranscriptView(Generic[E]):
    """Shows the events of `kinds` to the app, and makes the transcript of what they say."""

    def __init__(self, asked_s: float, *kinds: type[E]) -> None:
        self._asked_s = asked_s
        self._kinds = kinds
        self._first_event_s: float | None = None
        self._trace_id = ""
        self._segments: list[TranscriptSegment] = []
        self._transcript: Transcript | None = None

    @property
    def transcript(self) -> Transcript:
        """The whole transcript. Raises InvalidRequest before the end of the stream: a part would pass for the whole."""
        if self._transcript is None:
            raise InvalidRequest(
                "transcript: the stream has not come to its end: read on first", details={"field": "transcript"}
            )
        return self._transcript

    def show(self, event: events.Event, now_s: float, /) -> E | None:
        """Return what the app sees of an event; None: nothing."""
        if self._first_event_s is None and isinstance(event, events.CONTENTS):
            self._first_event_s = now_s - self._asked_s
        match event:
            case events.Accepted():
                self._trace_id = event.trace_id
            case TranscriptSegment():
                self._segments.append(event)
            case FinalText() if event.text:
                gap = " " if self._segments else ""
                self._segments.append(TranscriptSegment(gap + event.text, event.start_ms, event.end_ms, event.words))
            case Transcribed():
                self._transcript = self._ending(event, now_s)
        return event if isinstance(event, self._kinds) else None

    def _ending(self, end: Transcribed, now_s: float) -> Transcript:
        return Transcript(
            text="".join(one.text for one in self._segments),
            segments=tuple(self._segments),
            language=end.language,
            language_probability=end.language_probability,
            duration_s=end.duration_s,
            speech_s=end.speech_s,
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
