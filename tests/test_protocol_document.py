"""sdk/PROTOCOL.md says what the code does: every message, field, default, error, and the bytes of the examples."""

from __future__ import annotations

import importlib
import re
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from wire_values import TABLES, every_class, is_required

from inferd import carrier, wire
from inferd.address import PATH_BYTES
from inferd.errors import InferenceError
from inferd.messages import control, events, operations
from inferd.values import MAX_DEPTH
from inferd_actors import host
from inferd_actors import messages as actors
from inferd_daemon import wires
from inferd_daemon.switchboard import MAX_OFFENCES

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = (ROOT / "sdk" / "PROTOCOL.md").read_text(encoding="utf-8")
DUMP_LINE = re.compile(r"^  ((?:[0-9a-f]{2} ?)+) *\|", re.MULTILINE)


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return importlib.import_module("protocol_tables")


def listed() -> dict[str, dict[str, str]]:
    """Return message → field → default, as the tables have it."""
    found: dict[str, dict[str, str]] = {}
    message = ""
    for line in DOCUMENT.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) != 5 or set(cells[0]) == {"-"} or cells[0] == "message":
            continue
        if cells[0]:
            message = cells[0].strip("*")
            assert message not in found, f"{message} stands in two tables"
            found[message] = {}
        if cells[1] != "—":
            found[message][cells[1].strip("`")] = cells[3]
    return found


def name_of(kind: type) -> str:
    for table in TABLES.values():
        for name, known in table.items():
            if known is kind:
                return name
    for name, block in operations.BLOCKS.items():
        if block is kind:
            return f'block "{name}"'
    return kind.__name__


def test_the_generated_parts_are_what_the_code_says(generator: ModuleType) -> None:
    _, stale = generator.rewritten(DOCUMENT)
    assert not stale, "run tools/protocol_tables.py"


def test_the_check_finds_a_part_that_differs_and_names_it(generator: ModuleType) -> None:
    changed = DOCUMENT.replace("| `limit_seq` | integer ≥ 0 | required |", "| `limit_seq` | integer ≥ 1 | required |")
    again, stale = generator.rewritten(changed)
    assert "table:requests" in stale
    assert again == DOCUMENT


def test_every_message_and_every_class_inside_one_is_listed_once() -> None:
    assert sorted(listed()) == sorted(map(name_of, every_class()))


@pytest.mark.parametrize("kind", every_class(), ids=name_of)
def test_fields_and_defaults_are_those_of_the_class(kind: type) -> None:
    table = listed()[name_of(kind)]
    assert list(table) == [field.name for field in fields(kind)]
    for field in fields(kind):
        assert (table[field.name] == "required") == is_required(field), field.name
        default = field.default
        if default is MISSING or is_dataclass(default):
            continue
        words = {"None": "nil", "True": "true", "False": "false", "()": "[]"}
        assert table[field.name].strip('"') == words.get(repr(default), str(default)), field.name


def test_every_error_is_listed_with_its_class_and_whether_to_retry() -> None:
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| (\w+ \| (?:yes|no)) \|", DOCUMENT, re.MULTILINE))
    assert rows == {
        kind.code: f"{kind.__name__} | {'yes' if kind.retryable_by_default else 'no'}"
        for kind in InferenceError.__subclasses__()
    }


def dumped(name: str) -> list[bytes]:
    """Return the frames of an example, read back from its hexadecimal lines."""
    part = DOCUMENT.split(f"<!-- bytes:{name} -->", 1)[1].split("<!-- end -->", 1)[0]
    _, *frames = part.split("\nframe ")
    return [bytes.fromhex("".join(DUMP_LINE.findall(frame))) for frame in frames]


def test_the_bytes_of_the_examples_can_be_read() -> None:
    hello = wire.decode(dumped("hello"), wire.FROM_APP)
    assert isinstance(hello, control.Hello)
    assert hello.app == "notes"
    request = wire.decode(dumped("request"), wire.FROM_APP)
    assert isinstance(request, control.Request)
    asked = wire.operation_of(request)
    assert isinstance(asked, operations.Generate)
    assert (asked.messages[0].content, asked.max_tokens) == ("Hi", 64)
    assert wire.decode(dumped("credit"), wire.FROM_APP) == control.Credit(200, 32, 96, 2**20 + 1_536)


def test_the_bytes_of_the_events_can_be_read_with_and_without_a_route() -> None:
    header, *blobs = dumped("events")
    accepted, text, sound = wire.split_events(wire.header_of([header, *blobs]), blobs)
    assert (accepted.seq, accepted.event) == (0, events.Accepted("a1-7"))
    assert (text.seq, text.event) == (1, events.TextDelta("Yes"))
    assert isinstance(sound.event, events.AudioChunk)
    assert sound.event.pcm == blobs[0]
    route, *passed_on = dumped("route")
    (row,) = actors.read_route(route).rows
    arrivals = wire.split_events(wire.header_of(passed_on), passed_on[1:])
    assert row.n_events == len(arrivals)
    assert row.size_bytes == sum(one.size_bytes for one in arrivals)
    assert row.last_seq == max(one.seq for one in arrivals)


@pytest.mark.parametrize("end", [carrier, host, wires], ids=lambda end: end.__name__)
def test_the_transports_numbers_are_those_of_each_end(end: ModuleType) -> None:
    interval_s, timeout_s = end.HEARTBEAT_IVL_MS // 1000, end.HEARTBEAT_TIMEOUT_MS // 1000
    assert f"| `HEARTBEAT_IVL`, `HEARTBEAT_TIMEOUT` | {interval_s} s, {timeout_s} s |" in DOCUMENT
    assert f"| `MAXMSGSIZE` | {end.MAX_FRAME_BYTES // 2**20} MiB |" in DOCUMENT


def test_the_texts_numbers_are_those_of_the_code() -> None:
    text = " ".join(DOCUMENT.split())
    assert text.startswith(f"# The inferd protocol, version {control.PROTOCOL_VERSION} ")
    assert f"At most {PATH_BYTES['linux']} bytes, {PATH_BYTES['darwin']} on macOS" in text
    assert f"map with string keys; at most {MAX_DEPTH} levels" in text
    assert MAX_OFFENCES == 8
    assert "the eighth of these on one connection" in text
    assert wire.BLOB_REFERENCE == 1
    assert "extension 1 with one byte of data" in text
    for kind, word in ((actors.KIND_CONTROL, "control"), (actors.KIND_EVENTS, "events"), (actors.KIND_PONG, "pong")):
        assert f"| {kind} {word} |" in text
