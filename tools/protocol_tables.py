"""Write the generated parts of sdk/PROTOCOL.md: tables of messages and errors, and the bytes of the examples.

Usage: python tools/protocol_tables.py [--check]
A part stands between `<!-- table:NAME -->` or `<!-- bytes:NAME -->` and `<!-- end -->`. `--check` changes nothing: it
names the parts that differ from what the code says, and exits with 1 if there are any. Needs the project installed.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from inferd import errors, wire
from inferd.messages import control, events, operations
from inferd.messages.bounds import MAX_U53, Blob, Length, Range, Unread
from inferd_actors import messages as actors

DOCUMENT = Path(__file__).parents[1] / "sdk" / "PROTOCOL.md"
REGION = re.compile(r"<!-- (table|bytes):([a-z-]+) -->\n(.*?)<!-- end -->", re.DOTALL)

TAGGED: Mapping[type, str] = {
    kind: name
    for table in (wire.FROM_APP, wire.TO_APP, wire.OPERATIONS, wire.EVENTS, actors.TO_ACTOR, actors.FROM_ACTOR)
    for name, kind in table.items()
}
"""Classes that have a wire name; the others are maps inside them and are shown under their own names."""


def parts(kinds: Iterable[type]) -> tuple[type, ...]:
    """Return the classes without a wire name that stand inside these, in order of appearance."""
    found: dict[type, None] = {}

    def search(kind: object) -> None:
        if isinstance(kind, type) and is_dataclass(kind):
            if kind not in TAGGED:
                found[kind] = None
            for hint in get_type_hints(kind, include_extras=True).values():
                search(hint)
        for argument in get_args(kind):
            search(argument)

    for kind in kinds:
        search(kind)
    return tuple(found)


LINE = (control.Hello, control.Welcome, control.Refused, control.Ping, control.Pong, control.Goodbye)
REQUESTS = (control.Request, control.Credit, control.Cancel, control.Reattach)
SCHEMAS = parts((operations.Register, events.Discovered, events.UpgradeList))
TABLES: Mapping[str, Sequence[type]] = {
    "line": (*LINE, *parts(LINE)),
    "requests": (*REQUESTS, *parts(REQUESTS)),
    "uplink": (control.Feed, control.Finish, control.Pause, control.Resume, control.Played),
    "operations": operations.OPERATIONS,
    "conversation": parts(kind for kind in operations.OPERATIONS if kind is not operations.Register),
    "state": events.STATES,
    "content": (*events.CONTENTS, *parts(events.CONTENTS)),
    "terminal": events.TERMINALS,
    "reports": tuple(kind for kind in parts(events.TERMINALS) if kind not in SCHEMAS),
    "schemas": SCHEMAS,
    "to-actor": (*actors.TO_ACTOR.values(), *parts(actors.TO_ACTOR.values())),
    "from-actor": (*actors.FROM_ACTOR.values(), *parts(actors.FROM_ACTOR.values()), actors.Facts),
}


def documented(kind: type) -> str:
    """Return the name under which the document lists a class."""
    if kind in operations.BLOCKS.values():
        return next(f'block "{name}"' for name, block in operations.BLOCKS.items() if block is kind)
    return TAGGED.get(kind, kind.__name__)


# --- types


def _number(value: float) -> str:
    return "2^53-1" if value == MAX_U53 else "2^32-1" if value == 2**32 - 1 else f"{value:.17g}"


def _bounded(base: object, bound: Range | Length) -> str:
    match bound:
        case Range(low, high) if high == MAX_U53:
            limits = f" ≥ {_number(low)}"
        case Range(low, high):
            limits = f" {_number(low)} to {_number(high)}"
        case Length(low, high):
            limits = f" (≤ {high})" if low == 0 else f" ({low} to {high})"
    name, of, rest = shape(base).partition(" of ")
    return name + limits + of + rest


WORDS: Mapping[object, str] = {
    int: "integer",
    float: "number",
    str: "string",
    bool: "bool",
    NoneType: "nil",
    object: "any plain value",
    Blob: "blob",
    Unread: "map",
}


def shape(kind: Any) -> str:  # noqa: ANN401 - a type, of any kind
    """Return a type in the document's words."""
    if kind in WORDS:
        return WORDS[kind]
    if isinstance(kind, type) and is_dataclass(kind):
        return f"`{documented(kind)}`"
    return _composed(get_origin(kind), get_args(kind))


def _composed(origin: object, arguments: tuple[Any, ...]) -> str:
    if origin is Annotated:
        return _bounded(*arguments)
    if origin is Literal:
        return " \\| ".join(f'"{one}"' for one in arguments)
    if origin in (Union, UnionType):
        return "block" if arguments == get_args(operations.Block) else " or ".join(map(shape, arguments))
    if origin is tuple:
        return f"list of {_inside(arguments[0])}"
    if origin is Mapping:
        return f"map of {_inside(arguments[1])}"
    raise TypeError(f"no words for {origin!r}")


def default(field: Field[Any]) -> str:
    """Return what a missing field means, in the document's words."""
    value = field.default
    if value is MISSING and field.default_factory is not MISSING:
        value = field.default_factory()
    if value is MISSING:
        return "required"
    if is_dataclass(value):
        return "its defaults"
    plain: Mapping[str, str] = {"None": "nil", "True": "true", "False": "false", "()": "[]"}
    return plain.get(repr(value), f'"{value}"' if isinstance(value, str) else repr(value))


def _inside(kind: Any) -> str:  # noqa: ANN401 - a type, of any kind
    words = shape(kind)
    return f"({words})" if " or " in words else words


# --- words


def about(kind: type) -> str:
    """Return what a class is as a whole: the first paragraph of its docstring, in the words of the wire."""
    paragraph = " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())
    return _wire_words(paragraph)


def _wire_words(text: str) -> str:
    """Call messages by their wire names, and the absence of a value by msgpack's."""
    for kind, name in TAGGED.items():
        text = text.replace(f"`{kind.__name__}`", f"`{name}`")
    return re.sub(r"\bNone\b", "nil", text)


def field_words(kind: type) -> dict[str, str]:
    """Return field → what stands under it in the source."""
    words: dict[str, str] = {}
    for statement in ast.parse(textwrap.dedent(inspect.getsource(kind))).body:
        match statement:
            case ast.ClassDef(body=body):
                words |= dict(_field_words(body))
    return words


def _field_words(body: Sequence[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, below in itertools.pairwise(body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                yield name, _wire_words(" ".join(text.split()))


def rows(kind: type) -> list[str]:
    """Return a class's rows: the first one carries its name and, in italics, what it is as a whole."""
    hints, words = get_type_hints(kind, include_extras=True), field_words(kind)
    meanings = [words.get(field.name, "") for field in fields(kind)] or [""]
    meanings[0] = f"*{about(kind)}* {meanings[0]}".rstrip()
    cells = [(f"`{field.name}`", shape(hints[field.name]), default(field)) for field in fields(kind)] or [("—", "", "")]
    names = [f"**{documented(kind)}**", *[""] * (len(cells) - 1)]
    return [
        f"| {' | '.join((name, *cell, meaning))} |" for name, cell, meaning in zip(names, cells, meanings, strict=True)
    ]


def message_table(name: str) -> str:
    """Return a table of messages."""
    head = "| message | field | type | default | meaning |\n|---|---|---|---|---|"
    body = [re.sub(r" {2,}", " ", line) for kind in TABLES[name] for line in rows(kind)]  # empty cells take no room
    return "\n".join([head, *body]) + "\n"


def error_table() -> str:
    """Return the table of error codes."""
    lines = [
        f"| `{kind.code}` | {kind.__name__} | {'yes' if kind.retryable_by_default else 'no'} "
        f"| {' '.join((inspect.getdoc(kind) or '').split())} |"
        for kind in errors.InferenceError.__subclasses__()
    ]
    return "\n".join(["| code | class in the SDK | retryable | meaning |\n|---|---|---|---|", *lines]) + "\n"


# --- bytes


def examples() -> Mapping[str, Sequence[bytes]]:
    """Return the frames of the example messages, made by the codec."""
    hello = control.Hello(1, 1, "notes", "00112233445566778899aabbccddeeff", sdk="example 1.0")
    generate = operations.Generate((operations.Message("user", "Hi"),), max_tokens=64)
    request = control.Request(
        id=200,
        op=wire.tag(operations.Generate),
        body=wire.fields_of(generate),
        window=control.Window(64, 2**20),
        timeout_ms=60_000,
        sent_s=812.5,
        model="smollm2",
    )
    said = [
        wire.pack_event(200, wire.STATE_SEQ, events.Accepted("a1-7")),
        wire.pack_event(200, 1, events.TextDelta("Yes")),
        wire.pack_event(201, 9, events.AudioChunk(Blob(bytes.fromhex("0100feff0300fcff")), 16_000, first_sample=320)),
    ]
    row = actors.Row(7, 1, 2, sum(one.size_bytes for one in said[:2]), is_terminal=False)
    return {
        "hello": wire.encode(hello),
        "request": wire.encode(request),
        "events": wire.join_events(said),
        "credit": wire.encode(control.Credit(request=200, seen_seq=32, limit_seq=96, limit_bytes=2**20 + 1_536)),
        "route": [actors.pack_route(actors.KIND_EVENTS, 3, [row]), *wire.join_events(said[:2])],
    }


def dump(frames: Sequence[bytes]) -> str:
    """Return frames as hexadecimal lines with their printable characters beside them."""
    lines = []
    for number, frame in enumerate(frames):
        lines.append(f"frame {number}: {len(frame)} bytes")
        for at in range(0, len(frame), 16):
            piece = frame[at : at + 16]
            text = "".join(chr(byte) if chr(byte).isascii() and chr(byte).isprintable() else "." for byte in piece)
            lines.append(f"  {piece.hex(' '):<47}  |{text}|")
    return "```\n" + "\n".join(lines) + "\n```\n"


# --- the document


def _part(kind: str, name: str) -> str:
    if kind == "bytes":
        return dump(examples()[name])
    return error_table() if name == "errors" else message_table(name)


def rewritten(document: str, part: Callable[[str, str], str] = _part) -> tuple[str, list[str]]:
    """Return the document with every part as the code says it, and the names of those that were different."""
    stale: list[str] = []

    def renew(found: re.Match[str]) -> str:
        kind, name, before = found.groups()
        now = part(kind, name)
        if now != before:
            stale.append(f"{kind}:{name}")
        return f"<!-- {kind}:{name} -->\n{now}<!-- end -->"

    return REGION.sub(renew, document), stale


def main(arguments: Sequence[str]) -> int:
    """Rewrite or check the document; return the exit code."""
    before = DOCUMENT.read_text(encoding="utf-8")
    after, stale = rewritten(before)
    if arguments == ["--check"]:
        sys.stderr.writelines(
            f"{DOCUMENT.name}: {name} is not what the code says: run tools/protocol_tables.py\n" for name in stale
        )
        return 1 if stale else 0
    DOCUMENT.write_text(after, encoding="utf-8")
    sys.stdout.write(f"{DOCUMENT.name}: {len(stale)} parts rewritten\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
