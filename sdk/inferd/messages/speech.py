"""Speech on the wire: what may be asked of models that hear and speak, and what their streams answer.

Covers: the operations and the events of sound and words. See also: `operations` and `events`, which list them with the others.
Sound is int16, mono, little-endian everywhere; moments are milliseconds since the stream's first sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from inferd.messages.bounds import (
    Blob,
    Bytes,
    Count,
    Fraction,
    Length,
    Milliseconds,
    Name,
    Range,
    RateHz,
    Seconds,
    ShortText,
    Text,
)

Rate = Annotated[float, Range(0.25, 4.0)]
"""Of speaking, 1.0 the voice's own; outside it no voice can be understood."""
Silence = Annotated[int, Range(100, 30_000)]
"""Milliseconds of silence that end something."""

Language = Annotated[str, Length(0, 35)]
"""The longest tag that BCP 47 asks a reader to take."""
Prefer = Literal["quality", "latency"]
"""The largest model that fits, or the one that answers soonest."""

# --- operations


@dataclass(frozen=True, slots=True)
class Transcribe:
    """The words of one sound; `transcript_segment` events as they are found, then `transcribed`.

    Silence, noise and music give no words.
    """

    audio: Blob | None = None
    """A whole file (wav, flac, mp3, ogg, m4a), or samples if `rate_hz` is given; nil: it is fed, in pieces cut anywhere."""
    rate_hz: RateHz | None = None
    """Of samples without a header; nil: a file, which says its own format."""
    language: Name | None = None
    """ISO 639-1; nil: detected."""
    prompt: ShortText | None = None
    """Words that are likely to come: names, terms, what was said before."""
    timestamps: Literal["none", "segment", "word"] = "segment"


@dataclass(frozen=True, slots=True)
class TranscribeStream:
    """The words of sound that is fed as it is heard: partial texts while somebody speaks, a final one for each utterance.

    `speech_started`, `partial`, `speech_stopped`, `final`; when all has been fed and said, `transcribed`.
    """

    rate_hz: RateHz = 16_000
    language: Name | None = None
    """ISO 639-1; nil: detected once, then kept."""
    prompt: ShortText | None = None
    timestamps: Literal["none", "word"] = "none"
    """"word": the finals have the times of their words."""
    partials: bool = True
    vad_threshold: Fraction = 0.5
    """Probability of speech above which a frame counts as speech."""
    speech_start_ms: Annotated[int, Range(0, 5_000)] = 200
    """Speech shorter than this starts no utterance."""
    endpoint_silence_ms: Silence = 500
    """Silence that ends an utterance which looks finished."""
    endpoint_unfinished_ms: Silence = 2_500
    """Silence that ends one which does not: no end of a sentence, or a word that asks for another one."""


@dataclass(frozen=True, slots=True)
class Synthesize:
    """A text spoken; `audio_started`, `audio_chunk` and `word` events, then `spoken`. The request's model is the voice."""

    text: Text
    voice: Name | None = None
    """A speaker of a model that has several, by name or number; nil: its first."""
    rate: Rate = 1.0
    volume: Annotated[float, Range(0.0, 4.0)] = 1.0
    markdown: bool = True
    """Markup, links, code and emoji are made speakable; false: the text is spoken as it stands."""
    epoch: Count = 0
    """Stamped on every event of sound, so that an app can tell what an interruption made stale."""


@dataclass(frozen=True, slots=True)
class SynthesizeStream:
    """As `synthesize`, of text that is fed as it is written: the first clause is spoken before the second is known."""

    voice: Name | None = None
    rate: Rate = 1.0
    volume: Annotated[float, Range(0.0, 4.0)] = 1.0
    markdown: bool = True
    epoch: Count = 0


@dataclass(frozen=True, slots=True)
class SpeechStatus:
    """What would hear and speak now, why, and what of it is missing; answered by `speech_report`."""


@dataclass(frozen=True, slots=True)
class SetSpeechPolicy:
    """Change by which rules models are chosen to hear and speak, at once and over restarts; answered by `speech_report`.

    nil: as it was.
    """

    language: Language | None = None
    """As BCP 47 writes it; empty: no preference."""
    prefer: Prefer | None = None
    ear: Annotated[str, Length(0, 256)] | None = None
    """The model that hears, by name; empty: chosen."""
    voice: Annotated[str, Length(0, 256)] | None = None
    """The model that speaks, by name; empty: chosen."""
    local_only: bool | None = None


SpeechOperation = Transcribe | TranscribeStream | Synthesize | SynthesizeStream

# --- what answers tell


@dataclass(frozen=True, slots=True)
class SpeechPolicy:
    """By which rules a model is chosen to hear or speak when a request names none."""

    language: Language = ""
    """Preferred where a request does not say its own; empty: none."""
    prefer: Prefer = "latency"
    ear: ShortText = ""
    """The model that hears whatever else is known; empty: chosen."""
    voice: ShortText = ""
    """The model that speaks; empty: chosen."""
    local_only: bool = True
    """Sound and words stay on this machine."""


@dataclass(frozen=True, slots=True)
class SpeechStage:
    """One part of a conversation by voice: which model does it, and whether it could begin now."""

    model: ShortText
    """Empty: there is none."""
    reason: ShortText
    """Why this one."""
    available: bool
    """Its engine is installed here, and it has not failed for good."""
    weights_ready: bool
    loaded: bool
    languages: Annotated[tuple[Name, ...], Length(0, 128)] = ()
    """Empty: not known."""
    size_bytes: Bytes = 0
    """Of its files; 0: not known."""
    problem: ShortText = ""
    """What is missing, or failed last."""
    next: ShortText = ""
    """What to do about it."""


@dataclass(frozen=True, slots=True)
class SpeechHealth:
    """What would hear and speak at this moment."""

    healthy: bool
    """No part is missing; it may have to be loaded first."""
    policy: SpeechPolicy
    ear: SpeechStage
    voice: SpeechStage
    vad: SpeechStage
    """Who tells speech from silence: it comes with the ear's engine, and is loaded with the ear."""


# --- content


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word and when it was said."""

    text: ShortText
    start_ms: Milliseconds
    end_ms: Milliseconds
    probability: Fraction = 1.0


@dataclass(frozen=True, slots=True)
class TranscriptSegment:
    """The next piece of a transcript. The texts of all segments, as they stand, are the transcript."""

    text: Text
    start_ms: Milliseconds
    end_ms: Milliseconds
    words: Annotated[tuple[SpokenWord, ...], Length(0, 65_536)] = ()


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Somebody began to speak at `start_ms`. Utterances count from 1."""

    utterance: Count
    start_ms: Milliseconds


@dataclass(frozen=True, slots=True)
class Partial:
    """What has been understood so far. `stable` only grows; `tentative` may change and follows it."""

    utterance: Count
    stable: Text
    tentative: Text
    end_ms: Milliseconds
    """Up to where the stream was listened to."""
    lag_ms: Milliseconds = 0
    """Age of the newest sample in it at the moment it was said."""
    rtf: Seconds = 0.0
    """Seconds of computing per second of sound, of this pass."""
    at_pause: bool = False
    """The speaker pauses, and all of the utterance has been heard with care: its final text, if the pause is its end."""


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The utterance is over: its speech ended at `end_ms`. Its `final` follows."""

    utterance: Count
    end_ms: Milliseconds


@dataclass(frozen=True, slots=True)
class Final:
    """The utterance's text, from one clean pass over all of it; may differ from what was `stable`. Empty: it was no speech."""

    utterance: Count
    text: Text
    start_ms: Milliseconds
    end_ms: Milliseconds
    language: ShortText = ""
    words: Annotated[tuple[SpokenWord, ...], Length(0, 65_536)] = ()
    lag_ms: Milliseconds = 0
    """Since `speech_stopped` was said."""
    rtf: Seconds = 0.0


@dataclass(frozen=True, slots=True)
class AudioStarted:
    """The format of all chunks to come, said at once: a player can be opened before the first of them."""

    rate_hz: RateHz
    voice: ShortText = ""
    epoch: Count = 0


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the text and when it sounds. Offsets are characters of the text as it was sent, markup included."""

    text: ShortText
    start_ms: Milliseconds
    end_ms: Milliseconds
    first_char: Count
    end_char: Count
    epoch: Count = 0
    estimated: bool = True
    """The voice does not tell times: shared out by length."""


SpeechContent = TranscriptSegment | SpeechStarted | Partial | SpeechStopped | Final | AudioStarted | Word

# --- terminal


@dataclass(frozen=True, slots=True)
class Heard:
    """What of a spoken text a listener has heard: up to the last word that had ended."""

    text: Text
    chars: Count
    """Length of that text in the text as it was sent."""
    played_ms: Milliseconds


@dataclass(frozen=True, slots=True)
class Transcribed:
    """The transcript is complete: what the segments, or the finals, said."""

    model: Name
    language: ShortText = ""
    """Empty: nobody spoke."""
    language_probability: Fraction = 0.0
    duration_s: Seconds = 0.0
    speech_s: Seconds = 0.0
    """Of the duration, how long somebody spoke."""
    compute_s: Seconds = 0.0
    """Time that the model took; over `duration_s`: the real-time factor."""
    queue_s: Seconds = 0.0
    load_s: Seconds = 0.0
    warnings: Annotated[tuple[ShortText, ...], Length(0, 64)] = ()
    fallback_from: Name | None = None


@dataclass(frozen=True, slots=True)
class Spoken:
    """All of the text has been spoken."""

    model: Name
    duration_s: Seconds = 0.0
    compute_s: Seconds = 0.0
    queue_s: Seconds = 0.0
    load_s: Seconds = 0.0
    warnings: Annotated[tuple[ShortText, ...], Length(0, 64)] = ()
    fallback_from: Name | None = None


@dataclass(frozen=True, slots=True)
class SpeechReport:
    """Answer to `speech_status` and `set_speech_policy`: how it is from now on."""

    health: SpeechHealth


SpeechTerminal = Transcribed | Spoken | SpeechReport
