"""Events of many streams as messages for the daemon: one for each app, unless it grew too large.

Covers: grouping, route rows, facts, limits of a message. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from inferd import wire
from inferd.wire import PackedEvent
from inferd_actors.messages import KIND_EVENTS, Row, pack_route
from inferd_actors.streams.commands import Send
from inferd_actors.streams.stream import Stream

MESSAGE_BLOBS: Final = 64
MESSAGE_BYTES: Final = 2**20
"""A message is closed once it has so many blobs, or bytes of events: behind a larger one a cancel would wait."""

Flow = tuple[Stream, Sequence[PackedEvent]]
"""What goes out of one stream."""


@dataclass(slots=True)
class Part:
    """One stream's part in a message."""

    stream: Stream
    events: list[PackedEvent] = field(default_factory=list)
    size_bytes: int = 0
    last_seq: int = wire.STATE_SEQ

    def row(self) -> Row:
        """Return what the daemon reads of it."""
        is_terminal = self.stream.ended and self.last_seq == self.stream.last_seq
        return Row(self.stream.number, self.last_seq, len(self.events), self.size_bytes, is_terminal)


def messages(flows: Sequence[Flow], now_s: float) -> list[Send]:
    """Return the messages that carry these events, each stream's in order."""
    by_session: dict[int, list[Flow]] = {}
    for flow in flows:
        if flow[1]:
            by_session.setdefault(flow[0].session, []).append(flow)
    return [_message(session, parts, now_s) for session, group in by_session.items() for parts in _portions(group)]


def _portions(flows: Sequence[Flow]) -> Iterator[list[Part]]:
    """Yield the flows of one app in portions that a message may carry."""
    portion: list[Part] = []
    blobs = total_bytes = 0
    for stream, packed in flows:
        part = None
        for event in packed:
            size_bytes = event.size_bytes
            if portion and (blobs + len(event.blobs) > MESSAGE_BLOBS or total_bytes + size_bytes > MESSAGE_BYTES):
                yield portion
                portion, part, blobs, total_bytes = [], None, 0, 0
            if part is None:
                part = Part(stream)
                portion.append(part)
            part.events.append(event)
            part.size_bytes += size_bytes
            part.last_seq = max(part.last_seq, event.seq)
            blobs += len(event.blobs)
            total_bytes += size_bytes
    yield portion


def _message(session: int, parts: Sequence[Part], now_s: float) -> Send:
    rows = [part.row() for part in parts]
    facts = [
        wire.pack(wire.fields_of(part.stream.facts(now_s)))[0]
        for part, row in zip(parts, rows, strict=True)
        if row.is_terminal
    ]
    events = wire.join_events([event for part in parts for event in part.events])
    return Send([pack_route(KIND_EVENTS, session, rows), *facts, *events])
