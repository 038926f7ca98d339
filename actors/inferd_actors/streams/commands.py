"""What streams want done: messages for the daemon, words to the engine."""

from __future__ import annotations

from dataclasses import dataclass

from inferd.messages.control import Feed
from inferd.messages.events import CancelReason
from inferd_actors.engine import StreamId


@dataclass(frozen=True, slots=True)
class Send:
    """One message of events for the daemon, route in front."""

    frames: list[bytes]


@dataclass(frozen=True, slots=True)
class Grant:
    """To the engine: halt this stream, or go on with it."""

    stream: StreamId
    may_produce: bool


@dataclass(frozen=True, slots=True)
class Pass:
    """To the engine: a checked piece of the uplink."""

    stream: StreamId
    piece: Feed


@dataclass(frozen=True, slots=True)
class Stop:
    """To the engine: end this stream; answered by its terminal event."""

    stream: StreamId
    reason: CancelReason


Command = Send | Grant | Pass | Stop
