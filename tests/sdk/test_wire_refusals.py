"""What is refused: every wrong value of every field, by its name; see `test_wire_bytes` for what is no message at all."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
from wire_values import TABLES, every_class, hints, is_required
from wire_verdicts import accepts, candidates, sample_fields

from inferd import wire
from inferd.errors import InvalidRequest, ProtocolError
from inferd.messages import control, events, operations

if TYPE_CHECKING:
    from collections.abc import Sequence

FIELDS = [
    pytest.param(kind, one.name, id=f"{wire.tag(kind)}.{one.name}") for kind in every_class() for one in fields(kind)
]
REQUIRED = [
    pytest.param(kind, one.name, id=f"{wire.tag(kind)}.{one.name}")
    for kind in every_class()
    for one in fields(kind)
    if is_required(one)
]
TELLING = (control.Hello, control.Welcome, control.Limits, control.Refused, control.Pong, control.Goodbye)
ASKING = [
    kind
    for name, table in TABLES.items()
    if name not in ("events", "to_app")
    for kind in table.values()
    if kind not in TELLING
]


# --- fields


@pytest.mark.parametrize(("kind", "name"), FIELDS)
def test_a_field_takes_what_the_protocol_allows_and_nothing_else(kind: type, name: str) -> None:
    annotation, valid = hints(kind)[name], sample_fields(kind)
    for value in candidates(annotation):
        if kind in TELLING and isinstance(value, dict):
            continue  # what it may hold besides its own fields has tests of its own
        given_fields = {**valid, name: value}
        if accepts(annotation, value):
            taken = getattr(wire.from_fields(given_fields, kind), name)
            assert taken == value or isinstance(value, (list, dict)), f"{value!r:.80} became {taken!r:.80}"
            continue
        refused = refusal(given_fields, kind)
        assert refused is not None, f"{value!r:.80} was taken"
        field = str(refused.details["field"])
        assert field.startswith(name), f"{value!r:.80} was blamed on {field}"
        assert str(refused).startswith(field)
        assert len(str(refused)) < 1000


def refusal(given_fields: dict[str, Any], kind: type) -> InvalidRequest | None:
    try:
        wire.from_fields(given_fields, kind)
    except InvalidRequest as refused:
        return refused
    return None


@pytest.mark.parametrize(("kind", "name"), REQUIRED)
def test_a_missing_field_is_named(kind: type, name: str) -> None:
    valid = sample_fields(kind)
    del valid[name]
    with pytest.raises(InvalidRequest, match=f"^{name}: is required$") as refused:
        wire.from_fields(valid, kind)
    assert refused.value.details["field"] == name


@pytest.mark.parametrize("kind", ASKING, ids=wire.tag)
def test_an_unknown_field_in_what_asks_is_refused_by_name(kind: type) -> None:
    with pytest.raises(InvalidRequest, match=r"^tempp: unknown field$") as refused:
        wire.from_fields({**sample_fields(kind), "tempp": 1}, kind)
    assert refused.value.details["field"] == "tempp"


@pytest.mark.parametrize("kind", TELLING, ids=wire.tag)
def test_an_unknown_field_in_what_tells_is_ignored(kind: type) -> None:
    known = sample_fields(kind)
    assert wire.from_fields({**known, "tempp": [1]}, kind) == wire.from_fields(known, kind)


def test_an_unknown_limit_inside_a_welcome_is_ignored() -> None:
    known = sample_fields(control.Welcome)
    newer = {**known, "limits": {**known["limits"], "sockets": 3}}
    assert wire.from_fields(newer, control.Welcome) == wire.from_fields(known, control.Welcome)


@pytest.mark.parametrize("kind", wire.EVENTS.values(), ids=wire.tag)
def test_an_unknown_field_in_an_event_is_ignored(kind: type[events.Event]) -> None:
    known = sample_fields(kind)
    assert only(event_message(wire.tag(kind), {**known, "tempp": 1})) == only(event_message(wire.tag(kind), known))


def test_an_unknown_event_counts_and_is_ignored() -> None:
    assert only(event_message("smell_delta", {"smell": "rose"}, seq=4)).event is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"messages": []}, "body.messages"),
        ({"messages": [{"role": "user", "content": "a"}], "tempp": 1}, "body.tempp"),
        ({"messages": [{"role": "user", "content": "a", "colour": 1}]}, "body.messages[0].colour"),
        ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "body.messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "txt": ""}]}]}, "body.messages[0].content[0].txt"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "body.messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": "a"}], "logit_bias": {"a": 101}}, "body.logit_bias[a]"),
    ],
)
def test_a_wrong_value_deep_inside_is_named_by_its_path(body: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        wire.operation_of(control.Request(1, "generate", body, control.Window(1, 1), timeout_ms=1))  # type: ignore[arg-type]
    assert refused.value.details["field"] == field


def test_an_unknown_operation_is_refused_with_those_that_exist() -> None:
    with pytest.raises(InvalidRequest, match=r"expected one of generate, .* got 'dance'"):
        wire.operation_of(control.Request(1, "dance", {}, control.Window(1, 1), timeout_ms=1))  # type: ignore[arg-type]


def test_a_wrong_request_is_known_by_its_id_and_other_messages_are_not() -> None:
    with pytest.raises(InvalidRequest) as refused:
        wire.decode([msgpack.packb({"type": "request", "id": 9, "op": 5})], wire.FROM_APP)
    assert refused.value.details["request"] == 9
    with pytest.raises(InvalidRequest) as refused:
        wire.decode([msgpack.packb({"type": "credit", "request": 9, "id": 9})], wire.FROM_APP)
    assert "request" not in refused.value.details


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("hot", "temperature: expected a number or nothing, got str 'hot'"),
        (True, "temperature: expected a number or nothing, got bool True"),
        ([["x" * 500]], "temperature: expected a number or nothing, got list of length 1"),
        (11, "temperature: expected 0.0 to 10.0, got float 11.0"),
        (2**70, "temperature: expected a number of at most 2^53 - 1, got int of 71 bits"),
    ],
)
def test_an_error_says_what_was_expected_and_what_was_found(value: object, said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        wire.from_fields({"messages": [{"role": "user", "content": "a"}], "temperature": value}, operations.Generate)
    assert str(refused.value) == said


def test_an_error_repeats_neither_long_values_nor_long_names() -> None:
    secret = "my diary " * 1000
    for wrong in ({"model": secret}, {secret: 1}, {"priority": secret}):
        with pytest.raises(InvalidRequest) as refused:
            wire.from_fields({**sample_fields(control.Request), **wrong}, control.Request)
        assert len(str(refused.value)) < 400
        assert len(str(refused.value.details["field"])) <= 256


def test_plain_values_may_nest_64_levels_and_no_deeper() -> None:
    def nested(levels: int) -> dict[str, object]:
        value: object = 1
        for _ in range(levels):
            value = [value]
        return {"messages": [{"role": "user", "content": "a"}], "tools": [{"parameters": value}]}

    wire.from_fields(nested(64), operations.Generate)
    for levels in (65, 5_000):
        with pytest.raises(InvalidRequest, match="nested deeper than 64 levels"):
            wire.from_fields(nested(levels), operations.Generate)


class Watched(dict[str, object]):
    """A map that counts how often somebody looked into it."""

    looks = 0

    def __getitem__(self, key: str) -> object:
        self.looks += 1
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.looks += 1
        return super().__contains__(key)


def test_nothing_is_looked_at_behind_the_first_wrong_value() -> None:
    watched = Watched(role="user", content="a")
    assert refusal({"messages": [{"role": "user", "content": "a"}, watched]}, operations.Generate) is None
    assert watched.looks > 0
    watched.looks = 0
    assert refusal({"messages": [{"role": "nobody", "content": "a"}, watched]}, operations.Generate) is not None
    assert refusal({"messages": [watched] * 10_001}, operations.Generate) is not None
    assert watched.looks == 0


# --- events


@pytest.mark.parametrize(
    "piece",
    [
        b"", b"\xc1", 7, "text", None, [], {"a": 1}, ["text_delta", 1, 1, 0], ["text_delta", 1, 1, 0, {}, 0],
        [5, 1, 1, 0, {"text": ""}], ["text_delta", "1", 1, 0, {"text": ""}], ["text_delta", True, 1, 0, {"text": ""}],
        ["text_delta", 0, 1, 0, {"text": ""}], ["text_delta", 1, -1, 0, {"text": ""}],
        ["text_delta", 1, 1, -1, {"text": ""}], ["text_delta", 1, 1, 2, {"text": ""}], ["text_delta", 1, 1, 0, []],
        ["text_delta", 1, 1, 0, {}], ["text_delta", 1, 1, 0, {"text": 5}],
        {"text_delta": 1, "b": 1, "c": 1, "d": 1, "e": 1},
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_event_is_refused(piece: object) -> None:
    packed = piece if isinstance(piece, bytes) else msgpack.packb(piece)
    with pytest.raises(ProtocolError):
        read_events([msgpack.packb({"type": "events", "events": [packed]}), b"one blob"])


@pytest.mark.parametrize("pieces", [None, {}, "text", 5, [[]], [None], ["text"]], ids=repr)
def test_what_is_no_list_of_events_is_refused(pieces: object) -> None:
    with pytest.raises(ProtocolError):
        read_events([msgpack.packb({"type": "events", "events": pieces})])


def test_an_event_cannot_reach_into_its_neighbours_blobs() -> None:
    first = msgpack.packb(["audio_chunk", 1, 1, 1, {"pcm": msgpack.ExtType(1, b"\1"), "rate_hz": 16_000}])
    second = wire.pack_event(2, 1, events.AudioChunk(b"mine", 16_000)).packed  # type: ignore[arg-type]
    with pytest.raises(ProtocolError):
        read_events([msgpack.packb({"type": "events", "events": [first, second]}), b"its own", b"mine"])


def event_message(name: str, event_fields: dict[str, Any], *, seq: int = 1) -> list[bytes]:
    return [msgpack.packb({"type": "events", "events": [msgpack.packb([name, 1, seq, 0, event_fields])]})]


def only(frames: Sequence[bytes]) -> wire.Arrival:
    """Return the one event of a message, without its size."""
    (arrival,) = read_events(frames)
    return wire.Arrival(arrival.request, arrival.seq, arrival.event, size_bytes=0)


def read_events(frames: Sequence[bytes]) -> list[wire.Arrival]:
    return wire.split_events(wire.header_of(frames), frames[1:])


# --- limits, and what cannot be sent


@pytest.mark.parametrize(
    ("frames", "what"),
    [
        ([b"x" * 11], "header_bytes"),
        ([b"x", b"x" * 21], "blob_bytes"),
        ([b"x", b"", b"", b"", b""], "blobs"),
        ([b"x" * 10, b"x" * 20, b"x"], "message_bytes"),
    ],
)
def test_a_message_past_a_limit_is_refused_with_both_numbers(frames: list[bytes], what: str) -> None:
    limits = control.Limits(header_bytes=10, blob_bytes=20, blobs=3, message_bytes=30)
    wire.check_frames([b"x" * 10, b"x" * 20], limits)
    with pytest.raises(InvalidRequest, match=what) as refused:
        wire.check_frames(frames, limits)
    assert refused.value.details["field"] == what
    assert refused.value.details["found"] > refused.value.details["limit"]  # type: ignore[operator]


def test_what_msgpack_cannot_carry_is_no_crash_of_the_sender() -> None:
    for value in ("\ud800", 2**70, object(), {1, 2}):
        with pytest.raises(ValueError, match=r"cannot be encoded|cannot carry"):
            wire.pack({"value": value})


def test_256_blobs_are_one_more_than_a_reference_can_name() -> None:
    image = operations.ImageBlock(b"")  # type: ignore[arg-type]
    wire.pack([wire.fields_of(image)] * 255)
    with pytest.raises(ValueError, match="at most 255 blobs"):
        wire.pack([wire.fields_of(image)] * 256)
