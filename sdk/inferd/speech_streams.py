"""Streams of the blocking client about sound and words.

Covers: a whole sound transcribed, sound transcribed as it is heard, text spoken whole or as it is written.
See also: `aio_speech_streams`, the same for asyncio; `duplex`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from inferd.bulk import Fed
from inferd.duplex import Duplex
from inferd.letterbox import Letterbox
from inferd.messages import control
from inferd.speech_drafts import spoken_piece
from inferd.spoken import SpeechEvent, SpeechView
from inferd.streams import Stream
from inferd.transcript import (
    TRANSCRIPT_EVENTS,
    TRANSCRIPTION_EVENTS,
    TranscriptEvent,
    TranscriptionEvent,
    TranscriptView,
)
from inferd.uplink import SEND_TIMEOUT_S, Writing, heard_sound, say

if TYPE_CHECKING:
    from inferd.bulk import Bulk
    from inferd.drafts import Draft
    from inferd.intake import View
    from inferd.line import Line
    from inferd.messages.speech import Heard
    from inferd.spoken import Speech
    from inferd.transcript import Transcript


class Transcription(Stream[TranscriptionEvent]):
    """A whole sound's words: state, and segments as they are found. A long sound is fed while this is read."""

    def __init__(self, line: Line, draft: Draft, bulk: Bulk | None) -> None:
        """`bulk`: None for a sound that goes inside the request."""
        self._view: TranscriptView[TranscriptionEvent] = TranscriptView(time.monotonic(), *TRANSCRIPTION_EVENTS)
        self._bulk = bulk
        mailbox = Letterbox()
        view: View[TranscriptionEvent] = Fed(bulk, self._view) if bulk else self._view
        super().__init__(line, draft, view, mailbox if bulk else None, mailbox=mailbox)

    def transcript(self) -> Transcript:
        """Return the whole transcript, reading what is left of the stream. Blocks until its end; raises its error."""
        for _ in self:
            continue
        return self._view.transcript

    def _before_waiting(self) -> None:
        while self._bulk:
            for command in self._bulk.commands(self.request_id):
                self._intake.say(command)
            if not self._bulk.hungry:
                return
            self._bulk.give(next(self._bulk.blocks, None))


class TranscriptStream(Duplex[TranscriptEvent]):
    """Sound transcribed as it is heard: send it from one thread, iterate in another.

    Of each utterance: SpeechStarted, Partial while somebody speaks, SpeechStopped, Final. Leaving cancels; `finish` lets what
    was sent be answered to its end.
    """

    def __init__(self, line: Line, draft: Draft, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._view: TranscriptView[TranscriptEvent] = TranscriptView(time.monotonic(), *TRANSCRIPT_EVENTS)
        super().__init__(line, draft, self._view)

    @property
    def transcript(self) -> Transcript:
        """All of it, after the end. Raises InvalidRequest before."""
        return self._view.transcript

    def send(self, pcm: bytes | bytearray | memoryview, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Feed sound: int16, mono, little-endian, at the stream's rate. Blocks while the model takes no more.

        Raises InvalidRequest (no int16 sound; the stream has ended), DeadlineExceeded (`timeout_s` without room; what was
        fed stays fed), or what ended the stream. Calls of several threads never mix their pieces.
        """
        self._feed(heard_sound(pcm, self._rate_hz), timeout_s)


class Synthesis(Stream[SpeechEvent]):
    """A text spoken whole."""

    def __init__(self, line: Line, draft: Draft) -> None:
        self._view = SpeechView(time.monotonic(), 0, keep=True)
        super().__init__(line, draft, self._view)

    def speech(self) -> Speech:
        """Return the whole of it, reading what is left of the stream. Blocks until its end; raises its error."""
        for _ in self:
            continue
        return self._view.speech


class SpeechStream(Duplex[SpeechEvent]):
    """Text spoken as it is written: send it from one thread, iterate in another.

    AudioStarted tells the format at once; AudioChunk and Word follow. Sound comes at most about a second ahead of what
    `played` tells, or of the clock if nothing tells. Leaving cancels; so does `cancel`, which says what was heard.
    """

    def __init__(self, line: Line, draft: Draft, epoch: int) -> None:
        self._epoch = epoch
        self._played_ms = 0
        self._view = SpeechView(time.monotonic(), epoch, keep=False)
        super().__init__(line, draft, self._view)

    @property
    def speech(self) -> Speech:
        """Words, times and costs of all of it, after the end; its sound was in the chunks. Raises InvalidRequest before."""
        return self._view.speech

    def send(self, text: str, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Feed the next piece of the text, cut anywhere; nothing of an empty one. Blocks while the model takes no more.

        Raises InvalidRequest (no text; the stream has ended), DeadlineExceeded (`timeout_s` without room; what was fed
        stays fed), or what ended the stream. Calls of several threads never mix their pieces.
        """
        piece = spoken_piece(text)
        self._view.script.give(piece)
        self._feed(Writing(piece), timeout_s)

    def pause(self, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Stop the sound for now and keep everything. Blocks like `finish`; what is on its way still comes."""
        self._say(control.Pause(self.request_id), timeout_s)

    def resume(self, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Go on after `pause`. Blocks like `finish`."""
        self._say(control.Resume(self.request_id), timeout_s)

    def played(self, played_ms: int, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Tell how much of the sound the loudspeaker has played. Blocks like `finish`."""
        self._say(control.Played(self.request_id, self._epoch, played_ms), timeout_s)
        self._played_ms = played_ms

    def heard(self, played_ms: int) -> Heard:
        """Return the text that was heard once so much had been played: up to the last word that had ended by then."""
        return self._view.script.heard(played_ms)

    def cancel(self, played_ms: int | None = None) -> Heard:  # type: ignore[override]  # speech has something to say here
        """Stop in the middle of a word, and return what was heard of the text. Does not block.

        `played_ms`: None: what `played` told last. Nothing that sounds is shown any more; iterating raises `Cancelled` once
        the daemon confirms. May come before the first sound; after the end it only tells. Raises InvalidRequest.
        """
        played_ms = self._played_ms if played_ms is None else played_ms
        self._intake.say(say(control.Played(self.request_id, self._epoch, played_ms)))
        self._view.cut()
        self._intake.cancel()
        return self.heard(played_ms)
