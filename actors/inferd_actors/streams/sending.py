"""Events of many streams as messages for the daemon: one for each app, unless it grew too large.

Covers: grouping, route rows, facts, limits of a message. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


def messages(flows: Sequence[Flow], now_s: float) -> list[Send]:
    """Return the messages that carry these events, each stream's in order."""
    by_session: dict[int, list[Flow]] = {}
    for flow in flows:
        if flow[1]:
            by_session.setdefault(flow[0].session, []).append(flow)
    return [_message(session, part, now_s) for session, group in by_session.items() for part in _parts(group)]


def _parts(flows: Sequence[Flow]) -> Iterator[list[Flow]]:
    """Yield the flows of one app in portions that a message may carry."""
    part: list[tuple[Stream, list[PackedEvent]]] = []
    blobs = size_bytes = 0
    for stream, packed in flows:
        for event in packed:
            if blobs + len(event.blobs) > MESSAGE_BLOBS or size_bytes + event.size_bytes > MESSAGE_BYTES:
                if part:
                    yield list(part)
                part, blobs, size_bytes = [], 0, 0
            if not part or part[-1][0] is not stream:
                part.append((stream, []))
            part[-1][1].append(event)
            blobs += len(event.blobs)
            size_bytes += event.size_bytes
    yield list(part)


def _message(session: int, flows: Sequence[Flow], now_s: float) -> Send:
    rows = [_row(stream, packed) for stream, packed in flows]
    facts = [
        wire.pack(wire.fields_of(stream.facts(now_s)))[0]
        for (stream, _), row in zip(flows, rows, strict=True)
        if row.is_terminal
    ]
    events = wire.join_events([event for _, packed in flows for event in packed])
    return Send([pack_route(KIND_EVENTS, session, rows), *facts, *events])


def _row(stream: Stream, packed: Sequence[PackedEvent]) -> Row:
    last_seq = max(event.seq for event in packed)
    size_bytes = sum(event.size_bytes for event in packed)
    return Row(stream.number, last_seq, len(packed), size_bytes, stream.ended and last_seq == stream.last_seq)
