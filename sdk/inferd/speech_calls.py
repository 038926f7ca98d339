"""The blocking client's calls about sound and words.

Covers: `SpeechCalls`, a part of `Client`. See also: `aio_speech_calls`, the same names awaited.

`timeout_s` is the longest time without progress (queue position, load, output, what is fed): 300 s unless told.
`keep_alive_s`: how long the model is to stay loaded afterwards, unused; see `Client.generate`.
What every call can raise: see `client`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
from inferd.speech_streams import SpeechStream, Synthesis, Transcription, TranscriptStream

if TYPE_CHECKING:
    from typing import Unpack

    from inferd.line import Line
    from inferd.messages.control import Priority
    from inferd.sound_file import Audio
    from inferd.speech_drafts import Timestamps
    from inferd.spoken import Speech
    from inferd.transcript import Transcript


class SpeechCalls:
    """What can be asked of models that hear and speak."""

    _line: Line

    def transcribe(
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
        """Return the words of a whole sound; silence, noise and music have none. Blocks until they are complete.

        `audio`: a path, which is read with the app's own rights; bytes; or an array of int16 or float32 samples, one
        channel (anything with the buffer protocol). `rate_hz`: None for a file or its bytes (wav, flac, mp3, ogg, m4a);
        of samples without a header it must be given. `language`: ISO 639-1, None: detected. `prompt`: words that are
        likely to come. `model`: exactly this one, never a substitute; None lets inferd choose.

        Raises InvalidRequest (no such file, a folder, nothing, half a sample, no sound that can be read), ModelNotFound,
        NoEligibleModel, LoadFailed, ModelFailed (a retry helps), and what every call can raise.
        """
        with self.transcription(
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
            return stream.transcript()

    def transcription(
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
    ) -> Transcription:
        """Return the words of a whole sound as they are found: state, segments; then `transcript()` has the whole.

        Takes and raises what `transcribe` does. A long sound is fed, and its file read, as the stream is iterated.
        """
        bulk = opened(audio, rate_hz)
        whole = bulk.whole()
        fields = {"rate_hz": rate_hz, "language": language, "prompt": prompt, "timestamps": timestamps}
        request = transcribe_draft(
            whole, fields, timeout_s=timeout_s, priority=priority, model=model, keep_alive_s=keep_alive_s
        )
        return Transcription(self._line, request, bulk if whole is None else None)

    def transcribe_stream(
        self,
        rate_hz: int = 16_000,
        *,
        model: str | None = None,
        priority: Priority = "interactive",
        timeout_s: float = STREAM_TIMEOUT_S,
        keep_alive_s: float | None = None,
        **options: Unpack[HearingOptions],
    ) -> TranscriptStream:
        """Return a stream that transcribes sound as it is sent: int16, mono, at `rate_hz`. Does not block.

        Of each utterance: SpeechStarted, Partial (its `stable` only grows), SpeechStopped, Final. `options`: see
        `HearingOptions`. A slow machine thins partials out; one that cannot even follow with final texts keeps a minute and a
        half of sound, then `send` waits. Send also while nobody speaks (zeros for a muted microphone), and `finish` at the end.
        Iterating raises what `transcribe` raises, and Cancelled (reason starved_feed) when nothing is sent for 10 s: the slot
        is for others then, open another stream.
        """
        request = transcribe_stream_draft(
            rate_hz, options, timeout_s=timeout_s, priority=priority, model=model, keep_alive_s=keep_alive_s
        )
        return TranscriptStream(self._line, request, rate_hz)

    def synthesize(
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
        """Return a text spoken: int16 samples, their rate, its words with their times. Blocks until it is complete.

        `voice`: names the model ("joe"); with `model` it is a speaker of that model; None lets inferd choose. `rate`:
        0.25 to 4, of the voice's own pace. `options`: see `SpeakingOptions`. Raises InvalidRequest (no words, a value out
        of its range), ModelNotFound, NoEligibleModel, LoadFailed, ModelFailed (a retry helps), and what every call can.
        """
        with self.synthesis(
            text, voice, rate, model=model, priority=priority, timeout_s=timeout_s, keep_alive_s=keep_alive_s, **options
        ) as stream:
            return stream.speech()

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
    ) -> Synthesis:
        """Return a text spoken as it is made: state, sound, words; then `speech()` has the whole. Does not block.

        Takes and raises what `synthesize` does.
        """
        request = synthesize_draft(
            text, voice, rate, options, timeout_s=timeout_s, priority=priority, model=model, keep_alive_s=keep_alive_s
        )
        return Synthesis(self._line, request)

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
    ) -> SpeechStream:
        """Return a stream that speaks text as it is sent, token by token if need be. Does not block.

        The first clause sounds before the second is known. `epoch`: stamped on what sounds, so that an app can tell what
        an interruption made stale. The rest is as in `synthesize`; iterating raises what that raises.
        """
        request = synthesize_stream_draft(
            voice, rate, options, epoch, timeout_s=timeout_s, priority=priority, model=model, keep_alive_s=keep_alive_s
        )
        return SpeechStream(self._line, request, epoch)
