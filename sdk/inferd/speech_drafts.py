"""What an app asks of models that hear and speak: the drafts of the four calls; for both clients.

Covers: checking before anything is sent, with the field in the error. Does not cover waiting. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypedDict

from inferd import wire
from inferd.drafts import Draft, draft
from inferd.messages import speech
from inferd.uplink import invalid

if TYPE_CHECKING:
    from inferd.messages.control import Priority

Timestamps = Literal["none", "segment", "word"]


class HearingOptions(TypedDict, total=False):
    """What `transcribe_stream` takes beside the rate; absent ones have the default of the operation.

    Ranges are those of `inferd.messages.speech.TranscribeStream`; anything outside is `InvalidRequest` naming the field.
    """

    language: str | None
    """ISO 639-1; None: detected once, then kept."""
    prompt: str | None
    """Words that are likely to come: names, terms, what was said before."""
    timestamps: Literal["none", "word"]
    """"word": the finals have the times of their words."""
    partials: bool
    vad_threshold: float
    """Probability of speech above which a frame counts as speech: 0.5."""
    speech_start_ms: int
    """Speech shorter than this starts no utterance: 200."""
    endpoint_silence_ms: int
    """Silence that ends an utterance which looks finished: 500."""
    endpoint_unfinished_ms: int
    """Silence that ends one which does not: 2,500."""


class SpeakingOptions(TypedDict, total=False):
    """What `synthesize` and `synthesize_stream` take beside text, voice and rate."""

    volume: float
    """0 to 4; 1: as the voice was made."""
    markdown: bool
    """Markup, links, code and emoji are made speakable; False: the text is spoken as it stands."""


def transcribe_draft(
    audio: bytes | None,
    fields: Mapping[str, object],
    *,
    timeout_s: float,
    priority: Priority,
    model: str | None,
    keep_alive_s: float | None,
) -> Draft:
    """Return the request for the words of a whole sound. Raises InvalidRequest naming the first wrong field."""
    operation = wire.from_fields({"audio": audio, **fields}, speech.Transcribe)
    return draft(operation, timeout_s=timeout_s, priority=priority, model=model, keep_alive_s=keep_alive_s)


def transcribe_stream_draft(
    rate_hz: int,
    options: HearingOptions,
    *,
    timeout_s: float,
    priority: Priority,
    model: str | None,
    keep_alive_s: float | None,
) -> Draft:
    """Return the request to listen. Raises InvalidRequest naming the first wrong field."""
    operation = wire.from_fields({"rate_hz": rate_hz, **options}, speech.TranscribeStream)
    return draft(operation, timeout_s=timeout_s, priority=priority, model=model, keep_alive_s=keep_alive_s)


def synthesize_draft(
    text: str,
    voice: str | None,
    rate: float,
    options: SpeakingOptions,
    *,
    timeout_s: float,
    priority: Priority,
    model: str | None,
    keep_alive_s: float | None,
) -> Draft:
    """Return the request to speak a text. Raises InvalidRequest naming the first wrong field."""
    model, speaker = _who(voice, model)
    operation = wire.from_fields({"text": text, "voice": speaker, "rate": rate, **options}, speech.Synthesize)
    if not operation.text.strip():
        raise invalid("text", "expected words to speak, got none")
    return draft(operation, timeout_s=timeout_s, priority=priority, model=model, keep_alive_s=keep_alive_s)


def synthesize_stream_draft(
    voice: str | None,
    rate: float,
    options: SpeakingOptions,
    epoch: int,
    *,
    timeout_s: float,
    priority: Priority,
    model: str | None,
    keep_alive_s: float | None,
) -> Draft:
    """Return the request to speak what will be fed. Raises InvalidRequest naming the first wrong field."""
    model, speaker = _who(voice, model)
    fields = {"voice": speaker, "rate": rate, "epoch": epoch, **options}
    operation = wire.from_fields(fields, speech.SynthesizeStream)
    return draft(operation, timeout_s=timeout_s, priority=priority, model=model, keep_alive_s=keep_alive_s)


def _who(voice: str | None, model: str | None) -> tuple[str | None, str | None]:
    """Return model and speaker: a voice alone is a model, beside a model it is a speaker of it."""
    return (voice, None) if model is None else (model, voice)


def spoken_piece(text: object) -> str:
    """Return the next piece of a text. Raises InvalidRequest for what is none."""
    if not isinstance(text, str):
        raise invalid("text", f"expected a string, got {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError as lone:
        raise invalid("text", f"expected valid Unicode, got a lone surrogate at index {lone.start}") from None
    return text
