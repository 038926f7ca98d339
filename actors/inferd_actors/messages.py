"""What actors, keeper and daemon say to each other over `actors.sock`.

Covers: the message classes and the route frame. Events of streams are packed as for the app (`inferd.wire`) and only get a
route frame in front. See also: `sdk/PROTOCOL.md` part II.
Daemon → actor: [header][frames of the app's own message, for `submit` and `forward`; of the daemon, for `forward_ping`].
Actor → daemon: [route: msgpack list][header, the app's message unopened, or what came with `forward_ping`].
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

import msgpack

from inferd import wire
from inferd.errors import ProtocolError
from inferd.messages.bounds import (
    MAX_U53,
    Bytes,
    Count,
    Fraction,
    Milliseconds,
    Name,
    RequestId,
    Seconds,
    Seq,
    ShortText,
    Token,
)
from inferd.messages.control import Priority

Kind = Literal["model", "router", "keypool", "tracker", "vocab", "keeper"]
Options = Mapping[str, str | int | float | bool]
"""Engine settings that hold for a whole life."""

MAX_ROW_EVENTS = 65_536
"""Of one stream in one message: far more than its window; past it an actor lies, and would spoil the daemon's counters."""

SHORT_BYTES: Final = 64
"""What is said in front of an app's own message (`forward`, a route without rows) is shorter, and the same at each message
of a stream or session: it is read once and remembered."""
REMEMBERED: Final = 1_024
"""Streams and sessions whose fronts are remembered; others are read anew."""
NO_ROWS: Final = 0x90
"""msgpack's empty list: the last byte of a route without rows."""

KIND_CONTROL = 0
KIND_EVENTS = 1
KIND_PONG = 2


# --- daemon → actor


@dataclass(frozen=True, slots=True)
class ActorWelcome:
    """The daemon knows this life. `adopted`: streams that go on under the numbers given here."""

    instance: Token
    adopted: tuple[Adopted, ...] = ()


@dataclass(frozen=True, slots=True)
class Adopted:
    """A stream of an earlier daemon, named by its app and request, and its new numbers."""

    app_session: Token
    request: RequestId
    session: Count
    stream: Count
    seen_seq: Seq


@dataclass(frozen=True, slots=True)
class Load:
    """Load this model now; answered by `load_progress` and then `loaded` or `load_failed`."""

    model: Name
    engine: Name
    path: ShortText
    """Of the model's file; empty for engines without files."""
    options: Options


@dataclass(frozen=True, slots=True)
class Prepare:
    """Import this engine's libraries, to a process that has no model yet; answered by `prepared` or `load_failed`.

    With a `path`: then open this file as far as a load with these `options` can go before somebody asks.
    """

    engine: Name
    path: ShortText = ""
    options: Options = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The file that a request is about: said by the daemon, never by an app, to the actor that serves many files."""

    model: Name
    path: ShortText
    context_tokens: Count
    """Of prompt and answer together, as loaded or as configured; 0: neither, so as a load would choose."""


@dataclass(frozen=True, slots=True)
class Submit:
    """Begin this request; the app's request message follows in the frames behind."""

    stream: Count
    session: Count
    app_session: Token
    trace_id: Name
    priority: Priority
    """The class after the configuration's cap."""
    salt: ShortText
    """Prefix-cache identity: (uid, app)."""
    limit_seq: Seq
    limit_bytes: Bytes
    """The window as it is now: credits may have come while the request waited."""
    queue_s: Seconds
    load_s: Seconds
    timeout_ms: Milliseconds
    app: ShortText = ""
    """The app's name, for the hello to a new daemon."""
    file: ModelFile | None = None
    """To the vocab actor alone."""


@dataclass(frozen=True, slots=True)
class Forward:
    """The app's message about this live stream follows in the frames behind."""

    stream: Count


@dataclass(frozen=True, slots=True)
class ForwardPing:
    """An app wants to know whether this process is there: send the frames behind back as they are, behind a pong route."""

    session: Count


@dataclass(frozen=True, slots=True)
class End:
    """The daemon ends this stream; answer with its terminal event."""

    stream: Count
    reason: Literal["app", "disconnected", "deadline", "shutdown", "unloaded"]


@dataclass(frozen=True, slots=True)
class Probe:
    """Nothing; sending it tells the daemon whether the peer is still there. May come before the welcome."""


@dataclass(frozen=True, slots=True)
class AskStats:
    """Answered by `stats`."""


@dataclass(frozen=True, slots=True)
class StepAside:
    """Voice is computed for in other processes, or is not any more: what can wait gets little of the time meanwhile."""

    is_aside: bool


@dataclass(frozen=True, slots=True)
class Leave:
    """End all streams, close the engine, say goodbye, exit."""

    grace_s: Seconds


@dataclass(frozen=True, slots=True)
class Spawn:
    """To the keeper: start an actor process; answered by `spawned` or `died`."""

    life: Count
    kind: Kind
    model: ShortText
    """Empty: it has none yet, `assign` will name it."""
    secret: Token
    gpu_share: Fraction = 0.0


@dataclass(frozen=True, slots=True)
class Assign:
    """To the keeper: this life, begun without a model, is this model's from now on. A life that has another one is ended."""

    life: Count
    model: Name


@dataclass(frozen=True, slots=True)
class Kill:
    """To the keeper: end this life at once, no cleanup; answered by `died`."""

    life: Count


@dataclass(frozen=True, slots=True)
class Shutdown:
    """To the keeper: end all actors, then Ray, then yourself."""


# --- actor → daemon


@dataclass(frozen=True, slots=True)
class Inflight:
    """A live stream as its actor knows it: what a new daemon needs to go on with it."""

    app_session: Token
    app: ShortText
    request: RequestId
    last_seq: Seq
    seen_seq: Seq
    priority: Priority
    trace_id: Name


@dataclass(frozen=True, slots=True)
class ActorHello:
    """First message of every actor and of the keeper on each connection."""

    kind: Kind
    life: Count
    pid: Count
    secret: Token
    protocol: Count
    model: ShortText = ""
    inflight: tuple[Inflight, ...] = ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A process without a model could load one without importing anything. `is_open`: it holds the named file open."""

    is_open: bool = False


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """How far the load is, 0 to 1."""

    progress: Fraction
    phase: ShortText = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The model answers requests from now on."""

    slots: Count
    can_park: bool
    context_tokens: Count
    memory_bytes: Bytes
    load_s: Seconds
    phases: Mapping[ShortText, Seconds] = field(default_factory=dict)
    """What the load took, part by part, in order; together about `load_s`."""


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """The process is of no use; the daemon ends it."""

    cause: Literal["file_missing", "file_corrupt", "no_memory", "engine"]
    message: ShortText


@dataclass(frozen=True, slots=True)
class Alive:
    """Life sign from the engine's own loop; the daemon asks a life whose steps stand still while it has work (`AskStats`)."""

    inflight: Count
    steps: Count
    idle: bool


@dataclass(frozen=True, slots=True)
class Urgent:
    """The engine computes for a request of the class voice, or does not any more; said when that changes."""

    is_urgent: bool


@dataclass(frozen=True, slots=True)
class Stats:
    """Counters of an actor, by name."""

    counters: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Left:
    """Last message of an actor that ends on purpose."""

    reason: ShortText = ""


@dataclass(frozen=True, slots=True)
class HeldLife:
    """An actor that the keeper holds and vouches for: what a new daemon compares with the actor's own hello."""

    life: Count
    kind: Kind
    model: ShortText
    pid: Count
    """0: its process has been ordered and is not there yet; `spawned` or `died` will follow."""
    secret_sha256: Token
    """Hex digest of the secret that the actor says in its hello; the secret itself is told once, in `spawn`."""


@dataclass(frozen=True, slots=True)
class KeeperReady:
    """Ray is up (or up again); `lives` are all actors still there: one that is missing has died."""

    lives: tuple[HeldLife, ...] = ()
    ray_pids: tuple[Count, ...] = ()


@dataclass(frozen=True, slots=True)
class KeeperTrouble:
    """Ray is down and being restarted; no spawns until the next `keeper_ready`."""

    reason: ShortText


@dataclass(frozen=True, slots=True)
class Spawned:
    """The actor process of this life exists."""

    life: Count
    pid: Count


@dataclass(frozen=True, slots=True)
class Died:
    """The actor process of this life is gone, or never came to be."""

    life: Count
    reason: ShortText


TO_ACTOR = wire.table(
    (
        ActorWelcome,
        Prepare,
        Load,
        Submit,
        Forward,
        ForwardPing,
        End,
        Probe,
        AskStats,
        StepAside,
        Leave,
        Spawn,
        Assign,
        Kill,
        Shutdown,
    )
)
FROM_ACTOR = wire.table(
    (
        ActorHello,
        Prepared,
        LoadProgress,
        Loaded,
        LoadFailed,
        Alive,
        Urgent,
        Stats,
        Left,
        KeeperReady,
        KeeperTrouble,
        Spawned,
        Died,
    )
)


class Row(NamedTuple):
    """One stream's part in a message of events."""

    stream: int
    last_seq: int
    """Highest sequence number in this message; 0 when only state events are in it."""
    n_events: int
    size_bytes: int
    is_terminal: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """What only the daemon reads of a terminal event; one frame per terminal row, in the rows' order."""

    code: Name
    """`done`, `cancelled`, or the error's code."""
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    cached_tokens: Count = 0
    first_event_s: Seconds | None = None
    """From submit to the first content event."""
    busy_s: Seconds = 0.0
    """From submit to the end."""


class Route(NamedTuple):
    """The first frame of every message from an actor."""

    kind: int
    session: int
    rows: tuple[Row, ...]


def pack_route(kind: int, session: int = 0, rows: Sequence[Row] = ()) -> bytes:
    """Return the route frame."""
    packed: bytes = msgpack.packb((kind, session, rows))
    return packed


def read_order(frames: Sequence[wire.Frame]) -> object:
    """Return the daemon's message, one of `TO_ACTOR`. Raises as `wire.decode`."""
    if len(frames[0]) <= SHORT_BYTES:
        return _read_short(bytes(frames[0]))
    return wire.decode(frames, TO_ACTOR)


@functools.lru_cache(maxsize=REMEMBERED)
def _read_short(front: bytes) -> object:
    return wire.decode([front], TO_ACTOR)


def read_route(frame: wire.Frame) -> Route:
    """Return what `pack_route` wrote. Raises ProtocolError for anything else, types checked."""
    is_short = 0 < len(frame) <= SHORT_BYTES and frame[-1] == NO_ROWS
    return _read_short_route(bytes(frame)) if is_short else _read_route(frame)


def _read_route(frame: wire.Frame) -> Route:
    value = wire.unpack(frame)
    if type(value) is list and len(value) == 3:  # noqa: PLR2004 - as the words below say
        kind, session, rows = value
        if type(kind) is int and type(session) is int and type(rows) is list:
            return Route(kind, session, tuple(map(_row, rows)))
    raise ProtocolError("a route is [kind, session, rows]")


_read_short_route = functools.lru_cache(maxsize=REMEMBERED)(_read_route)


def _row(value: Any) -> Row:  # noqa: ANN401 - whatever msgpack held
    """Check a row by the types of its values: with patterns it took three times as long right after a wake-up (measured)."""
    if type(value) is list and len(value) == 5:  # noqa: PLR2004 - as the words below say
        stream, last_seq, n_events, size_bytes, is_terminal = value
        are_counts = type(stream) is type(last_seq) is type(n_events) is type(size_bytes) is int
        if are_counts and type(is_terminal) is bool and 0 <= last_seq < MAX_U53 and 0 <= n_events <= MAX_ROW_EVENTS:
            return tuple.__new__(Row, value)
    raise ProtocolError("a row is [stream, last_seq, n_events, bytes, is_terminal]")


@functools.lru_cache(maxsize=REMEMBERED)
def pong_route(session: int) -> bytes:
    """Return the route frame in front of a pong."""
    return pack_route(KIND_PONG, session)


@functools.lru_cache(maxsize=REMEMBERED)
def _forward_ping(session: int) -> bytes:
    (front,) = wire.encode(ForwardPing(session))
    return front


def forward_ping(session: int, nonce: int) -> list[bytes]:
    """Return the frames that ask an actor for a sign of life."""
    return [_forward_ping(session), msgpack.packb(nonce)]


def read_nonce(frames: Sequence[wire.Frame]) -> int:
    """Return the nonce that came back behind a pong route. Raises ProtocolError for anything else."""
    nonce = wire.unpack(frames[0]) if len(frames) == 1 else None
    if type(nonce) is not int or not 0 <= nonce <= MAX_U53:
        raise ProtocolError("a pong is the frame that came with the ping")
    return nonce


def encode_control(message: object) -> list[bytes]:
    """Return the frames of an actor's own message to the daemon."""
    return [pack_route(KIND_CONTROL), *wire.encode(message)]
