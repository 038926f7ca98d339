"""One connected app: its identity, its unfinished requests, its windows, its end.

Covers: the two records and the arithmetic of windows; pure. See also: `switchboard`, which keeps them in tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from inferd.errors import InvalidRequest
from inferd.messages.control import Limits
from inferd.wire import Frame


class Peer(NamedTuple):
    """Who is at the other end, by the kernel's word; `pid` is 0 where the system does not tell (macOS).

    A tuple, because two are compared at every message.
    """

    uid: int
    gid: int
    pid: int

    @classmethod
    def parse(cls, address: str) -> Peer:
        """Read libzmq's `Peer-Address`, `localhost:UID:GID:PID` with an empty pid on macOS. Raises ValueError."""
        _, uid, gid, pid = address.rsplit(":", 3)
        return cls(int(uid), int(gid), int(pid or 0))


@dataclass(slots=True)
class Stream:
    """A request that has no terminal event yet."""

    number: int
    session: int
    request: int
    limit_seq: int
    limit_bytes: int
    progressed_s: float
    """When its last event passed, or it arrived."""
    seen_seq: int = 0
    last_seq: int = 0
    """Highest sequence number passed on to the app."""
    life: int = 0
    """The actor that serves it; 0 while none does."""
    frames: Sequence[Frame] | None = None
    """The request as it came, kept until an actor gets it."""
    early: list[Sequence[Frame]] = field(default_factory=list)
    """Uplink messages and cancels that came before an actor had the request."""

    @property
    def open_events(self) -> int:
        """How many events its window lets stand unacknowledged."""
        return max(0, self.limit_seq - self.seen_seq)


@dataclass(slots=True)
class Session:
    """One app on one connection."""

    number: int
    peer_id: bytes
    peer: Peer
    app: str
    app_session: str
    limits: Limits
    streams: dict[int, Stream] = field(default_factory=dict)
    """By the app's request id."""
    window_events: int = 0
    """Sum of the open windows."""

    @property
    def salt(self) -> str:
        """Identity for fair share and shared prefixes."""
        return f"{self.peer.uid}/{self.app}"

    def open_stream(self, stream: Stream) -> None:
        """Take a new request.

        Raises InvalidRequest when its window passes what all windows of one app may sum to.
        """
        self._check_window(stream.open_events)
        self.window_events += stream.open_events
        self.streams[stream.request] = stream

    def widen(self, stream: Stream, seen_seq: int, limit_seq: int, limit_bytes: int) -> bool:
        """Apply a credit; return whether it changed anything. Lower numbers than before are ignored.

        Raises InvalidRequest as `open_stream`; the window stays as it was.
        """
        seen, limit = max(stream.seen_seq, min(seen_seq, stream.last_seq)), max(stream.limit_seq, limit_seq)
        most_bytes = max(stream.limit_bytes, limit_bytes)
        growth = max(0, limit - seen) - stream.open_events
        self._check_window(growth)
        changed = (seen, limit, most_bytes) != (stream.seen_seq, stream.limit_seq, stream.limit_bytes)
        stream.seen_seq, stream.limit_seq, stream.limit_bytes = seen, limit, most_bytes
        self.window_events += growth
        return changed

    def close_stream(self, stream: Stream) -> None:
        """Forget a request that has had its terminal event."""
        if self.streams.pop(stream.request, None) is not None:
            self.window_events -= stream.open_events

    def _check_window(self, growth: int) -> None:
        if self.window_events + growth > self.limits.window_events:
            raise InvalidRequest(
                f"the windows of this app would sum to {self.window_events + growth} events; "
                f"{self.limits.window_events} are allowed: acknowledge events or ask for less",
                details={"field": "limit_seq", "limit": self.limits.window_events},
            )
