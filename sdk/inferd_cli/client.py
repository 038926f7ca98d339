"""What the commands need of the SDK's client, as protocols, and how they get one.

Covers: the vocabulary that `inferd.Client` must offer; mypy compares the two where `connect` returns. Tests hand the
commands another client by the same protocols. Does not cover the line itself: that is `inferd`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol, Self, TypeAlias

from inferd import Client as SdkClient
from inferd.address import socket_path

if TYPE_CHECKING:
    from types import TracebackType

    from inferd import (
        Discovered,
        GenerateEvent,
        Health,
        Pinned,
        PullEvent,
        Registered,
        Removed,
        SmokeTest,
        Speech,
        SpeechEvent,
        SpeechHealth,
        SpeechSetup,
        Transcript,
        TranscriptEvent,
        TranscriptionEvent,
        Unregistered,
        Upgrade,
        Warmed,
    )
    from inferd.keeping import OnProgress
    from inferd.messages.control import Priority
    from inferd.messages.operations import Message
    from inferd.messages.reports import DaemonReport, MemoryDecision, Model, Preflight
    from inferd.speech_drafts import Timestamps
    from inferd.speech_setup import OnPull

    StreamEvent: TypeAlias = GenerateEvent | PullEvent

APP: Final = "inferd"
"""The name under which the command's own requests stand in `inferd ps`."""
PATIENCE_S: Final = 5.0
"""The SDK's own default, for a daemon that has a socket: it may be starting, or busy."""
ABSENT_S: Final = 0.05
"""Without a socket nobody will answer, and the one who typed is waiting; not zero, for the SDK takes none."""


class EventStream(Protocol):
    """The events of one answer, `Done` last; leaving the `with` block early cancels it."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
    def __iter__(self) -> Iterator[GenerateEvent]: ...


class Held(Protocol):
    """`inferd.Hold`: models that stay until its block is left, or its time is over."""

    models: tuple[str, ...]
    seconds: float

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class HeardWhole(Protocol):
    """The words of a whole sound; leaving the `with` block early cancels."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
    def __iter__(self) -> Iterator[TranscriptionEvent]: ...
    def transcript(self) -> Transcript:
        """Return the whole, once it is there."""


class HeardLive(Protocol):
    """The words of sound as it is heard; leaving the `with` block early cancels."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
    def __iter__(self) -> Iterator[TranscriptEvent]: ...
    @property
    def transcript(self) -> Transcript:
        """The whole, after the end."""

    def send(self, pcm: bytes, /) -> None:
        """Feed int16 samples."""

    def finish(self) -> None:
        """Say that these were all."""

    def cancel(self) -> object:
        """Ask for the end."""


class SpokenPieces(Protocol):
    """Speech as it comes; leaving the `with` block early cancels."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
    def __iter__(self) -> Iterator[SpeechEvent]: ...


class SpokenWhole(SpokenPieces, Protocol):
    """A text spoken."""

    def speech(self) -> Speech:
        """Return the whole, once it is there."""


class SpokenLive(SpokenPieces, Protocol):
    """Text spoken as it comes."""

    def send(self, text: str, /) -> None:
        """Feed the next piece of the text."""

    def finish(self) -> None:
        """Say that this was all."""

    def cancel(self) -> object:
        """Ask for the end."""


class Models(Protocol):
    """`client.models`."""

    def list(self) -> Sequence[Model]:
        """Return every model that the daemon knows."""

    def pull(self, name: str) -> Iterable[PullEvent]:
        """Yield the progress of a download, `Pulled` last; leaving it early lets the download go on."""

    def unload(self, name: str) -> object:
        """Return when the model's process has ended."""

    def remove(self, name: str) -> Removed:
        """Return when the model's file is gone."""

    def register(self, schema: Mapping[str, object]) -> Registered:
        """Return when every app sees this model."""

    def unregister(self, name: str) -> Unregistered:
        """Return when nothing runs on the model any more and it is off the list."""

    def discover(self) -> Discovered:
        """Return the models of other programs on this machine."""

    def upgrades(self) -> Sequence[Upgrade]:
        """Return the stored models that have a newer one."""

    def preflight(self, name: str, context_tokens: int | None = None) -> Preflight:
        """Return whether the model would fit into memory now."""

    def hold(self, names: Sequence[str], seconds: float, *, on_progress: OnProgress | None = None) -> Held:
        """Return when all of these are in memory and stay there."""

    def warm_up(self, names: Sequence[str], *, on_progress: OnProgress | None = None) -> Sequence[Warmed]:
        """Return one result per name when each is loaded or has failed."""

    def pin(self, name: str) -> Pinned:
        """Return when the model is pinned."""

    def unpin(self, name: str) -> Pinned:
        """Return when it is so no more."""


class SpeechSet(Protocol):
    """`client.speech`."""

    def health(self) -> SpeechHealth:
        """Return who would hear and speak, and what is missing."""

    def set_policy(
        self,
        *,
        language: str | None = None,
        prefer: Literal["quality", "latency"] | None = None,
        ear: str | None = None,
        voice: str | None = None,
        local_only: bool | None = None,
    ) -> SpeechHealth:
        """Return who is chosen once the policy is changed."""

    def prepare(self, *, on_progress: OnProgress | None = None) -> SpeechSetup:
        """Return when ear and voice are loaded, or what is missing."""

    def install(self, *, on_pull: OnPull | None = None) -> SpeechSetup:
        """Return when ear and voice are stored, and what is missing yet."""

    def smoke_test(self, text: str | None = None, *, remote: bool = False) -> SmokeTest:
        """Return how a sentence came back that was spoken and heard."""


class Daemon(Protocol):
    """`client.daemon`."""

    def status(self) -> DaemonReport:
        """Return the whole service at one moment."""

    def why(self, model: str) -> Sequence[MemoryDecision]:
        """Return what was decided about a model's memory lately, oldest first."""

    def stop(self, grace_s: float = 30.0) -> object:
        """Return when the daemon has begun to drain."""


class Client(Protocol):
    """`inferd.Client`; a method raises `ConnectionLost` with `started` False when no daemon answers."""

    @property
    def models(self) -> Models:
        """What can be asked of models."""

    @property
    def daemon(self) -> Daemon:
        """What can be asked of the daemon itself."""

    @property
    def speech(self) -> SpeechSet:
        """What can be asked of speech as a whole."""

    def stream(
        self,
        prompt: str | Sequence[Message],
        *,
        model: str | None = None,
        priority: Priority = "interactive",
        timeout_s: float = 300.0,
        max_tokens: int | None = None,
        temperature: float | None = None,
        seed: int | None = None,
        keep_alive_s: float | None = None,
    ) -> EventStream:
        """Return the events of one answer; the request is sent when the `with` block is entered, or before."""

    def health(self) -> Health:
        """Return how the whole service is."""

    def transcription(
        self,
        audio: str | bytes,
        rate_hz: int | None = None,
        *,
        language: str | None = None,
        prompt: str | None = None,
        timestamps: Timestamps = "segment",
        model: str | None = None,
    ) -> HeardWhole:
        """Return the words of a whole sound: a path, or bytes."""

    def transcribe_stream(
        self,
        rate_hz: int = 16_000,
        *,
        model: str | None = None,
        language: str | None = None,
        prompt: str | None = None,
        timestamps: Literal["none", "word"] = "none",
    ) -> HeardLive:
        """Return the words of sound as it is heard."""

    def synthesis(
        self, text: str, voice: str | None = None, rate: float = 1.0, *, model: str | None = None
    ) -> SpokenWhole:
        """Return a text spoken."""

    def synthesize_stream(self, voice: str | None = None, rate: float = 1.0, *, model: str | None = None) -> SpokenLive:
        """Return what speaks text as it comes."""

    def close(self) -> None:
        """Say goodbye; what is still running for this client is cancelled."""


Connect = Callable[[str | None], Client]
"""Path of the socket, or None for this user's own → a client."""


def connect(socket: str | None) -> Client:
    """Return a client of the daemon at `socket`; None: where this platform keeps it."""
    there = (Path(socket) if socket else socket_path()).exists()
    return SdkClient(APP, socket=socket, connect_timeout_s=PATIENCE_S if there else ABSENT_S)
