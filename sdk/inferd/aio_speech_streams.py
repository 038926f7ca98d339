"""Streams of the asyncio client about sound and words.

Covers: a whole sound transcribed, sound transcribed as it is heard, text spoken whole or as it is written.
See also: `speech_streams`, the same for threads; `aio_duplex`.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from inferd.aio_duplex import AsyncDuplex
from inferd.aio_streams import AsyncStream, Box
from inferd.bulk import Fed
from inferd.messages import control
from inferd.speech_drafts import spoken_piece
from inferd.spoken import SpeechEvent, SpeechView
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


class AsyncTranscription(AsyncStream[TranscriptionEvent]):
    """A whole sound's words: state, and segments as they are found. A long sound is fed while this is read."""

    def __init__(self, line: Line, draft: Draft, bulk: Bulk | None) -> None:
        """`bulk`: None for a sound that goes inside the request."""
        self._view: TranscriptView[TranscriptionEvent] = TranscriptView(time.monotonic(), *TRANSCRIPTION_EVENTS)
        self._bulk = bulk
        self._reading: asyncio.Future[bytes | None] | None = None
        box = Box()
        view: View[TranscriptionEvent] = Fed(bulk, self._view) if bulk else self._view
        super().__init__(line, draft, view, box if bulk else None, box=box)

    async def transcript(self) -> Transcript:
        """Return the whole transcript, reading what is left of the stream. Raises its error."""
        async for _ in self:
            continue
        return self._view.transcript

    async def _before_waiting(self) -> None:
        while self._bulk:
            for command in self._bulk.commands(self.request_id):
                self._intake.say(command)
            if not self._bulk.hungry:
                return
            self._bulk.give(await self._block(self._bulk))

    async def _block(self, bulk: Bulk) -> bytes | None:
        """Return the next block, read in a thread: a disk may be slow. A wait that is given up loses none."""
        if self._reading is None:
            self._reading = asyncio.ensure_future(asyncio.to_thread(next, bulk.blocks, None))
        block = await asyncio.shield(self._reading)
        self._reading = None
        return block


class AsyncTranscriptStream(AsyncDuplex[TranscriptEvent]):
    """Sound transcribed as it is heard: send it from one task, iterate in another; see `TranscriptStream`."""

    def __init__(self, line: Line, draft: Draft, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._view: TranscriptView[TranscriptEvent] = TranscriptView(time.monotonic(), *TRANSCRIPT_EVENTS)
        super().__init__(line, draft, self._view)

    @property
    def transcript(self) -> Transcript:
        """All of it, after the end. Raises InvalidRequest before."""
        return self._view.transcript

    async def send(self, pcm: bytes | bytearray | memoryview, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Feed sound: int16, mono, little-endian, at the stream's rate. Waits while the model takes no more.

        Raises InvalidRequest (no int16 sound; the stream has ended), DeadlineExceeded (`timeout_s` without room; what
        was fed stays fed), or what ended the stream. Calls of several tasks never mix their pieces.
        """
        await self._feed(heard_sound(pcm, self._rate_hz), timeout_s)


class AsyncSynthesis(AsyncStream[SpeechEvent]):
    """A text spoken whole."""

    def __init__(self, line: Line, draft: Draft) -> None:
        self._view = SpeechView(time.monotonic(), 0, keep=True)
        super().__init__(line, draft, self._view)

    async def speech(self) -> Speech:
        """Return the whole of it, reading what is left of the stream. Raises its error."""
        async for _ in self:
            continue
        return self._view.speech


class AsyncSpeechStream(AsyncDuplex[SpeechEvent]):
    """Text spoken as it is written: send it from one task, iterate in another; see `SpeechStream`."""

    def __init__(self, line: Line, draft: Draft, epoch: int) -> None:
        self._epoch = epoch
        self._played_ms = 0
        self._view = SpeechView(time.monotonic(), epoch, keep=False)
        super().__init__(line, draft, self._view)

    @property
    def speech(self) -> Speech:
        """Words, times and costs of all of it, after the end; its sound was in the chunks. Raises InvalidRequest before."""
        return self._view.speech

    async def send(self, text: str, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Feed the next piece of the text, cut anywhere; nothing of an empty one. Waits while the model takes no more.

        Raises InvalidRequest (no text; the stream has ended), DeadlineExceeded (`timeout_s` without room; what was fed
        stays fed), or what ended the stream. Calls of several tasks never mix their pieces.
        """
        piece = spoken_piece(text)
        self._view.script.give(piece)
        await self._feed(Writing(piece), timeout_s)

    async def pause(self, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Stop the sound for now and keep everything. Waits like `finish`; what is on its way still comes."""
        await self._say(control.Pause(self.request_id), timeout_s)

    async def resume(self, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Go on after `pause`. Waits like `finish`."""
        await self._say(control.Resume(self.request_id), timeout_s)

    async def played(self, played_ms: int, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Tell how much of the sound the loudspeaker has played. Waits like `finish`."""
        await self._say(control.Played(self.request_id, self._epoch, played_ms), timeout_s)
        self._played_ms = played_ms

    def heard(self, played_ms: int) -> Heard:
        """Return the text that was heard once so much had been played: up to the last word that had ended by then."""
        return self._view.script.heard(played_ms)

    def cancel(self, played_ms: int | None = None) -> Heard:  # type: ignore[override]  # speech has something to say here
        """Stop in the middle of a word, and return what was heard of the text; see `SpeechStream.cancel`. Does not wait."""
        played_ms = self._played_ms if played_ms is None else played_ms
        self._intake.say(say(control.Played(self.request_id, self._epoch, played_ms)))
        self._view.cut()
        self._intake.cancel()
        return self.heard(played_ms)
