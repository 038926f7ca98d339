"""What is encoded comes back: every message class, in both directions, and events in any grouping."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_values import TABLES, messages

from inferd import wire
from inferd.errors import ProtocolError
from inferd.messages import control, events, operations
from inferd.messages.bounds import Blob
from inferd.strict import make_strict
from inferd_actors import messages as actors

FEWER = settings(max_examples=30)
"""Of each class: there are seventy, most of them small."""
IDS = st.integers(1, 2**53 - 1)
WHOLE_MESSAGES = [
    pytest.param(table, kind, id=f"{name}-{tag}")
    for name, table in TABLES.items()
    if name not in ("operations", "events")
    for tag, kind in table.items()
]


def same(left: object, right: object) -> bool:
    """Equality that also tells 1 from 1.0 and True."""
    return left == right and repr(left) == repr(right)


@pytest.mark.parametrize(("table", "kind"), WHOLE_MESSAGES)
@FEWER
@given(data=st.data())
def test_a_message_comes_back_as_it_was(table: dict[str, type], kind: type, data: st.DataObject) -> None:
    message = data.draw(messages(kind))
    assert same(wire.decode(wire.encode(message), table), message)


@pytest.mark.parametrize("kind", operations.OPERATIONS, ids=wire.tag)
@FEWER
@given(data=st.data())
def test_an_operation_comes_back_from_inside_its_request(kind: type[operations.Operation], data: st.DataObject) -> None:
    operation = data.draw(messages(kind))
    envelope = control.Request(1, wire.tag(kind), wire.fields_of(operation), control.Window(1, 1), timeout_ms=1)
    received = wire.decode(wire.encode(envelope), wire.FROM_APP)
    assert same(wire.operation_of(received), operation)


@pytest.mark.parametrize("kind", wire.EVENTS.values(), ids=wire.tag)
@FEWER
@given(data=st.data(), request_id=IDS, seq=st.integers(0, 2**53 - 1))
def test_an_event_comes_back_with_its_place(
    kind: type[events.Event], data: st.DataObject, request_id: int, seq: int
) -> None:
    event = data.draw(messages(kind))
    packed = wire.pack_event(request_id, seq, event)
    (arrival,) = arrivals(wire.join_events([packed]))
    assert same(arrival, wire.Arrival(request_id, seq, event, packed.size_bytes))


ANY_EVENT = st.one_of(*(messages(kind) for kind in wire.EVENTS.values()))
SOUND = messages(events.AudioChunk)
SENT = st.lists(st.tuples(IDS, st.integers(0, 2**53 - 1), ANY_EVENT | SOUND), max_size=8)


@given(sent=SENT, cuts=st.lists(st.integers(0, 8), max_size=4), whole=st.booleans())
def test_events_survive_any_grouping_and_regrouping(
    sent: list[tuple[int, int, events.Event]], cuts: list[int], *, whole: bool
) -> None:
    packed = [wire.pack_event(request, seq, event) for request, seq, event in sent]
    received = [one for group in groups(packed, cuts) for one in arrivals(wire.join_events(group), views=whole)]
    wanted = [wire.Arrival(*place, one.size_bytes) for place, one in zip(sent, packed, strict=True)]
    assert received == wanted


def groups(packed: Sequence[wire.PackedEvent], cuts: Sequence[int]) -> Iterator[Sequence[wire.PackedEvent]]:
    """Cut a list anywhere, empty pieces included."""
    edges = [0, *sorted(cut for cut in cuts if cut <= len(packed)), len(packed)]
    for low, high in itertools.pairwise(edges):
        yield packed[low:high]


def arrivals(frames: Sequence[bytes], *, views: bool = False) -> list[wire.Arrival]:
    """Read a message; `views`: from memory that somebody else owns, as frames of a socket are."""
    received: list[wire.Frame] = [memoryview(frame) if views else frame for frame in frames]
    header = wire.header_of(received)
    assert header["type"] == wire.EVENTS_TYPE
    return wire.split_events(header, received[1:])


def test_blobs_are_frames_and_take_no_part_in_the_header() -> None:
    sound = Blob(b"\7" * 5000)
    header, *blobs = wire.join_events([wire.pack_event(1, seq, events.AudioChunk(sound, 16_000)) for seq in (1, 2)])
    assert blobs == [sound, sound]
    assert len(header) < 200


def test_a_field_at_its_default_is_not_sent() -> None:
    (header,) = wire.encode(control.Ping(nonce=3, model=None))
    assert wire.unpack(header) == {"type": "ping", "nonce": 3}


def test_an_integer_stays_one_where_numbers_are_allowed_too() -> None:
    details = {"limit": 900, "waited_s": 900.0, "started": True}
    (arrival,) = arrivals(wire.join_events([wire.pack_event(1, 1, events.Error("queue_full", "x", details=details))]))
    assert isinstance(arrival.event, events.Error)
    assert repr(arrival.event.details) == repr(details)


ROWS = st.builds(actors.Row, IDS, st.integers(0, 2**53 - 2), st.integers(0, actors.MAX_ROW_EVENTS), IDS, st.booleans())


@given(kind=IDS, session=IDS, rows=st.lists(ROWS, max_size=5))
def test_a_route_comes_back_as_it_was(kind: int, session: int, rows: list[actors.Row]) -> None:
    assert actors.read_route(actors.pack_route(kind, session, rows)) == (kind, session, tuple(rows))


@given(message=st.one_of(*(messages(kind) for kind in actors.FROM_ACTOR.values())))
def test_an_actors_own_message_stands_behind_an_empty_route(message: Any) -> None:  # noqa: ANN401 - of any class
    route, *frames = actors.encode_control(message)
    assert actors.read_route(route) == (actors.KIND_CONTROL, 0, ())
    assert same(wire.decode(frames, actors.FROM_ACTOR), message)


@given(facts=messages(actors.Facts))
def test_facts_come_back_as_they_were(facts: actors.Facts) -> None:
    packed, _ = wire.pack(wire.fields_of(facts))
    assert same(wire.from_fields(wire.unpack(packed), actors.Facts), facts)


def test_every_table_names_a_class_once() -> None:
    for table in TABLES.values():
        assert len(set(table.values())) == len(table)
        assert all(wire.tag(kind) == name for name, kind in table.items())


PLAIN = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3) | st.binary(max_size=3)
LENGTHS = st.sampled_from((0, 1, wire.PLAIN_CHARS, wire.PLAIN_CHARS + 1))
FIELDS_OF_TEXT = st.one_of(
    st.fixed_dictionaries({"text": st.builds(lambda one, length: one * length, st.characters(codec="utf-8"), LENGTHS)}),
    st.dictionaries(st.sampled_from(("text", "logprobs", "unknown")), PLAIN, max_size=2),
    PLAIN,
)


@given(fields=FIELDS_OF_TEXT)
def test_a_piece_of_text_is_read_as_the_general_look_reads_it(fields: object) -> None:
    def read() -> events.Event | None:
        packed, _ = wire.pack(("text_delta", 1, 1, 0, fields))
        (arrival,) = wire.split_events({"events": [packed]}, ())
        return arrival.event

    try:
        expected = make_strict(unknown_fields_refused=False, detailed=False).structure(fields, events.TextDelta)
    except Exception:  # noqa: BLE001 - the look says no by any error
        with pytest.raises(ProtocolError, match="text_delta"):
            read()
    else:
        assert same(read(), expected)
