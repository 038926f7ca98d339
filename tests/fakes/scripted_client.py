"""A client that plays a script instead of asking a daemon, by the protocols of `inferd_cli.client`.

For tests of how the command shows things. Run as a program it is the `inferd` command with such a client, for tests that
need a terminal: `python scripted_client.py run MODEL …`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

from inferd import (
    App,
    DaemonReport,
    Discovered,
    Done,
    GenerateEvent,
    Health,
    Loading,
    MemoryDecision,
    Message,
    Model,
    ModelNotFound,
    Pinned,
    Preflight,
    Priority,
    Process,
    Pulled,
    PullEvent,
    PullProgress,
    Queued,
    Registered,
    Removed,
    Reply,
    SmokeTest,
    Speech,
    SpeechHealth,
    SpeechSetup,
    TextDelta,
    Transcript,
    Unregistered,
    Upgrade,
    Usage,
    Warmed,
)
from inferd.keeping import OnProgress
from inferd.speech_setup import OnPull
from inferd_cli.app import app
from inferd_cli.client import Client

T = TypeVar("T")
Names = list[str]
Schemas = list[Mapping[str, object]]

ECHO = Model(
    "inferd/echo:default", "Echo", "ready", available=True, weights_ready=True, engine="echo", pid=7001, life=2, slots=4
)
SMOL = Model(
    "huggingfacetb/smollm2-135m-instruct:q4_1",
    "SmolLM2 135M Instruct",
    "absent",
    available=True,
    weights_ready=False,
    capabilities=("generate",),
    context_tokens=8192,
    size_bytes=98_362_432,
)
REPORT = DaemonReport(
    version="0.1.0",
    instance="ab" * 8,
    pid=4242,
    uptime_s=7800.0,
    socket="/run/user/1000/inferd/inferd.sock",
    keeper="ready",
    draining=False,
    models=(ECHO, SMOL),
    apps=(App("notes", uid=1000, pid=6001, inflight=1),),
    processes=(
        Process(4242, "daemon", "", pss_bytes=41_200_000, cpu_s=3.2),
        Process(4250, "keeper", "", pss_bytes=98_000_000, cpu_s=12.0),
        Process(7001, "model", "inferd/echo:default", pss_bytes=23_456_000, cpu_s=185.0),
    ),
    requests_total=12,
    events_total=3456,
)


class Silence:
    """In a script: nothing comes any more."""


Script = Iterable[T | BaseException | Silence]
"""What happens in a stream: events, an exception that ends it, or silence."""


def answer(*words: str, **reply: object) -> list[GenerateEvent]:
    """Return the events of an answer in these pieces, as the SDK would yield them."""
    usage = Usage(prompt_tokens=5, completion_tokens=len(words))
    whole = Reply("".join(words), usage=usage, model=ECHO.id, latency_s=1.2, first_event_s=0.2, **reply)  # type: ignore[arg-type]
    return [*map(TextDelta, words), Done(whole)]


class ScriptedStream:
    """Plays one script; `left` once its block has been left."""

    def __init__(self, script: Script[GenerateEvent]) -> None:
        self._script = script
        self.left = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.left = True

    def __iter__(self) -> Iterator[GenerateEvent]:
        return played(self._script)


@dataclass
class ScriptedSpeech:
    """Plays one script of speech, heard or spoken; what is fed is kept."""

    script: Script[Any]
    heard: Transcript = Transcript("")  # noqa: RUF009 - a frozen value
    fed: list[object] = field(default_factory=list)
    left: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.left = True

    def __iter__(self) -> Iterator[Any]:
        return played(self.script)

    def send(self, piece: object) -> None:
        self.fed.append(piece)

    def finish(self) -> None:
        self.fed.append(None)

    def cancel(self) -> None:
        self.left = True


class ScriptedWhole(ScriptedSpeech):
    """The words of a whole sound."""

    def transcript(self) -> Transcript:
        return self.heard


class ScriptedSpoken(ScriptedSpeech):
    """A text spoken."""

    def speech(self) -> Speech:
        return Speech(b"", 0)


class ScriptedLive(ScriptedSpeech):
    """The words of sound as it is heard."""

    @property
    def transcript(self) -> Transcript:
        return self.heard


def played(script: Script[T]) -> Iterator[T]:
    """Yield the events of a script; raise its exceptions; fall silent where it says so, until interrupted."""
    for line in script:
        if isinstance(line, Silence):
            silence = threading.Event()
            while not silence.wait(0.05):  # Python acts on a signal that comes just before a wait only after it
                continue
        elif isinstance(line, BaseException):
            raise line
        else:
            yield line


@dataclass
class ScriptedHold:
    """A hold that ends with its block."""

    models: tuple[str, ...]
    seconds: float
    released: Names

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.released += self.models


@dataclass
class ScriptedModels:
    """`client.models`."""

    rows: tuple[Model, ...] = (ECHO, SMOL)
    pulls: dict[str, Script[PullEvent]] = field(default_factory=dict)
    """Name → what its download tells; other names are not found."""
    unloaded: Names = field(default_factory=list)
    removals: dict[str, Removed] = field(default_factory=dict)
    registered: Schemas = field(default_factory=list)
    note: str = ""
    """What `register` tells beside the outcome."""
    found: Discovered = Discovered((), ())  # noqa: RUF009 - a frozen value
    newer: tuple[Upgrade, ...] = ()
    preflights: dict[tuple[str, int | None], Preflight] = field(default_factory=dict)
    warmed: dict[str, Warmed] = field(default_factory=dict)
    released: Names = field(default_factory=list)
    """Models of holds that have ended."""

    def list(self) -> tuple[Model, ...]:
        return self.rows

    def pull(self, name: str) -> Iterator[PullEvent]:
        if name not in self.pulls:
            raise ModelNotFound(f"no model is called {name!r}; closest: {ECHO.id}", details={"near": (ECHO.id,)})
        return played(self.pulls[name])

    def unload(self, name: str) -> None:
        self.unloaded.append(name)

    def remove(self, name: str) -> Removed:
        return self.removals[name]

    def register(self, schema: Mapping[str, object]) -> Registered:
        self.registered.append(schema)
        return Registered(str(schema["id"]), "added", self.note)

    def unregister(self, name: str) -> Unregistered:
        return Unregistered(name, restored=name == SMOL.id)

    def discover(self) -> Discovered:
        return self.found

    def upgrades(self) -> tuple[Upgrade, ...]:
        return self.newer

    def preflight(self, name: str, context_tokens: int | None = None) -> Preflight:
        return self.preflights[name, context_tokens]

    def hold(self, names: Sequence[str], seconds: float, *, on_progress: OnProgress | None = None) -> ScriptedHold:
        if on_progress:
            on_progress(Loading(names[0], 0.43))
        return ScriptedHold(tuple(names), seconds, self.released)

    def warm_up(self, names: Sequence[str], *, on_progress: OnProgress | None = None) -> tuple[Warmed, ...]:
        if on_progress:
            on_progress(Loading(names[0], 0.0, "waiting for memory"))
        return tuple(self.warmed[name] for name in names)

    def pin(self, name: str) -> Pinned:
        return Pinned(name, pinned=True)

    def unpin(self, name: str) -> Pinned:
        return Pinned(name, pinned=False)


@dataclass
class ScriptedDaemon:
    """`client.daemon`."""

    report: DaemonReport = REPORT
    failure: BaseException | None = None
    on_stop: Callable[[], object] = lambda: None
    graces_s: list[float] = field(default_factory=list)
    decisions: tuple[MemoryDecision, ...] = ()

    def status(self) -> DaemonReport:
        if self.failure:
            raise self.failure
        return self.report

    def why(self, _model: str) -> tuple[MemoryDecision, ...]:
        return self.decisions

    def stop(self, grace_s: float = 30.0) -> None:
        self.graces_s.append(grace_s)
        self.on_stop()


@dataclass
class ScriptedSpeechSet:
    """`client.speech`: what each call answers, and what it was given."""

    found: SpeechHealth | None = None
    setup: SpeechSetup | None = None
    smoke: SmokeTest | None = None
    given: list[object] = field(default_factory=list)

    def health(self) -> SpeechHealth:
        assert self.found
        return self.found

    def set_policy(self, **changes: object) -> SpeechHealth:
        self.given.append(changes)
        return self.health()

    def prepare(self, *, on_progress: OnProgress | None = None) -> SpeechSetup:
        if on_progress:
            on_progress(Loading("ear", 0.5))
        assert self.setup
        return self.setup

    def install(self, *, on_pull: OnPull | None = None) -> SpeechSetup:
        if on_pull:
            on_pull("ear", PullProgress("downloading", 1, 2))
            on_pull("ear", Pulled("ear", 2))
        assert self.setup
        return self.setup

    def smoke_test(self, text: str | None = None, *, remote: bool = False) -> SmokeTest:
        self.given.append((text, remote))
        assert self.smoke
        return self.smoke


@dataclass(frozen=True)
class Asked:
    """What one `stream` call was given."""

    messages: tuple[Message, ...]
    model: str | None
    priority: Priority
    timeout_s: float
    options: tuple[int | float | None, ...]
    """max_tokens, temperature, seed."""
    keep_alive_s: float | None = None


@dataclass
class ScriptedClient:
    """Plays `answers` one after the other, the last one again and again, and remembers what it was asked."""

    answers: Sequence[Script[GenerateEvent]] = ()
    models: ScriptedModels = field(default_factory=ScriptedModels)
    daemon: ScriptedDaemon = field(default_factory=ScriptedDaemon)
    speech: ScriptedSpeechSet = field(default_factory=ScriptedSpeechSet)
    asked: list[Asked] = field(default_factory=list)
    streams: list[ScriptedStream] = field(default_factory=list)
    sounding: Script[Any] = ()
    """What every stream of speech plays."""
    heard: Transcript = Transcript("")  # noqa: RUF009 - a frozen value
    spoken_of: list[tuple[object, ...]] = field(default_factory=list)
    """The arguments of the calls about speech."""
    report: Health | None = None
    closed: bool = False

    def transcription(self, audio: str | bytes, rate_hz: int | None = None, **options: object) -> ScriptedWhole:
        self.spoken_of.append((audio, rate_hz, options))
        return ScriptedWhole(self.sounding, self.heard)

    def transcribe_stream(self, rate_hz: int = 16_000, **options: object) -> ScriptedLive:
        self.spoken_of.append((rate_hz, options))
        return ScriptedLive(self.sounding, self.heard)

    def synthesis(
        self, text: str, voice: str | None = None, rate: float = 1.0, *, model: str | None = None
    ) -> ScriptedSpoken:
        self.spoken_of.append((text, voice, rate, model))
        return ScriptedSpoken(self.sounding)

    def synthesize_stream(
        self, voice: str | None = None, rate: float = 1.0, *, model: str | None = None
    ) -> ScriptedSpeech:
        self.spoken_of.append((voice, rate, model))
        return ScriptedSpeech(self.sounding)

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
    ) -> ScriptedStream:
        messages = (Message("user", prompt),) if isinstance(prompt, str) else tuple(prompt)
        script = self.answers[min(len(self.asked), len(self.answers) - 1)]
        options = (max_tokens, temperature, seed)
        self.asked.append(Asked(messages, model, priority, timeout_s, options, keep_alive_s))
        self.streams.append(ScriptedStream(script))
        return self.streams[-1]

    def health(self) -> Health:
        assert self.report is not None
        return self.report

    def close(self) -> None:
        self.closed = True

    def connect(self, socket: str | None) -> Client:
        """Be the client that a command asks for."""
        return self


TERMINAL_ANSWERS: Sequence[Script[GenerateEvent]] = (
    [Queued(2), Loading(ECHO.id, 0.43), *answer("The sea ", "is wide.\n", "It is \x1b[31mdeep.")],
    [*answer("It never ")[:1], Silence()],
    [*answer("Good", "bye.")],
)
"""What the program below answers: the second answer stops in the middle."""

if __name__ == "__main__":
    app(prog_name="inferd", obj=ScriptedClient(TERMINAL_ANSWERS).connect)
