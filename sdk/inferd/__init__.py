"""inferd: one place on a machine where every app asks for inference. This is what an app imports.

    import inferd

    with inferd.Client(app="my-app") as client:
        for event in client.stream("Name a river."):
            if isinstance(event, inferd.TextDelta):
                print(event.text, end="", flush=True)

Covers: the public face; `__all__` is all of it, and a test pins it. Rooms: `client` and `aio` (the two clients), `reply`
(the whole answer), `errors` (one tree), `messages` (what is said), `address` (where the daemon is).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from inferd.client import Client
from inferd.drafts import GenerateOptions, Prompt
from inferd.duplex import Loopback
from inferd.errors import (
    Cancelled,
    ConnectionLost,
    ContentRefused,
    ContextOverflow,
    DeadlineExceeded,
    InferenceError,
    InvalidRequest,
    KeyMissing,
    KeyRejected,
    LoadFailed,
    ModelFailed,
    ModelNotFound,
    NoEligibleModel,
    PermissionDenied,
    ProtocolError,
    ProviderError,
    PullFailed,
    QueueFull,
    QuotaExhausted,
    ResourceBlocked,
    SchemaNotSupported,
    UnsupportedMode,
    VersionMismatch,
)
from inferd.handle import AsyncInferenceHandle, InferenceHandle
from inferd.holds import Hold
from inferd.messages.bounds import Blob
from inferd.messages.control import Priority
from inferd.messages.events import (
    AudioChunk,
    Discovered,
    Likely,
    Loading,
    Parked,
    Pinned,
    Pulled,
    PullProgress,
    Queued,
    Registered,
    Removed,
    Resumed,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    ToolCallDelta,
    ToolCallStart,
    Unregistered,
    Usage,
)
from inferd.messages.operations import AudioBlock, ImageBlock, Message, TextBlock, ToolCall
from inferd.messages.reports import (
    App,
    Coverage,
    DaemonReport,
    GpuMemory,
    Health,
    MemoryDecision,
    Model,
    Preflight,
    Problem,
    Process,
    Provider,
    Trouble,
    Warmed,
)
from inferd.messages.schemas import (
    CostTier,
    Endpoint,
    FoundServer,
    HubFile,
    ModelSchema,
    PackageFile,
    Performance,
    TokenCost,
    Upgrade,
)
from inferd.messages.speech import (
    AudioStarted,
    Final,
    Heard,
    Partial,
    SpeechHealth,
    SpeechPolicy,
    SpeechStage,
    SpeechStarted,
    SpeechStopped,
    SpokenWord,
    TranscriptSegment,
    Word,
)
from inferd.reply import Done, GenerateEvent, PullEvent, Reply, accumulate
from inferd.sound_file import Audio
from inferd.speech_drafts import HearingOptions, SpeakingOptions
from inferd.speech_setup import SmokeStep, SmokeTest, SpeechSetup
from inferd.speech_streams import SpeechStream, Synthesis, Transcription, TranscriptStream
from inferd.spoken import Speech, SpeechEvent
from inferd.streams import ReplyStream, Stream
from inferd.transcript import Transcript, TranscriptEvent, TranscriptionEvent
from inferd.uplink import LoopbackEvent
from inferd.version import __version__
from inferd.vocabulary import TokenEstimate

if TYPE_CHECKING:
    from inferd.aio import AsyncClient
    from inferd.aio_duplex import AsyncLoopback
    from inferd.aio_holds import AsyncHold
    from inferd.aio_speech_streams import AsyncSpeechStream, AsyncSynthesis, AsyncTranscription, AsyncTranscriptStream
    from inferd.aio_streams import AsyncReplyStream, AsyncStream

__all__ = [
    "App",
    "AsyncClient",
    "AsyncHold",
    "AsyncInferenceHandle",
    "AsyncLoopback",
    "AsyncReplyStream",
    "AsyncSpeechStream",
    "AsyncStream",
    "AsyncSynthesis",
    "AsyncTranscriptStream",
    "AsyncTranscription",
    "Audio",
    "AudioBlock",
    "AudioChunk",
    "AudioStarted",
    "Blob",
    "Cancelled",
    "Client",
    "ConnectionLost",
    "ContentRefused",
    "ContextOverflow",
    "CostTier",
    "Coverage",
    "DaemonReport",
    "DeadlineExceeded",
    "Discovered",
    "Done",
    "Endpoint",
    "Final",
    "FoundServer",
    "GenerateEvent",
    "GenerateOptions",
    "GpuMemory",
    "Health",
    "Heard",
    "HearingOptions",
    "Hold",
    "HubFile",
    "ImageBlock",
    "InferenceError",
    "InferenceHandle",
    "InvalidRequest",
    "KeyMissing",
    "KeyRejected",
    "Likely",
    "LoadFailed",
    "Loading",
    "Loopback",
    "LoopbackEvent",
    "MemoryDecision",
    "Message",
    "Model",
    "ModelFailed",
    "ModelNotFound",
    "ModelSchema",
    "NoEligibleModel",
    "PackageFile",
    "Parked",
    "Partial",
    "Performance",
    "PermissionDenied",
    "Pinned",
    "Preflight",
    "Priority",
    "Problem",
    "Process",
    "Prompt",
    "ProtocolError",
    "Provider",
    "ProviderError",
    "PullEvent",
    "PullFailed",
    "PullProgress",
    "Pulled",
    "QueueFull",
    "Queued",
    "QuotaExhausted",
    "Registered",
    "Removed",
    "Reply",
    "ReplyStream",
    "ResourceBlocked",
    "Resumed",
    "SchemaNotSupported",
    "SmokeStep",
    "SmokeTest",
    "SpeakingOptions",
    "Speech",
    "SpeechEvent",
    "SpeechHealth",
    "SpeechPolicy",
    "SpeechSetup",
    "SpeechStage",
    "SpeechStarted",
    "SpeechStopped",
    "SpeechStream",
    "SpokenWord",
    "Stream",
    "Synthesis",
    "TextBlock",
    "TextDelta",
    "ThinkingDelta",
    "TokenCost",
    "TokenEstimate",
    "TokenLogprob",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallStart",
    "Transcript",
    "TranscriptEvent",
    "TranscriptSegment",
    "TranscriptStream",
    "Transcription",
    "TranscriptionEvent",
    "Trouble",
    "Unregistered",
    "UnsupportedMode",
    "Upgrade",
    "Usage",
    "VersionMismatch",
    "Warmed",
    "Word",
    "__version__",
    "accumulate",
]

_ASYNC: Mapping[str, str] = {
    "AsyncClient": "aio",
    "AsyncHold": "aio_holds",
    "AsyncLoopback": "aio_duplex",
    "AsyncReplyStream": "aio_streams",
    "AsyncSpeechStream": "aio_speech_streams",
    "AsyncStream": "aio_streams",
    "AsyncSynthesis": "aio_speech_streams",
    "AsyncTranscriptStream": "aio_speech_streams",
    "AsyncTranscription": "aio_speech_streams",
}
"""Name → its file, loaded when first named: importing asyncio costs a blocking app 40 ms for nothing."""


def __getattr__(name: str) -> object:
    if name in _ASYNC:
        from importlib import import_module

        return getattr(import_module(f"inferd.{_ASYNC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
