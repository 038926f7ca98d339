"""Messages about the line itself: hello and welcome, requests' envelopes, windows, cancel, uplink, ping.

Covers: every message between app and daemon that is not an event of a stream.
See also: `operations` (what a request may ask), `events` (what a stream answers), `sdk/PROTOCOL.md` (the authority).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from inferd.messages.bounds import (
    Blob,
    Bytes,
    Count,
    Length,
    Milliseconds,
    Name,
    Positive,
    Range,
    RequestId,
    Seconds,
    Seq,
    ShortText,
    Text,
    Token,
    Unread,
)

PROTOCOL_VERSION = 1

Priority = Literal["voice", "interactive", "batch", "background"]
PRIORITIES: tuple[Priority, ...] = ("voice", "interactive", "batch", "background")
"""Classes, the most urgent first."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the daemon accepts; the SDK refuses larger things itself, since an oversize frame costs the connection."""

    header_bytes: Positive = 8 * 2**20
    blob_bytes: Positive = 16 * 2**20
    blobs: Positive = 64
    message_bytes: Positive = 64 * 2**20
    inflight: Positive = 256
    """Requests of one app that may be unfinished at a time."""
    window_events: Positive = 900
    """Events that all windows of one app may leave unacknowledged together: below the socket's high-water mark."""


@dataclass(frozen=True, slots=True)
class Hello:
    """First message of an app on every connection; answered by `Welcome` or `Refused`."""

    protocol_min: Positive
    protocol_max: Positive
    app: Name
    """The name that fair share, quotas and `inferd ps` go by, together with the uid."""
    app_session: Token
    """Random, chosen once per client object; the same on reconnect, so that requests can be found again."""
    sdk: ShortText = ""
    required: Annotated[tuple[Name, ...], Length(0, 64)] = ()
    """Capabilities without which the app cannot work; an unknown one is answered `version_mismatch`."""
    capabilities: Annotated[tuple[Name, ...], Length(0, 64)] = ()


@dataclass(frozen=True, slots=True)
class Welcome:
    """The daemon knows this app; requests may follow."""

    protocol: Positive
    instance: Token
    """Random per daemon start: another value means that the daemon was restarted."""
    daemon: ShortText
    pid: Count
    limits: Limits = field(default_factory=Limits)
    capabilities: tuple[Name, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """A message could not be used and no request can be named: what was wrong with it."""

    code: Name
    message: ShortText
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """How far a stream may run ahead: absolute numbers, never lowered."""

    limit_seq: Seq
    limit_bytes: Bytes
    """Sum of event bytes (header part and blobs) since the stream began."""


@dataclass(frozen=True, slots=True)
class Request:
    """One piece of work; answered by exactly one terminal event, whatever happens."""

    id: RequestId
    """Chosen by the app, growing, never used twice in one app session."""
    op: Name
    body: Unread
    """The operation's own fields; decoded by the table of operations."""
    window: Window
    timeout_ms: Milliseconds
    """Longest time without progress (queue position, load, output) before `deadline_exceeded`."""
    sent_s: Seconds = 0.0
    """Sender's `CLOCK_MONOTONIC`, so that time spent in buffers counts; 0: unknown."""
    priority: Priority = "interactive"
    model: Name | None = None
    keep_alive_s: Seconds | None = None
    """How long its model is to stay loaded after it, unused; None: as configured. The longest wish that still runs counts."""


@dataclass(frozen=True, slots=True)
class Credit:
    """Acknowledgement and window in one; absolute, so harmless when repeated."""

    request: RequestId
    seen_seq: Seq
    limit_seq: Seq
    limit_bytes: Bytes


@dataclass(frozen=True, slots=True)
class Cancel:
    """End this request; idempotent; answered by the request's own terminal event."""

    request: RequestId


@dataclass(frozen=True, slots=True)
class Feed:
    """Uplink: the next piece of audio or text of a live request, inside the window that `granted` opened."""

    request: RequestId
    seq: Annotated[int, Range(1, 2**53 - 1)]
    """1 for the first piece, then without gaps."""
    offset: Count = 0
    """Index of the first sample (or character) in this piece since the request began."""
    data: Blob | None = None
    text: Text | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """Uplink: nothing more will be fed."""

    request: RequestId


@dataclass(frozen=True, slots=True)
class Pause:
    """Uplink: stop producing for now, keep everything (a possible barge-in)."""

    request: RequestId


@dataclass(frozen=True, slots=True)
class Resume:
    """Uplink: go on after `Pause`."""

    request: RequestId


@dataclass(frozen=True, slots=True)
class Played:
    """Uplink: how much of an epoch's audio the loudspeaker has played."""

    request: RequestId
    epoch: Count
    played_ms: Milliseconds


@dataclass(frozen=True, slots=True)
class Reattach:
    """After a reconnect: go on with this request's events behind `seen_seq`, or say that it is gone."""

    request: RequestId
    seen_seq: Seq
    limit_seq: Seq
    limit_bytes: Bytes


@dataclass(frozen=True, slots=True)
class Ping:
    """Answered by `Pong` at once, past all queues; with `model`, by that model's actor."""

    nonce: Count
    model: Name | None = None


@dataclass(frozen=True, slots=True)
class Pong:
    """`life`: the actor's life number, 0 when the daemon itself answered; `code`: why the actor could not."""

    nonce: Count
    instance: ShortText = ""
    life: Count = 0
    code: ShortText = ""
    message: ShortText = ""


@dataclass(frozen=True, slots=True)
class Goodbye:
    """This end leaves on purpose. From an app: cancel what is left. From the daemon: it drains and will close."""

    reason: ShortText = ""
    retry_after_ms: Milliseconds = 0


Streamwise = Credit | Cancel | Feed | Finish | Pause | Resume | Played
"""Messages about one live request; the daemon passes them to the actor that serves it."""

FROM_APP: tuple[type, ...] = (
    Hello,
    Request,
    Credit,
    Cancel,
    Feed,
    Finish,
    Pause,
    Resume,
    Played,
    Reattach,
    Ping,
    Goodbye,
)
TO_APP: tuple[type, ...] = (Welcome, Refused, Pong, Goodbye)
"""Besides these the daemon sends `events` messages, see `events`."""
