"""What a stream says: state, content, and exactly one terminal event.

State events carry sequence number 0: they may repeat or be missed, and need no window. Content and terminal events are
numbered 1, 2, … without gaps. See also: `sdk/PROTOCOL.md` §6 for their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from inferd.messages.bounds import (
    Blob,
    Bytes,
    Count,
    Fraction,
    HoldSeconds,
    Length,
    Name,
    Positive,
    Range,
    RateHz,
    Seconds,
    Seq,
    ShortText,
    Text,
)
from inferd.messages.reports import DaemonReport, Health, MemoryDecision, Model, Preflight, Warmed
from inferd.messages.schemas import FoundServer, ModelSchema, Upgrade
from inferd.messages.speech import (
    AudioStarted,
    Final,
    Heard,
    Partial,
    SpeechContent,
    SpeechReport,
    SpeechStarted,
    SpeechStopped,
    SpeechTerminal,
    Spoken,
    Transcribed,
    TranscriptSegment,
    Word,
)

CancelReason = Literal["app", "slow_reader", "disconnected", "shutdown", "unloaded", "starved_feed"]
StopReason = Literal["stop", "length", "stop_sequence", "tool_calls", "cancelled", "content_filter"]


# --- state: sequence number 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """The daemon has taken the request and will end it exactly once."""

    trace_id: Name


@dataclass(frozen=True, slots=True)
class Queued:
    """Waiting; `position` counts from 1 among the requests that wait for this model."""

    position: Count
    reason: ShortText = ""
    eta_s: Seconds | None = None


@dataclass(frozen=True, slots=True)
class Loading:
    """The model is being made ready; `progress` runs from 0 to 1 and `phase` says at what."""

    model: Name
    progress: Fraction
    phase: ShortText = ""


@dataclass(frozen=True, slots=True)
class Parked:
    """The engine set this stream aside for a more urgent one; it goes on by itself."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """The engine works on this stream again."""


@dataclass(frozen=True, slots=True)
class Granted:
    """Uplink window: pieces up to `limit_seq` and `limit_bytes` in sum may be fed."""

    limit_seq: Seq
    limit_bytes: Bytes


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far a download is; `total_bytes` and `left_s` are None while unknown."""

    phase: Literal["downloading", "verifying", "publishing"]
    done_bytes: Bytes
    total_bytes: Bytes | None = None
    rate_bytes_s: Seconds | None = None
    left_s: Seconds | None = None


# --- content


Logprob = Annotated[float, Range(-1e9, 0.0)]
"""Natural logarithm of a probability."""


@dataclass(frozen=True, slots=True)
class Likely:
    """A token that the model might have chosen. `text`: bytes that are no UTF-8 by themselves are U+FFFD."""

    token: Count
    text: Text
    logprob: Logprob


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token of the answer, how likely the model found it before any sampling setting, and the likeliest in its place."""

    token: Count
    text: Text
    logprob: Logprob
    top: Annotated[tuple[Likely, ...], Length(0, 20)] = ()


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer; never a part of a UTF-8 character.

    `logprobs`, if they were asked for: of the tokens since the delta before; a last delta may have them and no text.
    """

    text: Text
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """The next piece of the model's thinking."""

    text: Text


@dataclass(frozen=True, slots=True)
class ToolCallStart:
    """The model begins to call a tool."""

    name: Name
    index: Count
    id: ShortText


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """The next piece of a call's arguments, JSON text."""

    index: Count
    arguments_delta: Text


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens counted by the model's own tokenizer."""

    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    cached_tokens: Count = 0


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """Sound: int16, mono, little-endian. Chunks of an older `epoch` than the newest seen are stale."""

    pcm: Blob
    rate_hz: RateHz
    epoch: Count = 0
    first_sample: Count = 0


# --- terminal


@dataclass(frozen=True, slots=True)
class Finished:
    """Wire `done`: the stream is complete; the text is what the deltas said."""

    model: Name
    stop_reason: StopReason = "stop"
    usage: Usage = Usage()
    queue_s: Seconds = 0.0
    load_s: Seconds = 0.0
    warnings: Annotated[tuple[ShortText, ...], Length(0, 64)] = ()
    fallback_from: Name | None = None


@dataclass(frozen=True, slots=True)
class Tokenized:
    """Answer to `tokenize`; no ids for an empty text."""

    model: Name
    ids: Blob
    """int32, little-endian."""


@dataclass(frozen=True, slots=True)
class Detokenized:
    """Answer to `detokenize`."""

    model: Name
    text: Text


@dataclass(frozen=True, slots=True)
class Estimated:
    """Answer to `estimate_tokens`. `exact`: counted by the model's own tokenizer, on the prompt that it would be given."""

    model: Name
    input_tokens: Count
    context_tokens: Count
    """Of prompt and answer together; as configured, or as a load would choose, while the model is not loaded."""
    fits: bool
    """Whether the prompt leaves room for `max_tokens`; for one token where none were named."""
    exact: bool


@dataclass(frozen=True, slots=True)
class ModelList:
    """Answer to `list_models`."""

    models: tuple[Model, ...]


@dataclass(frozen=True, slots=True)
class StatusReport:
    """Answer to `status`."""

    report: DaemonReport


@dataclass(frozen=True, slots=True)
class Pulled:
    """Answer to `pull`: the files are there."""

    model: Name
    size_bytes: Bytes


@dataclass(frozen=True, slots=True)
class Unloaded:
    """Answer to `unload`: the process has ended."""

    model: Name


@dataclass(frozen=True, slots=True)
class WhyReport:
    """Answer to `why`."""

    model: Name
    decisions: tuple[MemoryDecision, ...]


@dataclass(frozen=True, slots=True)
class PreflightReport:
    """Answer to `preflight`."""

    preflight: Preflight


@dataclass(frozen=True, slots=True)
class Held:
    """Answer to `hold` and `renew_hold`: all its models are ready, and stay for `seconds` from now."""

    hold: Positive
    """Its name, for this app alone."""
    models: tuple[Name, ...]
    seconds: HoldSeconds


@dataclass(frozen=True, slots=True)
class Released:
    """Answer to `release_hold`. `was_held`: until now."""

    hold: Positive
    was_held: bool


@dataclass(frozen=True, slots=True)
class WarmedUp:
    """Answer to `warm_up`: one result per name, in their order."""

    results: tuple[Warmed, ...]


@dataclass(frozen=True, slots=True)
class Pinned:
    """Answer to `pin` and `unpin`: how it is from now on, over restarts."""

    model: Name
    pinned: bool
    note: ShortText = ""
    """What there is to know, if anything."""


@dataclass(frozen=True, slots=True)
class HealthReport:
    """Answer to `health`."""

    health: Health


@dataclass(frozen=True, slots=True)
class Removed:
    """Answer to `remove`: the file is gone, or was never inferd's to delete."""

    model: Name
    freed_bytes: Bytes
    also: tuple[Name, ...] = ()
    """Other models that had the very same file and are without it now."""
    note: ShortText = ""
    """Why nothing was freed, if nothing was."""


@dataclass(frozen=True, slots=True)
class SchemaList:
    """Answer to `list_schemas`."""

    schemas: tuple[ModelSchema, ...]
    problems: tuple[ShortText, ...] = ()
    """Registered rows that cannot be used, one sentence each."""


@dataclass(frozen=True, slots=True)
class Registered:
    """Answer to `register`: everybody sees the row from now on."""

    model: Name
    outcome: Literal["added", "replaced", "unchanged"]
    """`replaced`: an earlier row, or it changes a curated or configured one, which stands again after `unregister`."""
    note: ShortText = ""
    """What has to happen before the row has its full effect, if anything."""


@dataclass(frozen=True, slots=True)
class Unregistered:
    """Answer to `unregister`. `restored`: the curated or configured row of that id stands again."""

    model: Name
    restored: bool


@dataclass(frozen=True, slots=True)
class Discovered:
    """Answer to `discover`; each of the schemas can be registered as it is."""

    servers: tuple[FoundServer, ...]
    schemas: tuple[ModelSchema, ...]


@dataclass(frozen=True, slots=True)
class UpgradeList:
    """Answer to `list_upgrades`."""

    upgrades: tuple[Upgrade, ...]


@dataclass(frozen=True, slots=True)
class Stopping:
    """Answer to `stop`: the daemon drains and will close the line."""


@dataclass(frozen=True, slots=True)
class Error:
    """The request failed; codes and their meaning are those of `inferd.errors`."""

    code: Name
    message: ShortText
    retryable: bool = False
    retry_after_s: Seconds | None = None
    details: Mapping[str, str | int | float | bool | tuple[str, ...] | None] | None = None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The request was ended early."""

    reason: CancelReason
    usage: Usage = Usage()
    heard: Heard | None = None
    """Of speech, by the last `played`."""


State = Accepted | Queued | Loading | Parked | Resumed | Granted | PullProgress
Content = TextDelta | ThinkingDelta | ToolCallStart | ToolCallDelta | Usage | AudioChunk | SpeechContent
Terminal = (
    Finished
    | SpeechTerminal
    | Tokenized
    | Detokenized
    | Estimated
    | ModelList
    | StatusReport
    | Pulled
    | Unloaded
    | WhyReport
    | PreflightReport
    | Held
    | Released
    | WarmedUp
    | Pinned
    | HealthReport
    | Removed
    | SchemaList
    | Registered
    | Unregistered
    | Discovered
    | UpgradeList
    | Stopping
    | Error
    | Cancelled
)
Event = State | Content | Terminal

STATES: tuple[type[State], ...] = (Accepted, Queued, Loading, Parked, Resumed, Granted, PullProgress)
CONTENTS: tuple[type[Content], ...] = (
    TextDelta,
    ThinkingDelta,
    ToolCallStart,
    ToolCallDelta,
    Usage,
    AudioChunk,
    TranscriptSegment,
    SpeechStarted,
    Partial,
    SpeechStopped,
    Final,
    AudioStarted,
    Word,
)
TERMINALS: tuple[type[Terminal], ...] = (
    Finished,
    Transcribed,
    Spoken,
    Tokenized,
    Detokenized,
    Estimated,
    ModelList,
    StatusReport,
    Pulled,
    Unloaded,
    WhyReport,
    PreflightReport,
    Held,
    Released,
    WarmedUp,
    Pinned,
    HealthReport,
    SpeechReport,
    Removed,
    SchemaList,
    Registered,
    Unregistered,
    Discovered,
    UpgradeList,
    Stopping,
    Error,
    Cancelled,
)
ENDS: frozenset[type[Event]] = frozenset(TERMINALS)
"""To ask an event's class: `isinstance` of so many looks at each."""
