"""What a request may ask: one frozen dataclass per operation, its class name the wire's `op`.

Covers: operations and the values inside them. See also: `control.Request` (the envelope with model, priority, timeout).
Defaults are the ones a person would expect from a model's own card; `None` means "the model's default".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from inferd.messages.bounds import Blob, Fraction, HoldSeconds, Length, Name, Positive, Range, RateHz, ShortText, Text
from inferd.messages.schemas import ModelSchema
from inferd.messages.speech import (
    SetSpeechPolicy,
    SpeechOperation,
    SpeechStatus,
    Synthesize,
    SynthesizeStream,
    Transcribe,
    TranscribeStream,
)

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Words inside a message."""

    text: Text


@dataclass(frozen=True, slots=True)
class ImageBlock:
    """An encoded image (png, jpeg, webp) inside a message."""

    image: Blob
    media_type: Name = "image/png"


@dataclass(frozen=True, slots=True)
class AudioBlock:
    """An encoded sound inside a message."""

    audio: Blob
    media_type: Name = "audio/wav"


Block = TextBlock | ImageBlock | AudioBlock
BLOCKS: Mapping[str, type[Block]] = {"text": TextBlock, "image": ImageBlock, "audio": AudioBlock}
"""Wire `type` of a block → class."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model made; `arguments` is the JSON text as the model wrote it."""

    id: ShortText
    name: Name
    arguments: Text


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; `content` is words, or blocks in order."""

    role: Role
    content: Text | Annotated[tuple[Block, ...], Length(0, 4096)]
    name: Name | None = None
    tool_call_id: ShortText | None = None
    tool_calls: Annotated[tuple[ToolCall, ...], Length(0, 1024)] = ()


@dataclass(frozen=True, slots=True)
class Generate:
    """Text from a conversation, token by token.

    A raw `prompt` of the SDK is one user message. Sampling fields left `None` take the model's own defaults.
    """

    messages: Annotated[tuple[Message, ...], Length(1, 10_000)]
    max_tokens: Annotated[int, Range(1, 10_000_000)] | None = None
    temperature: Annotated[float, Range(0.0, 10.0)] | None = None
    top_p: Fraction | None = None
    top_k: Annotated[int, Range(0, 10_000_000)] | None = None
    min_p: Fraction | None = None
    seed: Annotated[int, Range(0, 2**32 - 1)] | None = None
    stop: Annotated[tuple[Annotated[str, Length(1, 1024)], ...], Length(0, 64)] = ()
    presence_penalty: Annotated[float, Range(-2.0, 2.0)] = 0.0
    frequency_penalty: Annotated[float, Range(-2.0, 2.0)] = 0.0
    repeat_penalty: Annotated[float, Range(0.01, 10.0)] = 1.0
    logit_bias: Annotated[Mapping[str, Annotated[float, Range(-100.0, 100.0)]], Length(0, 4096)] | None = None
    logprobs: Annotated[int, Range(0, 20)] | None = None
    thinking: Literal["auto", "on", "off"] = "auto"
    thinking_budget: Positive | None = None
    tools: Annotated[tuple[Mapping[str, object], ...], Length(0, 1024)] = ()
    tool_choice: Literal["auto", "none", "required"] | Mapping[str, object] = "auto"
    parallel_tool_calls: bool = True
    response_format: Mapping[str, object] | None = None
    truncate: Literal["never", "oldest"] = "never"
    shared_prefix: bool = False


@dataclass(frozen=True, slots=True)
class Loopback:
    """What is fed comes back as `audio_chunk` events: proves the uplink of an engine and measures its delay.

    Audio is int16, mono, little-endian. Served by the `echo` engine.
    """

    rate_hz: RateHz = 16_000


@dataclass(frozen=True, slots=True)
class Tokenize:
    """A text's tokens as the model's own tokenizer makes them; answered by `tokenized`.

    Raw: no chat template, nothing added in front; what looks like a special token is plain text. Without `lossy` the tokens
    give the very text back, or it is `UnsupportedMode`.
    """

    text: Text
    lossy: bool = False


@dataclass(frozen=True, slots=True)
class Detokenize:
    """The text that tokens stand for, special ones as their own text; answered by `detokenized`.

    With `lossy` bytes that are no UTF-8 become U+FFFD, and tokenizers that change texts answer too.
    """

    ids: Blob
    """int32, little-endian."""
    lossy: bool = False


@dataclass(frozen=True, slots=True)
class EstimateTokens:
    """How many tokens a `generate` with these fields would read, and whether it fits; answered by `estimated`."""

    messages: Annotated[tuple[Message, ...], Length(1, 10_000)]
    max_tokens: Annotated[int, Range(1, 10_000_000)] | None = None
    thinking: Literal["auto", "on", "off"] = "auto"
    tools: Annotated[tuple[Mapping[str, object], ...], Length(0, 1024)] = ()
    tool_choice: Literal["auto", "none", "required"] | Mapping[str, object] = "auto"
    parallel_tool_calls: bool = True
    response_format: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class ListModels:
    """Every model that the daemon knows, with its live state; answered by `model_list`."""


@dataclass(frozen=True, slots=True)
class Status:
    """The daemon, its processes, who uses what and who waits for what; answered by `status_report`."""


@dataclass(frozen=True, slots=True)
class Pull:
    """Fetch a model's files; `pull_progress` events, then `pulled`. Cancelling leaves the download running for others."""

    name: Name


@dataclass(frozen=True, slots=True)
class Unload:
    """Drain a model and end its process; answered by `unloaded`. Queued requests wait for its next life."""

    name: Name


@dataclass(frozen=True, slots=True)
class Why:
    """What was decided about a model's memory lately, oldest first; answered by `why_report`."""

    name: Name


@dataclass(frozen=True, slots=True)
class Preflight:
    """Whether a model would fit into memory now, and what it would take; nothing is loaded. Answered by `preflight_report`."""

    name: Name
    context_tokens: Positive | None = None
    """Of one request; None: as configured."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Load these models and keep them in memory, all or none; `loading` events, then `held`. It ends with the app's line."""

    names: Annotated[tuple[Name, ...], Length(1, 16)]
    seconds: HoldSeconds
    """From `held` on."""


@dataclass(frozen=True, slots=True)
class RenewHold:
    """Begin a hold's time anew; answered by `held`."""

    hold: Positive
    seconds: HoldSeconds


@dataclass(frozen=True, slots=True)
class ReleaseHold:
    """End a hold; answered by `released`, also if it had ended before."""

    hold: Positive


@dataclass(frozen=True, slots=True)
class WarmUp:
    """Load these models, each for itself; `loading` events, then `warmed_up` with one result per name."""

    names: Annotated[tuple[Name, ...], Length(1, 64)]


@dataclass(frozen=True, slots=True)
class Pin:
    """Never have a model leave for another's memory or for want of use, once it is loaded; answered by `pinned`."""

    name: Name


@dataclass(frozen=True, slots=True)
class Unpin:
    """Take back a `pin`; answered by `pinned`. A pin of the configuration stays: `invalid_request`."""

    name: Name


@dataclass(frozen=True, slots=True)
class Health:
    """What is wrong with the service, and how all its parts are; answered by `health_report`."""


@dataclass(frozen=True, slots=True)
class Remove:
    """Forget a model's file: streams end first, what waits is refused; answered by `removed`. It goes on if the app leaves."""

    name: Name


@dataclass(frozen=True, slots=True)
class ListSchemas:
    """What is known of every model, loaded or not; answered by `schema_list`."""


@dataclass(frozen=True, slots=True)
class Register:
    """Add a row to the user's models, or put it in place of the row with its id; answered by `registered`."""

    schema: ModelSchema


@dataclass(frozen=True, slots=True)
class Unregister:
    """Take a registered row away; answered by `unregistered` once nothing runs on a model that goes with it."""

    name: Name


@dataclass(frozen=True, slots=True)
class Discover:
    """Look for model servers on loopback and for model files of other programs; answered by `discovered`."""


@dataclass(frozen=True, slots=True)
class ListUpgrades:
    """Installed models for which the curated list has a newer one; answered by `upgrade_list`."""


@dataclass(frozen=True, slots=True)
class Stop:
    """End the daemon: what runs may finish within `grace_ms`, then it is cancelled; answered by `stopping`."""

    grace_ms: Annotated[int, Range(0, 600_000)] = 30_000


Operation = (
    Generate
    | SpeechOperation
    | Loopback
    | Tokenize
    | Detokenize
    | EstimateTokens
    | ListModels
    | Status
    | Pull
    | Unload
    | Remove
    | ListSchemas
    | Register
    | Unregister
    | Discover
    | ListUpgrades
    | Why
    | Preflight
    | Hold
    | RenewHold
    | ReleaseHold
    | WarmUp
    | Pin
    | Unpin
    | Health
    | SpeechStatus
    | SetSpeechPolicy
    | Stop
)
OPERATIONS: tuple[type[Operation], ...] = (
    Generate,
    Transcribe,
    TranscribeStream,
    Synthesize,
    SynthesizeStream,
    Loopback,
    Tokenize,
    Detokenize,
    EstimateTokens,
    ListModels,
    Status,
    Pull,
    Unload,
    Why,
    Preflight,
    Hold,
    RenewHold,
    ReleaseHold,
    WarmUp,
    Pin,
    Unpin,
    Health,
    SpeechStatus,
    SetSpeechPolicy,
    Remove,
    ListSchemas,
    Register,
    Unregister,
    Discover,
    ListUpgrades,
    Stop,
)
FOR_MODELS: frozenset[type[Operation]] = frozenset(
    {Generate, Transcribe, TranscribeStream, Synthesize, SynthesizeStream, Loopback}
)
"""Operations that a loaded model serves."""
FOR_VOCABULARIES: frozenset[type[Operation]] = frozenset({Tokenize, Detokenize, EstimateTokens})
"""Operations about a stored model's file, served without loading the model. The daemon answers all others itself."""
