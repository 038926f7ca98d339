"""What apps may get wrong, said to a real daemon: a clear error for each, and nobody else notices.

Covers: values, sizes, order and names in messages of one app, by the SDK and by frames that the SDK would never send; model
files that are none. Does not cover peers that mean harm (`test_hostile_peers`) and random ones (`test_fuzz`).
"""

from __future__ import annotations

import math
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from daemon_process import DaemonProcess, running
from raw_app import ECHO, RawApp, packed, request, words
from waiting import until

import inferd
from inferd import Client, Done, Message, TextDelta, wire
from inferd.messages import control, events
from inferd.messages.bounds import Blob
from inferd.messages.operations import ImageBlock

SLOW = "test/slow:echo"
LAZY = "test/lazy:echo"
CONFIG = """
[models."test/slow:echo"]
engine = "echo"
engine_options = { tokens_per_s = 40, slots = 64 }

[models."test/lazy:echo"]
engine = "echo"
engine_options = { load_s = 0.2 }
"""
STAY = " ".join(f"stay{number}" for number in range(24))
"""Half a second of a neighbour's stream."""
BRIEFLY = " ".join(STAY.split()[:12])
NAN = math.nan
MIB = 2**20


def _gguf(*, version: int = 3, tensors: int = 0, entries: int = 0, rest: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, entries) + rest


def _gguf_text(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


NO_MODELS: Mapping[str, bytes] = {
    "empty": b"",
    "text": b"this is a letter to my aunt\n" * 100,
    "truncated": _gguf(tensors=5, entries=3, rest=b"\x05\0\0\0"),
    "counts": _gguf(tensors=2**62, entries=2**62),
    "long-name": _gguf(entries=1, rest=struct.pack("<Q", 2**61) + b"x" * 100),
    "no-weights": _gguf(
        tensors=1,
        entries=1,
        rest=_gguf_text(b"general.architecture")
        + struct.pack("<I", 8)
        + _gguf_text(b"llama")
        + _gguf_text(b"token_embd.weight")
        + struct.pack("<IQQIQ", 2, 2**20, 2**20, 0, 0),
    ),
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    folder = tmp_path_factory.mktemp("no-models")
    rows = []
    for name, content in NO_MODELS.items():
        (folder / name).write_bytes(content)
        rows.append(_row(name, folder / name))
    rows.append(_row("missing", folder / "missing"))
    with running(CONFIG + "\n".join(rows)) as process:
        with process.client() as client:
            for model in (ECHO, SLOW):
                client.generate("ready", model=model)
        yield process


def _row(name: str, path: Path) -> str:
    return f'[models."bad/{name}:f16"]\nengine = "llama_cpp"\nfile = "{path}"\n'


@pytest.fixture
def client(daemon: DaemonProcess) -> Iterator[Client]:
    with daemon.client() as made:
        yield made


@pytest.fixture
def raw(daemon: DaemonProcess) -> Iterator[RawApp]:
    with RawApp(daemon.socket) as app:
        yield app


@contextmanager
def undisturbed(client: Client, prompt: str = STAY) -> Iterator[None]:
    """Hold a stream that must come to its end, on the connection that it began on, whatever happens meanwhile."""
    with client.stream(prompt, model=SLOW) as stream:
        received = iter(stream)
        next(event for event in received if isinstance(event, TextDelta))
        yield
        done = list(received)[-1]
    assert isinstance(done, Done)
    assert done.reply.text.split() == prompt.split()


@pytest.fixture
def neighbour(daemon: DaemonProcess) -> Iterator[Client]:
    with daemon.client("neighbour") as made:
        yield made


def _nested(levels: int, innermost: object = None) -> object:
    for _ in range(levels):
        innermost = {"properties": innermost}
    return innermost


def _generate(**fields: object) -> dict[str, object]:
    return {**words("hello"), **fields}


def _said(**message: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": "hello", **message}]}


# --- one wrong field of a request

BODIES: Mapping[str, tuple[object, str, str]] = {
    "no fields": ({}, "body.messages", "is required"),
    "an unknown field": (_generate(tempp=1), "body.tempp", "unknown field"),
    "NaN": (_generate(temperature=NAN), "body.temperature", "finite"),
    "infinity": (_generate(top_p=math.inf), "body.top_p", "finite"),
    "NaN in a map": (_generate(logit_bias={"7": NAN}), "body.logit_bias[7]", "finite"),
    "a number as text": (_generate(temperature="0.5"), "body.temperature", "number"),
    "a flag as number": (_generate(temperature=True), "body.temperature", "number"),
    "a negative number": (_generate(temperature=-0.1), "body.temperature", "0.0 to 10.0"),
    "no tokens": (_generate(max_tokens=0), "body.max_tokens", "1 to 10000000"),
    "a huge number": (_generate(max_tokens=2**64 - 1), "body.max_tokens", "1 to 10000000"),
    "a most negative number": (_generate(seed=-(2**63)), "body.seed", "0 to 4294967295"),
    "a float for an integer": (_generate(max_tokens=5.0), "body.max_tokens", "integer"),
    "nothing for a flag": (_generate(parallel_tool_calls=None), "body.parallel_tool_calls", "true or false"),
    "an unknown choice": (_generate(thinking="hard"), "body.thinking", "auto"),
    "no messages": ({"messages": []}, "body.messages", "1 to 10000"),
    "too many messages": ({"messages": [{"role": "user", "content": ""}] * 10_001}, "body.messages", "10001"),
    "words for messages": ({"messages": "hello"}, "body.messages", "list"),
    "an unknown role": (_said(role="root"), "body.messages[0].role", "assistant"),
    "no content": (_said(content=None), "body.messages[0].content", "string"),
    "an unknown block": (_said(content=[{"type": "smell"}]), "body.messages[0].content[0]", "text, image, audio"),
    "bytes for words": (_said(content=b"hello"), "body.messages[0].content", "string"),
    "an empty stop": (_generate(stop=[""]), "body.stop[0]", "1 to 1024"),
    "65 stops": (_generate(stop=["x"] * 65), "body.stop", "65"),
    "10,000 tools": (_generate(tools=[{"name": "t"}] * 10_000), "body.tools", "10000"),
    "66 levels of schema": (_generate(response_format=_nested(66)), "body.response_format[properties]", "64 levels"),
    "480 levels of tool": (_generate(tools=[_nested(480)]), "body.tools[0][properties]", "64 levels"),
    "a key of bytes": (_generate(response_format={b"type": 1}), "body.response_format[b'type']", "string"),
    "a blob in a schema": (_generate(response_format={"a": b"\0"}), "body.response_format[a]", "plain value"),
    "a huge number in a schema": (_generate(response_format={"a": 2**60}), "body.response_format[a]", "2^53"),
}


@pytest.mark.parametrize(("body", "field", "said"), BODIES.values(), ids=BODIES.keys())
def test_a_wrong_body_ends_its_request_by_an_error_that_names_field_and_limit(
    raw: RawApp, body: object, field: str, said: str
) -> None:
    raw.ask(1, body)
    error = raw.failure(1)
    assert error.code == "invalid_request"
    assert error.details == {"field": field}
    assert error.message.startswith(field)
    assert said in error.message
    assert raw.is_heard()


ENVELOPES: Mapping[str, tuple[dict[str, object], str, str]] = {
    "an unknown operation": ({"op": "telepathy"}, "op", "generate, transcribe"),
    "a number as operation": ({"op": 5}, "op", "string"),
    "an unknown field": ({"sudo": True}, "sudo", "unknown field"),
    "a list as body": ({"body": []}, "body", "map"),
    "no window": ({"window": None}, "window", "map"),
    "half a window": ({"window": {"limit_seq": 3}}, "window.limit_bytes", "is required"),
    "a negative window": ({"window": {"limit_seq": -1, "limit_bytes": 0}}, "window.limit_seq", "0 to"),
    "a huge window": ({"window": {"limit_seq": 2**64 - 1, "limit_bytes": 0}}, "window.limit_seq", "0 to"),
    "a negative timeout": ({"timeout_ms": -1}, "timeout_ms", "604800000"),
    "a timeout of years": ({"timeout_ms": 10**12}, "timeout_ms", "604800000"),
    "a timeout that is NaN": ({"timeout_ms": NAN}, "timeout_ms", "integer"),
    "a clock that is NaN": ({"sent_s": NAN}, "sent_s", "finite"),
    "a negative clock": ({"sent_s": -5.0}, "sent_s", "0.0 to"),
    "an unknown class": ({"priority": "urgent"}, "priority", "voice"),
    "an empty model": ({"model": ""}, "model", "1 to 256"),
    "a long model": ({"model": "m" * 257}, "model", "257"),
    "an id past 2^53": ({"id": 2**53}, "id", "9007199254740991"),
    "a model for what needs none": ({"op": "status", "body": {}}, "model", "leave model out"),
    "a negative grace": ({"op": "stop", "body": {"grace_ms": -1}}, "body.grace_ms", "0 to 600000"),
    "a rate of 7 Hz": ({"op": "loopback", "body": {"rate_hz": 7}}, "body.rate_hz", "8000 to 192000"),
}


@pytest.mark.parametrize(("envelope", "field", "said"), ENVELOPES.values(), ids=ENVELOPES.keys())
def test_a_wrong_envelope_ends_its_request_by_an_error_that_names_field_and_limit(
    raw: RawApp, envelope: dict[str, object], field: str, said: str
) -> None:
    asked = {**request(1, words("hello")), **envelope}
    raw.put(asked)
    number = asked["id"]
    assert isinstance(number, int)
    error = raw.failure(number)
    assert error.code == "invalid_request"
    assert error.details is not None
    assert error.details["field"] == field
    assert said in error.message
    assert raw.is_heard()


@pytest.mark.parametrize("number", [0, -1, 1.0, "1", None, True, [1]], ids=repr)
def test_a_request_without_a_usable_id_is_refused_as_a_message(raw: RawApp, number: object) -> None:
    raw.ask(number, words("hello"))
    refused = raw.refusal()
    assert refused.code == "invalid_request"
    assert refused.message.startswith("id: ")
    assert raw.is_heard()


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "\0", "ECKO", "a" * 255, "\u202e", "inferd/echo", "%s%n"], ids=ascii
)
@pytest.mark.parametrize("op", ["generate", "pull", "unload"])
def test_a_name_that_is_no_model_is_not_found_and_touches_no_file(raw: RawApp, op: str, name: str) -> None:
    if op == "generate":
        raw.ask(1, words("hello"), model=f"{name}x")
    else:
        raw.ask(1, {"name": f"{name}x"}, op=op, model=None)
    error = raw.failure(1)
    assert error.code == "model_not_found"
    assert error.message.isprintable()
    assert raw.is_heard()


def test_empty_words_are_answered_and_a_time_that_is_over_is_a_deadline(raw: RawApp) -> None:
    raw.ask(1, words(""))
    assert raw.text(1) == ""
    raw.ask(2, words("hello"), timeout_ms=0)
    assert raw.failure(2).code == "deadline_exceeded"
    raw.ask(3, words("hello"), sent_s=0.001, timeout_ms=1_000)
    assert raw.failure(3).code == "deadline_exceeded"


def test_an_image_that_is_none_goes_to_no_model_that_cannot_see(raw: RawApp) -> None:
    raw.ask(1, _said(content=[{"type": "image", "image": b"\x89PNG and nothing more"}]))
    assert raw.failure(1).code == "unsupported_mode"


# --- messages that are none

PING = packed({"type": "ping", "nonce": 1})
MANY = 2**20
REFUSED: Mapping[str, tuple[tuple[bytes, ...], str, str]] = {
    "an empty frame": ((b"",), "protocol_error", "msgpack"),
    "HTTP": ((b"GET / HTTP/1.1\r\n\r\n",), "protocol_error", "msgpack"),
    "two values": ((PING + PING,), "protocol_error", "msgpack"),
    "half a value": ((PING[:-3],), "protocol_error", "msgpack"),
    "a lone surrogate": ((packed({"type": "ping", "nonce": "???"})[:-3] + b"\xed\xa0\x80",), "protocol_error", "utf-8"),
    "60,000 levels": ((b"\x91" * 60_000 + b"\xc0",), "protocol_error", "StackError"),
    "a list of 4 billion": ((b"\xdd\xff\xff\xff\xff",), "protocol_error", "msgpack"),
    "a number as key": ((packed({"type": "ping", 7: 7}),), "protocol_error", "msgpack"),
    "a timestamp": ((b"\x82\xa4type\xa4ping\xa5nonce\xd6\xff\0\0\0\1",), "invalid_request", "integer"),
    "a blob that is not there": ((b"\x82\xa4type\xa4ping\xa5nonce\xd4\x01\x05",), "protocol_error", "blob"),
    "no type": ((packed({"nonce": 1}),), "protocol_error", "type"),
    "an unknown type": ((packed({"type": "dance"}),), "protocol_error", "unknown message type"),
    "the daemon's own words": ((packed({"type": "pong", "nonce": 1}),), "protocol_error", "unknown message type"),
    "an actor's words": (
        (packed({"type": "died", "life": 1, "reason": ""}),),
        "protocol_error",
        "unknown message type",
    ),
    "a negative nonce": ((packed({"type": "ping", "nonce": -1}),), "invalid_request", "nonce"),
    "an unknown field": ((packed({"type": "cancel", "request": 1, "now": True}),), "invalid_request", "now"),
    "a credit of NaN": (
        (packed({"type": "credit", "request": 1, "seen_seq": NAN, "limit_seq": 1, "limit_bytes": 1}),),
        "invalid_request",
        "seen_seq",
    ),
    "65 blobs": ((PING, *[b"x"] * 65), "invalid_request", "65"),
    "a blob too large": ((PING, bytes(16 * MIB + 1)), "invalid_request", "16,777,216"),
    "a header too large": ((packed({"type": "ping", "nonce": b"x" * 8 * MIB}),), "invalid_request", "8,388,608"),
    "a message too large": ((PING, *[bytes(15 * MIB)] * 5), "invalid_request", "67,108,864"),
    "a million lists": (
        (b"\x82\xa4type\xa4ping\xa5nonce\xdd" + MANY.to_bytes(4, "big") + b"\x90" * MANY,),
        "protocol_error",
        "262,144 values",
    ),
    "a million numbers": (
        (b"\x82\xa4type\xa4ping\xa5nonce\xdd" + MANY.to_bytes(4, "big") + b"\x01" * MANY,),
        "protocol_error",
        "262,144 values",
    ),
}


@pytest.mark.parametrize(("frames", "code", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_message_is_refused_and_the_connection_stays(
    raw: RawApp, frames: tuple[bytes, ...], code: str, said: str
) -> None:
    raw.throw(*frames)
    refused = raw.refusal()
    assert refused.code == code
    assert said in refused.message
    assert raw.is_heard()


def test_the_eighth_message_that_is_none_costs_the_connection_and_nobody_else_theirs(
    daemon: DaemonProcess, neighbour: Client
) -> None:
    with undisturbed(neighbour), RawApp(daemon.socket) as raw:
        for _ in range(7):
            raw.throw(b"\xc1")
            raw.refusal()
        raw.greet()  # another hello makes nobody a new peer
        raw.throw(b"\xc1")
        raw.await_cut()


def test_whoever_does_not_say_hello_is_told_so_and_then_cut_off(daemon: DaemonProcess) -> None:
    with RawApp(daemon.socket, greet=False) as raw:
        for _ in range(7):
            raw.ask(1, words("hello"))
            assert raw.refusal().message == "say hello first"
        raw.say(control.Ping(1))
        raw.await_cut()


HELLOS: Mapping[str, tuple[dict[str, object], str, str]] = {
    "an empty name": ({"app": ""}, "invalid_request", "app"),
    "a long name": ({"app": "a" * 257}, "invalid_request", "app"),
    "a number as name": ({"app": 7}, "invalid_request", "app"),
    "a short session": ({"app_session": "7"}, "invalid_request", "app_session"),
    "no version": ({"protocol_min": 0}, "invalid_request", "protocol_min"),
    "a later version": ({"protocol_min": 2, "protocol_max": 9}, "version_mismatch", "2 to 9"),
    "an impossible version": ({"protocol_min": 3, "protocol_max": 1}, "version_mismatch", "3 to 1"),
    "an unknown capability": ({"required": ["uplink", "telepathy"]}, "version_mismatch", "telepathy"),
    "too many capabilities": ({"required": ["x"] * 65}, "invalid_request", "65"),
}


@pytest.mark.parametrize(("fields", "code", "said"), HELLOS.values(), ids=HELLOS.keys())
def test_a_hello_that_cannot_be_answered_is_refused_and_a_better_one_is_welcome(
    daemon: DaemonProcess, fields: dict[str, object], code: str, said: str
) -> None:
    with RawApp(daemon.socket, greet=False) as raw:
        refused = raw.greet(**fields)
        assert isinstance(refused, control.Refused)
        assert refused.code == code
        assert said in refused.message
        assert isinstance(raw.greet(), control.Welcome)


# --- order: what comes too often, too early, too late, or about nothing


def test_a_wrong_request_with_the_number_of_a_running_one_does_not_end_that(raw: RawApp) -> None:
    raw.ask(1, words(STAY), model=SLOW)
    raw.ask(1, words("hello"), model=7)
    raw.ask(1, words("another question"))
    assert raw.text(1).split() == STAY.split()
    assert raw.refusal().message.startswith("model: ")
    assert raw.is_heard()
    assert not raw.arrivals


def test_cancels_and_uplinks_about_nothing_change_nothing(raw: RawApp) -> None:
    about_nothing = (
        control.Cancel(1),
        control.Credit(1, 5, 900, 1 << 20),
        control.Feed(1, 1, data=Blob(b"\0\0")),
        control.Finish(1),
        control.Pause(1),
        control.Resume(1),
        control.Played(1, 0, 5),
    )
    for message in about_nothing:
        raw.say(message)
    raw.ask(1, words("hello"))
    assert raw.text(1).split() == ["hello"]
    for message in about_nothing:
        raw.say(message)
    assert raw.is_heard()
    assert not raw.arrivals


def test_a_cancel_right_behind_its_request_ends_it_once(raw: RawApp) -> None:
    for number in range(1, 101):
        raw.ask(number, words(STAY), model=SLOW, window={"limit_seq": 8, "limit_bytes": 1 << 20})
        raw.say(control.Cancel(number))
        raw.say(control.Cancel(number))
        assert isinstance(raw.end(number), events.Cancelled)
    assert raw.is_heard()
    assert not raw.arrivals


def test_a_reattach_to_what_never_was_is_lost_and_says_so(raw: RawApp) -> None:
    raw.say(control.Reattach(7, seen_seq=41, limit_seq=100, limit_bytes=1 << 20))
    arrival = raw.event()
    assert (arrival.request, arrival.seq) == (7, 42)
    assert isinstance(arrival.event, events.Error)
    assert arrival.event.code == "connection_lost"


def test_windows_that_sum_past_the_limit_are_refused_with_it(raw: RawApp) -> None:
    raw.ask(1, words(STAY), model=SLOW, window={"limit_seq": 800, "limit_bytes": 1 << 20})
    raw.ask(2, words("hello"), window={"limit_seq": 101, "limit_bytes": 1 << 20})
    error = raw.failure(2)
    assert (error.code, error.details) == ("invalid_request", {"field": "limit_seq", "limit": 900})
    raw.say(control.Credit(1, 0, 2**53 - 1, 1 << 20))
    assert "900" in raw.refusal().message
    raw.say(control.Credit(1, 2**53 - 1, 2**53 - 1, 1 << 20))  # what has not been sent cannot have been seen
    assert "900" in raw.refusal().message
    assert raw.text(1).split() == STAY.split()


def test_more_requests_than_an_app_may_have_are_turned_away_and_each_one_ends_once(raw: RawApp) -> None:
    for number in range(1, 301):
        raw.ask(number, {}, op="loopback", window={"limit_seq": 1, "limit_bytes": 1})
    for number in range(1, 301):
        raw.say(control.Cancel(number))
    ends: dict[int, str] = {}
    while len(ends) < 300:
        arrival = raw.event()
        if isinstance(arrival.event, events.TERMINALS):
            assert arrival.request not in ends
            ends[arrival.request] = wire.tag(type(arrival.event))
    assert set(ends.values()) == {"cancelled", "error"}
    assert ends[300] == "error"
    assert ends[1] == "cancelled"
    assert raw.is_heard()


def _begin_loopback(raw: RawApp, model: str = ECHO) -> events.Granted:
    raw.ask(1, {}, op="loopback", model=model)
    while not isinstance(granted := raw.event().event, events.Granted):
        continue
    return granted


def _piece(seq: int, data: bytes | None = b"\0\0", text: str | None = None) -> control.Feed:
    return control.Feed(1, seq, data=None if data is None else Blob(data), text=text)


FED: Mapping[str, tuple[Callable[[events.Granted], list[control.Feed]], str, str]] = {
    "a gap": (lambda granted: [_piece(1), _piece(3)], "seq", "expected seq 2"),
    "a repetition": (lambda granted: [_piece(1), _piece(1)], "seq", "expected seq 2"),
    "a huge number": (lambda granted: [_piece(2**53 - 1)], "seq", "expected seq 1"),
    "more pieces than granted": (
        lambda granted: [_piece(seq) for seq in range(1, 20 * granted.limit_seq)],
        "limit_seq",
        "past the granted",
    ),
    "more bytes than granted": (
        lambda granted: [_piece(seq, bytes(granted.limit_bytes)) for seq in (1, 2, 3, 4, 5, 6)],
        "limit_bytes",
        "past the granted",
    ),
    "half a sample": (lambda granted: [_piece(1, b"\0")], "data", "2 bytes"),
    "neither sound nor words": (lambda granted: [_piece(1, None)], "data", "no data"),
    "words for sound": (lambda granted: [_piece(1, None, text="la")], "data", "no data"),
}


@pytest.mark.parametrize(("pieces", "field", "said"), FED.values(), ids=FED.keys())
def test_what_is_fed_wrongly_ends_its_stream_by_name(
    raw: RawApp, pieces: Callable[[events.Granted], list[control.Feed]], field: str, said: str
) -> None:
    granted = _begin_loopback(raw)
    for piece in pieces(granted):
        raw.say(piece)
    error = raw.failure(1)
    assert (error.code, error.details) == ("invalid_request", {"field": field})
    assert said in error.message
    assert raw.is_heard()


def test_nothing_can_be_fed_to_what_takes_no_feed(raw: RawApp) -> None:
    raw.ask(1, words(STAY), model=SLOW)
    raw.numbered()
    raw.say(control.Feed(1, 1, text="more"))
    assert raw.failure(1).code == "invalid_request"


def test_an_uplink_that_comes_before_its_model_is_there_is_kept_or_refused_and_never_lost(
    daemon: DaemonProcess, raw: RawApp, client: Client
) -> None:
    client.generate("ready", model=LAZY)
    client.models.unload(LAZY)
    raw.ask(1, {}, op="loopback", model=LAZY)
    raw.say(_piece(1))
    assert "nothing may be fed" in raw.refusal().message
    raw.say(control.Pause(1))
    raw.say(control.Resume(1))
    raw.say(control.Finish(1))
    assert isinstance(raw.end(1), events.Finished)


# --- the SDK says it before anything is sent

SELF_CONTAINING: dict[str, object] = {}
SELF_CONTAINING["properties"] = SELF_CONTAINING
WRONG_CALLS: Mapping[str, tuple[Any, dict[str, Any], str, str]] = {
    "100 MB of words": ("x" * 100_000_000, {}, "messages[0].content", "8388608"),
    "a lone surrogate": ("broken \ud800", {}, "messages[0].content", "surrogate"),
    "no words but a number": (7, {}, "prompt", "string"),
    "NaN": ("hello", {"temperature": NAN}, "temperature", "finite"),
    "a negative number": ("hello", {"max_tokens": -5}, "max_tokens", "1 to"),
    "a huge number": ("hello", {"seed": 10**30}, "seed", "bits"),
    "an unknown option": ("hello", {"temperatures": 1}, "temperatures", "temperature"),
    "10,000 tools": ("hello", {"tools": [{"name": "t"}] * 10_000}, "tools", "1024"),
    "a schema that contains itself": ("hello", {"response_format": SELF_CONTAINING}, "response_format", "64 levels"),
    "60,000 levels of schema": ("hello", {"response_format": _nested(60_000)}, "response_format", "64 levels"),
    "a million numbers": ("hello", {"response_format": {"enum": [1] * 1_000_000}}, "body", "262,144 values"),
    "a timeout that is NaN": ("hello", {"timeout_s": NAN}, "timeout_s", "seconds"),
    "an unknown class": ("hello", {"priority": "now"}, "priority", "voice"),
    "a surrogate as model": ("hello", {"model": "\udfff"}, "model", "surrogate"),
    "an image past the limit": (
        [Message("user", (ImageBlock(Blob(bytes(17 * MIB))),))],
        {},
        "blob_bytes",
        "16,777,216",
    ),
}


@pytest.mark.parametrize(("prompt", "options", "field", "said"), WRONG_CALLS.values(), ids=WRONG_CALLS.keys())
def test_a_wrong_call_fails_with_field_and_limit_and_the_connection_stays(
    client: Client,
    prompt: Any,  # noqa: ANN401 - wrong types are what is tested
    options: dict[str, Any],
    field: str,
    said: str,
) -> None:
    with undisturbed(client, BRIEFLY), pytest.raises(inferd.InvalidRequest) as refused:
        client.generate(prompt, **{"model": ECHO, **options})
    assert str(refused.value.details["field"]).startswith(field)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 1000


def test_an_app_that_has_no_usable_name_is_told_when_it_is_made(daemon: DaemonProcess) -> None:
    for name in ("", "a" * 257, "\ud800"):
        with pytest.raises(inferd.InvalidRequest) as refused, daemon.client(name) as nameless:
            nameless.ping()
        assert refused.value.details["field"] == "app"


# --- 100 MB that the SDK would not send


def test_a_frame_of_100_mb_costs_its_sender_the_connection_and_nobody_else_anything(
    daemon: DaemonProcess, neighbour: Client
) -> None:
    with undisturbed(neighbour), RawApp(daemon.socket) as raw:
        raw.ask(1, words("x" * 100_000_000))
        raw.await_cut()


def test_100_mb_in_frames_that_pass_are_refused_with_both_numbers(daemon: DaemonProcess, neighbour: Client) -> None:
    with undisturbed(neighbour), RawApp(daemon.socket) as raw:
        raw.put(request(1, words("hello")), *[bytes(10_000_000)] * 10)
        refused = raw.refusal()
        assert refused.code == "invalid_request"
        assert "67,108,864" in refused.message
        assert raw.is_heard()


# --- model files that are none


@pytest.mark.parametrize("name", NO_MODELS)
def test_a_file_that_is_no_model_fails_its_load_with_the_cause_and_is_not_tried_in_a_loop(
    daemon: DaemonProcess, client: Client, neighbour: Client, name: str
) -> None:
    model = f"bad/{name}:f16"
    with undisturbed(neighbour), pytest.raises(inferd.LoadFailed) as failed:
        client.generate("hello", model=model)
    assert failed.value.details["cause"] == "file_corrupt"
    until(lambda: daemon.model(model).state == "failed", "the model is left alone")
    life = daemon.model(model).life
    with pytest.raises(inferd.LoadFailed):
        client.generate("hello", model=model)
    assert daemon.model(model).life in (life, 0)  # 0: its process has ended meanwhile
    assert client.generate("still here", model=ECHO).text.split() == ["still", "here"]


def test_a_file_that_is_not_there_is_missing(client: Client) -> None:
    with pytest.raises(inferd.LoadFailed) as failed:
        client.generate("hello", model="bad/missing:f16")
    assert failed.value.details["cause"] == "file_missing"


# --- apps that do not stay


def test_an_app_that_vanishes_while_its_model_loads_leaves_nothing_waiting(
    daemon: DaemonProcess, client: Client
) -> None:
    client.models.unload(LAZY)
    with RawApp(daemon.socket) as raw:
        for number in range(1, 21):
            raw.ask(number, words("hello"), model=LAZY, window={"limit_seq": 1, "limit_bytes": 64})
        raw.event()
    assert client.generate("hello", model=LAZY).text.split() == ["hello"]
    until(lambda: (row := daemon.model(LAZY)).busy == row.queued == 0, "nothing of the vanished app is left")
    until(lambda: {app.app for app in client.daemon.status().apps} == {"test"}, "its session is gone, too")


def test_an_app_that_is_left_by_many_threads_at_once_ends_every_call(daemon: DaemonProcess) -> None:
    ends: list[BaseException] = []

    def ask() -> None:
        try:
            leaver.generate("w " * 1000, model=SLOW)
        except inferd.InferenceError as end:
            ends.append(end)

    leaver = daemon.client("leaver")
    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    until(lambda: daemon.model(SLOW).busy == 10, "all of them stream")
    leaver.close()
    for thread in threads:
        thread.join()
    assert [type(end) for end in ends] == [inferd.Cancelled] * 10
    until(lambda: daemon.model(SLOW).busy == 0, "their slots are free", within_s=5.0)
