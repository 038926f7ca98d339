"""The asyncio client's calls about sound and words.

Covers: `AsyncSpeechCalls`, a part of `AsyncClient`. What they take, return and raise: see `speech_calls`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from inferd.aio_speech_streams import AsyncSpeechStream, AsyncSynthesis, AsyncTranscription, AsyncTranscriptStream
from inferd.drafts import STREAM_TIMEOUT_S
from inferd.sound_file import opened
from inferd.speech_drafts import (
    HearingOptions,
    SpeakingOptions,
    synthesize_draft,
    synthesize_stream_draft,
    transcribe_draft,
    transcribe_stream_draft,
)

if TYPE_CHECKING:
    from typing import Unpack

    from inferd.bulk import Bulk
    from inferd.line import Line
    from inferd.messages.control import Priority
    from inferd.sound_file import Audio
    from inferd.speech_drafts import Timestamps
    from inferd.spoken import Speech
    from inferd.transcript import Transcript


class AsyncSpeechCalls:
    """What can be asked of models that hear and speak."""

    _line: Line

    async def transcribe(
        self,
        audio: Audio,
        rate_hz: int | None = None,
        *,
        language: str | None = None,
        prompt: str | None = None,
        timestamps: Timestamps = "segment",
        model: str | None = None,
        priority: Priority = "interactive",
        timeout_s: float = STREAM_TIMEOUT_S,
        keep_alive_s: float | None = None,
    ) -> Transcript:
        """Return the words of a whole sound; see `Client.transcribe`. Cancelling the task cancels the request."""
        async with await self.transcription(
            audio,
            rate_hz,
            language=language,
            prompt=prompt,
            timestamps=timestamps,
            model=model,
            priority=priority,
            timeout_s=timeout_s,
            keep_alive_s=keep_alive_s,
        ) as stream:
            return await stream.transcript()

    async def transcription(
        self,
        audio: Audio,
        rate_hz: int | None = None,
        *,
        language: str | None = None,
        prompt: str | None = None,
        timestamps: Timestamps = "segment",
        model: str | None = None,
        priority: Priority = "interactive",
        timeout_s: float = STREAM_TIMEOUT_S,
        keep_alive_s: float | None = None,
    ) -> AsyncTranscription:
        """Return the words of a whole sound as they are found; see `Client.transcription`. The file is read in a thread."""
        bulk, whole = await asyncio.to_thread(_opened, audio, rate_hz)
        fields = {"rate_hz": rate_hz, "language": language, "prompt": prompt, "timestamps": timestamps}
        request = transcribe_draft(
            whole, fields, timeout_s=timeout_s, priority=priority, model=model, keep_alive_s=keep_alive_s
        )
        return AsyncTranscription(self._line, request, bulk if whole is None else None)

    def transcribe_stream(
        self,
        rate_hz: int = 16_000,
        *,
        model: str | None = None,
        priority: Priority = "interactive",
        timeout_s: float = STREAM_TIMEOUT_S,
        keep_alive_s: float | None = None,
        **options: Unpack[HearingOptions],
    ) -> AsyncTranscriptStream:
        """Return a stream that transcribes sound as it is sent; see `Client.transcribe_stream`."""
        request = transcribe_stream_draft(
            rate_hz, options, timeout_s=timeout_s, priority=priority, model=model, keep_alive_s=keep_alive_s
        )
        return AsyncTranscriptStream(self._line, request, rate_hz)

    async def synthesize(
        self,
        text: str,
        voice: str | None = None,
        rate: float = 1.0,
        *,
        model: str | None = None,
        priority: Priority = "interactive",
        timeout_s: float = STREAM_TIMEOUT_S,
        keep_alive_s: float | None = None,
        **options: Unpack[SpeakingOptions],
    ) -> Speech:
        """Return a text spoken; see `Client.synthesize`. Cancelling the task cancels the request."""
        async with self.synthesis(
            text, voice, rate, model=model, priority=priority, timeout_s=timeout_s, keep_alive_s=keep_alive_s, **options
        ) as stream:
            return await stream.speech()

    def synthesis(
        self,
        text: str,
        voice: str | None = None,
        rate: float = 1.0,
        *,
        model: str | None = None,
        priority: Priority = "interactive",
        timeout_s: float = STREAM_TIMEOUT_S,
        keep_alive_s: float | None = None,
        **options: Unpack[SpeakingOptions],
    ) -> AsyncSynthesis:
        """Return a text spoken as it is made; see `Client.synthesis`."""
        request = synthesize_draft(
            text, voice, rate, options, timeout_s=timeout_s, priority=priority, model=model, keep_alive_s=keep_alive_s
        )
        return AsyncSynthesis(self._line, request)

    def synthesize_stream(
        self,
        voice: str | None = None,
        rate: float = 1.0,
        *,
        epoch: int = 0,
        model: str | None = None,
        priority: Priority = "interactive",
        timeout_s: float = STREAM_TIMEOUT_S,
        keep_alive_s: float | None = None,
        **options: Unpack[SpeakingOptions],
    ) -> AsyncSpeechStream:
        """Return a stream that speaks text as it is sent; see `Client.synthesize_stream`."""
        request = synthesize_stream_draft(
            voice, rate, options, epoch, timeout_s=timeout_s, priority=priority, model=model, keep_alive_s=keep_alive_s
        )
        return AsyncSpeechStream(self._line, request, epoch)


def _opened(audio: Audio, rate_hz: int | None) -> tuple[Bulk, bytes | None]:
    bulk = opened(audio, rate_hz)
    return bulk, bulk.whole()
