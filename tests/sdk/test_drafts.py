"""What an app may ask, and that every mistake is refused before anything is sent, by the name of its field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from inferd import wire
from inferd.drafts import draft, generate_draft, generate_operation, loopback_draft, pull_draft, stop_draft
from inferd.errors import InvalidRequest
from inferd.messages import control
from inferd.messages.bounds import Blob
from inferd.messages.operations import AudioBlock, Generate, ImageBlock, Message, TextBlock, ToolCall

HI = (Message("user", "hi"),)
MANY_BLOBS = [Message("user", tuple(ImageBlock(Blob(b"x")) for _ in range(300)))]


def nested(levels: int) -> dict[str, object]:
    value: dict[str, object] = {}
    for _ in range(levels):
        value = {"properties": value}
    return value


def test_a_string_is_one_user_message() -> None:
    assert generate_operation("hi", {}) == Generate(HI)


@pytest.mark.parametrize(
    "turn",
    [
        Message("user", (TextBlock("a"), ImageBlock(Blob(b"png")), AudioBlock(Blob(b"wav")))),
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a"},
                {"type": "image", "image": b"png"},
                {"type": "audio", "audio": b"wav"},
            ],
        },
        {"role": "user", "content": (TextBlock("a"), {"type": "image", "image": b"png"}, AudioBlock(Blob(b"wav")))},
    ],
)
def test_messages_may_be_objects_maps_or_both(turn: Message | Mapping[str, object]) -> None:
    blocks = (TextBlock("a"), ImageBlock(Blob(b"png")), AudioBlock(Blob(b"wav")))
    assert generate_operation([turn], {}) == Generate((Message("user", blocks),))


def test_a_whole_conversation_keeps_its_turns() -> None:
    turns: list[Message | dict[str, object]] = [
        {"role": "system", "content": "Be brief."},
        Message("assistant", "", tool_calls=(ToolCall("1", "clock", "{}"),)),
        {"role": "assistant", "content": "", "tool_calls": [ToolCall("1", "clock", "{}")]},
        {"role": "tool", "content": "noon", "tool_call_id": "1", "name": "clock"},
    ]
    made = generate_operation(turns, {}).messages
    assert made[1] == made[2]
    assert made[3] == Message("tool", "noon", "clock", "1")


@pytest.mark.parametrize("stop", ["END", ["END"], ("END",)])
def test_a_stop_sequence_may_stand_alone(stop: object) -> None:
    assert generate_operation("hi", {"stop": stop}).stop == ("END",)


def test_the_packed_request_is_what_the_codec_reads() -> None:
    turn = Message("user", (TextBlock("what is this?"), ImageBlock(Blob(b"\x89PNG"))))
    made = generate_draft([turn], {"max_tokens": 5}, timeout_s=2.5, priority="voice", model="m")
    frames = made.frames(7, control.Window(64, 1_000), 12.5)
    request = wire.decode(frames, wire.FROM_APP)
    assert isinstance(request, control.Request)
    assert (request.id, request.op, request.window) == (7, "generate", control.Window(64, 1_000))
    assert (request.timeout_ms, request.sent_s, request.priority, request.model) == (2_500, 12.5, "voice", "m")
    assert wire.operation_of(request) == Generate((turn,), max_tokens=5)
    assert frames[1:] == [b"\x89PNG"]


@pytest.mark.parametrize(
    ("prompt", "field"),
    [
        (5, "prompt"),
        (None, "prompt"),
        (b"hi", "prompt"),
        ({"role": "user", "content": "hi"}, "prompt"),
        ([], "messages"),
        ("\ud800", "messages[0].content"),
        ([5], "messages[0]"),
        (["hi"], "messages[0]"),
        ([Message], "messages[0]"),
        ([{"role": "user"}], "messages[0].content"),
        ([{"role": "boss", "content": "hi"}], "messages[0].role"),
        ([{"role": "user", "content": "hi", "mood": "good"}], "messages[0].mood"),
        ([{"role": "user", "content": [{"type": "video", "video": b""}]}], "messages[0].content[0]"),
        ([Message("user", 5)], "messages[0].content"),  # type: ignore[arg-type]
        ([Message("user", "hi", tool_calls=5)], "messages[0]"),  # type: ignore[arg-type]
        ([*HI, {"role": "user", "content": [TextBlock("\ud800")]}], "messages[1].content[0].text"),
    ],
)
def test_a_wrong_prompt_is_refused_by_the_name_of_its_part(prompt: object, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        generate_operation(prompt, {})
    assert refused.value.details["field"] == field
    assert field in refused.value.message
    assert not refused.value.retryable


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("temperature", "0.5"),
        ("temperature", -1),
        ("top_p", 1.5),
        ("max_tokens", 5.0),
        ("max_tokens", True),
        ("max_tokens", 0),
        ("seed", -1),
        ("seed", 2**32),
        ("stop", 5),
        ("tools", {"type": "function"}),
        ("thinking", "maybe"),
        ("truncate", None),
        ("parallel_tool_calls", 1),
        ("logprobs", 21),
    ],
)
def test_a_wrong_option_is_refused_by_its_name(option: str, value: object) -> None:
    with pytest.raises(InvalidRequest, match=f"^{option}: ") as refused:
        generate_operation("hi", {option: value})
    assert refused.value.details["field"] == option


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"stop": ["a", ""]}, "stop[1]"),
        ({"logit_bias": {"7": 101}}, "logit_bias[7]"),
        ({"tools": [{"f": object()}]}, "tools[0][f]"),
        ({"response_format": nested(60_000)}, "response_format[properties]"),
    ],
)
def test_a_wrong_part_of_an_option_is_refused_by_its_path(options: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        generate_operation("hi", options)
    assert refused.value.details["field"] == field


@pytest.mark.parametrize(("unknown", "near"), [("max_token", "max_tokens"), ("temprature", "temperature")])
def test_an_unknown_option_is_refused_with_the_one_that_was_meant(unknown: str, near: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{unknown}: unknown option; did you mean {near}"):
        generate_operation("hi", {unknown: 1})


def test_messages_cannot_be_given_twice() -> None:
    with pytest.raises(InvalidRequest, match="messages: unknown option"):
        generate_operation("hi", {"messages": []})


def test_more_blobs_than_a_message_can_carry_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="at most 255 blobs"):
        draft(generate_operation(MANY_BLOBS, {}), timeout_s=1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timeout_s", "10"),
        ("timeout_s", True),
        ("timeout_s", float("nan")),
        ("timeout_s", 0),
        ("timeout_s", -1),
        ("timeout_s", 604_801),
        ("priority", "urgent"),
        ("model", ""),
        ("model", 5),
        ("model", "\ud800"),
    ],
)
def test_a_wrong_envelope_is_refused_by_the_name_of_its_field(field: str, value: object) -> None:
    envelope: dict[str, Any] = {"timeout_s": 10.0, "priority": "voice", "model": "m", field: value}
    with pytest.raises(InvalidRequest, match=f"^{field}: ") as refused:
        draft(Generate(HI), **envelope)
    assert dict(refused.value.details) == {"field": field}


def test_the_small_operations_are_checked_too() -> None:
    with pytest.raises(InvalidRequest, match=r"^rate_hz: expected 8000 to 192000"):
        loopback_draft(5, timeout_s=1, priority="voice", model=None)
    with pytest.raises(InvalidRequest, match=r"^name: "):
        pull_draft("", timeout_s=1)
    for wrong in (-1, 601, float("nan"), "30", True):
        with pytest.raises(InvalidRequest, match=r"^grace_s: expected 0 to 600 seconds"):
            stop_draft(wrong, timeout_s=1)
