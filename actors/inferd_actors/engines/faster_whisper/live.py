"""A stream or a file between its request and its end.

Covers: what both are for the loop, and how each goes on. Does not cover the loop (`engine`), utterances (`listening`), decoding
(`reading`). Every method returns at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inferd.errors import InvalidRequest
from inferd.messages.control import Feed
from inferd.messages.speech import Transcribe, Transcribed, TranscribeStream, TranscriptSegment
from inferd_actors.engine import EngineEvent, Submission
from inferd_actors.engines.faster_whisper.hearing import Heard, HeardSegment, Pass
from inferd_actors.engines.faster_whisper.line import Turn
from inferd_actors.engines.faster_whisper.listening import PROMPT_CHARS, Listening, Wish
from inferd_actors.engines.faster_whisper.pieces import LEEWAY_S, Piece
from inferd_actors.engines.faster_whisper.sound import FRAME_S
from inferd_actors.engines.faster_whisper.words import milliseconds, spoken
from inferd_actors.refusals import as_event

if TYPE_CHECKING:
    from inferd_actors.engines.faster_whisper.intake import Intake
    from inferd_actors.engines.faster_whisper.reading import Reading
    from inferd_actors.engines.faster_whisper.spool import Spool

FRAMES_AT_ONCE: Final = 64
"""Of one stream before the loop looks at the others: two seconds of sound."""
WARNED: Final = 16
"""Utterances that a warning lists."""


class Live:
    """What streams and files have in common."""

    def __init__(self, submission: Submission) -> None:
        self.submission = submission
        self.may_produce = True
        self.held = False
        self.compute_s = 0.0
        self.passes = 0

    @property
    def halted(self) -> bool:
        """Whether it is to wait: a full window, or the app's wish."""
        return self.held or not self.may_produce

    def book(self, heard: Heard) -> None:
        """Count a pass."""
        self.compute_s += heard.pass_s
        self.passes += 1

    def _end(
        self, language: str, probability: float, duration_s: float, speech_s: float, warnings: tuple[str, ...] = ()
    ) -> Transcribed:
        asked = self.submission
        return Transcribed(
            asked.model,
            language,
            min(1.0, probability),
            duration_s,
            speech_s,
            self.compute_s,
            asked.queue_s,
            asked.load_s,
            warnings,
        )


class LiveStream(Live):
    """Sound that is heard as it is fed."""

    def __init__(self, submission: Submission, asked: TranscribeStream, intake: Intake) -> None:
        super().__init__(submission)
        self.intake = intake
        self.listening = Listening(asked)
        self._wish: Wish | None = None

    @property
    def is_speaking(self) -> bool:
        """Whether it competes for partial texts."""
        return self.listening.is_speaking and not self.halted

    def feed(self, piece: Feed, now_s: float) -> None:
        """Take a piece of the uplink. Raises InvalidRequest."""
        self.intake.feed(piece, now_s)

    def finish(self) -> None:
        """Nothing more will be fed."""
        self.intake.finish()

    def window(self) -> tuple[int, int] | None:
        """Return the uplink's new limits, if they are to be told."""
        return self.intake.window()

    def advance(self, now_s: float) -> tuple[list[EngineEvent], bool]:
        """Take frames; return what they mean, and whether there is more to do at once."""
        events: list[EngineEvent] = []
        for _ in range(FRAMES_AT_ONCE):
            if self.listening.is_full:
                return events, False
            frame = self.intake.next_frame()
            if frame is None:
                break
            events += self.listening.take(frame, now_s)
        else:
            return events, True
        if self.intake.is_over:
            events += self.listening.finish(now_s)
            if self.listening.is_done:
                events.append(self._transcribed())
        return events, False

    def turn(self, now_s: float, speaking: int) -> Turn | None:
        """Return what it wants to have heard; None: nothing now."""
        self._wish = self.listening.wish(now_s, speaking)
        if self._wish is None:
            return None
        return Turn(self.submission.stream, self.submission.priority, self._wish.kind, self._wish.since_s)

    def due_s(self, speaking: int) -> float | None:
        """Return when it will want something by the clock alone."""
        return self.listening.due_s(speaking)

    def next_pass(self) -> Pass:
        """Return the pass of the turn it was given."""
        if self._wish is None:
            raise RuntimeError("a pass was given to a stream that wanted none")
        return self.listening.pass_of(self._wish)

    def heard(self, heard: Heard, now_s: float) -> list[EngineEvent]:
        """Take the result."""
        return self.listening.heard(heard, now_s)

    def close(self) -> None:
        """Nothing is held beside memory."""

    def _transcribed(self) -> Transcribed:
        listening = self.listening
        which = ", ".join(map(str, listening.thinned[:WARNED]))
        warnings = (f"partials: this machine was too slow for them in utterances {which}",) if which else ()
        language = listening.last_language
        probability = listening.language_probability if language else 0.0
        speech_s = listening.speech_frames * FRAME_S
        return self._end(language, probability, self.intake.fed_s, speech_s, warnings)


class LiveFile(Live):
    """A whole sound that is heard piece by piece."""

    def __init__(self, submission: Submission, asked: Transcribe, reading: Reading, spool: Spool | None) -> None:
        super().__init__(submission)
        self._asked = asked
        self.reading = reading
        self._spool = spool
        self._in_hand: Piece | None = None
        self._since_s = 0.0
        self._language = asked.language
        self._probability = 1.0 if asked.language else 0.0
        self._tail = ""
        """The last words, for the next piece."""
        self._spoke = False
        self.is_started = False

    @property
    def is_speaking(self) -> bool:
        """Files compete with nobody's partial texts."""
        return False

    @property
    def is_reading(self) -> bool:
        """Whether its thread runs."""
        return self.is_started and not self.reading.is_over

    @property
    def is_decoding(self) -> bool:
        """Whether its thread has something to do: it does not wait for its app."""
        return self.is_reading and not self.halted and not (self._spool is not None and self._spool.is_waiting)

    def start(self) -> None:
        """Begin to read."""
        self.is_started = True
        self.reading.start()

    def feed(self, piece: Feed, now_s: float) -> None:
        """Take a piece of the file. Raises InvalidRequest, ResourceBlocked."""
        del now_s
        if piece.data is None:
            raise InvalidRequest("feed: this takes sound, and the piece has no data", details={"field": "data"})
        if self._spool is not None:
            self._spool.feed(bytes(piece.data))

    def finish(self) -> None:
        """The file is complete."""
        if self._spool is not None:
            self._spool.finish()

    def window(self) -> tuple[int, int] | None:
        """Return the uplink's new limits, if they are to be told."""
        return self._spool.window() if self._spool is not None and not self.halted else None

    def advance(self, now_s: float) -> tuple[list[EngineEvent], bool]:
        """Look whether it is over."""
        del now_s
        reading = self.reading
        if self._in_hand is not None or not reading.is_over or reading.next_piece is not None:
            return [], False
        if reading.refusal is not None:
            return [as_event(reading.refusal)], False
        language = (self._language or "") if self._spoke else ""
        return [
            self._end(language, self._probability if language else 0.0, reading.duration_s, reading.speech_s)
        ], False

    def turn(self, now_s: float, speaking: int) -> Turn | None:
        """Return that it wants its next piece to be heard, if there is one."""
        del speaking
        if self._in_hand is not None or self.reading.next_piece is None:
            self._since_s = 0.0
            return None
        self._since_s = self._since_s or now_s
        return Turn(self.submission.stream, self.submission.priority, "piece", self._since_s)

    def due_s(self, speaking: int) -> float | None:
        """Return None: it wants nothing by the clock."""
        del speaking
        return None

    def next_pass(self) -> Pass:
        """Return the pass over its next piece."""
        self._since_s = 0.0
        self._in_hand = piece = self.reading.take()
        prompt = " ".join(one for one in (self._asked.prompt or "", self._tail) if one)
        return Pass(piece.sound, "file", self._language, prompt, self._asked.timestamps == "word")

    def heard(self, heard: Heard, now_s: float) -> list[EngineEvent]:
        """Take the result: its segments."""
        del now_s
        piece, self._in_hand = self._in_hand, None
        if piece is None or not heard.segments:
            return []
        if self._language is None:
            self._language, self._probability = heard.language, heard.language_probability
        self._tail = heard.text[-PROMPT_CHARS:].strip()
        segments = [self._segment(one, piece) for one in self._shown(heard)]
        self._spoke = True
        return list(segments)

    def close(self) -> None:
        """Let go of thread and disk; the thread ends at its next step."""
        if self._spool is not None:
            self._spool.abandon()
            if not self.is_started:
                self._spool.close()
        self.reading.abandon()

    def _shown(self, heard: Heard) -> tuple[HeardSegment, ...]:
        """Return the segments to be told: of a text without times, the piece as one."""
        first, *rest = heard.segments
        if self._asked.timestamps == "none":
            first, rest = HeardSegment(heard.text, first.start_s, heard.segments[-1].end_s), []
        text = first.text if self._spoke else first.text.lstrip()
        return HeardSegment(text, first.start_s, first.end_s, first.words), *rest

    def _segment(self, segment: HeardSegment, piece: Piece) -> TranscriptSegment:
        start_s, end_s = piece.place_s(segment.start_s, segment.end_s, LEEWAY_S)
        start_ms = milliseconds(start_s)
        end_ms = max(start_ms, milliseconds(min(end_s, piece.end_s)))
        return TranscriptSegment(segment.text, start_ms, end_ms, tuple(spoken([segment], piece.place_s)))
