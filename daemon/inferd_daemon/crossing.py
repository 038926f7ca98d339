"""What crosses between the I/O thread and the loop: facts one way, orders the other. Nothing else is shared.

Covers: the frozen records. Facts are what the wires saw; orders are what the supervisor decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from inferd.messages.control import Request
from inferd.messages.events import State, Terminal
from inferd_actors.messages import ActorHello, Facts, Kind, Submit
from inferd_daemon.session import Peer

# --- facts: wires → loop


@dataclass(frozen=True, slots=True)
class AppCame:
    """An app said hello."""

    session: int
    app: str
    app_session: str
    peer: Peer


@dataclass(frozen=True, slots=True)
class AppLeft:
    """An app's connection is gone; its streams were left to the loop to end."""

    session: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """A well-formed request envelope; the body is still to be read."""

    stream: int
    session: int
    request: Request
    arrived_s: float
    size_bytes: int


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """The app wants this stream ended; an actor that serves it has been told already."""

    stream: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The stream's actor sent its terminal event, and it was passed on."""

    stream: int
    facts: Facts


@dataclass(frozen=True, slots=True)
class LastProgress:
    """Answer to `AskProgress`: when the stream last had an event."""

    stream: int
    progressed_s: float


@dataclass(frozen=True, slots=True)
class ActorCame:
    """A process said hello with the right secret."""

    hello: ActorHello


@dataclass(frozen=True, slots=True)
class ActorSaid:
    """A control message of an actor or of the keeper (life 0)."""

    life: int
    message: Any
    """One of `inferd_actors.messages.FROM_ACTOR`."""


@dataclass(frozen=True, slots=True)
class ActorLost:
    """The connection of an actor, or of the keeper (life 0), is gone."""

    life: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class WiresFailed:
    """The I/O thread ended by an exception; the daemon cannot go on."""

    reason: str


Fact = (
    AppCame | AppLeft | Arrived | CancelAsked | Ended | LastProgress | ActorCame | ActorSaid | ActorLost | WiresFailed
)


# --- orders: loop → wires


@dataclass(frozen=True, slots=True)
class Tell:
    """Send a state event of this stream; lost if the stream has ended."""

    stream: int
    event: State


@dataclass(frozen=True, slots=True)
class Conclude:
    """End this stream from here with the next sequence number; ignored if it has ended."""

    stream: int
    event: Terminal


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Give this stream to the actor of `life`; window and frames are filled in where they are known."""

    stream: int
    life: int
    submit: Submit


@dataclass(frozen=True, slots=True)
class EndAtActor:
    """Ask the stream's actor to end it; answered by `Ended`, or by the actor's death."""

    stream: int
    reason: Literal["app", "disconnected", "deadline", "shutdown", "unloaded"]


@dataclass(frozen=True, slots=True)
class AskProgress:
    """Answered by `LastProgress`, unless the stream has ended."""

    stream: int


@dataclass(frozen=True, slots=True)
class Expect:
    """A process of this life may say hello with this secret; life 0 is the keeper."""

    life: int
    kind: Kind
    secret: str


@dataclass(frozen=True, slots=True)
class Fence:
    """Nothing of this life counts any more: its frames are dropped and its connection is closed."""

    life: int


@dataclass(frozen=True, slots=True)
class Serve:
    """Pings that name this model go to this life; 0: to none."""

    model: str
    life: int


@dataclass(frozen=True, slots=True)
class ToActor:
    """Send an actor, or the keeper (life 0), this message."""

    life: int
    message: object


@dataclass(frozen=True, slots=True)
class Farewell:
    """Tell every app that the daemon leaves."""

    reason: str
    retry_after_ms: int


Order = Tell | Conclude | Dispatch | EndAtActor | AskProgress | Expect | Fence | Serve | ToActor | Farewell

Frames = Sequence[bytes | memoryview]
