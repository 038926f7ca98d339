"""What a line of Markdown begins with: its mark is silent, and tells what kind of line it is.

Covers: headings, quotes, items, rules, rows of tables, blocks of code. Does not cover what stands in a line: `inline`. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from inferd_actors.engines.piper.place import HOLD_CHARS, Place, Rule, Step, end_of, ends_line

ROW_CHARS: Final = 400
"""How long the line under a table's head may be."""
CODE_CHARS: Final = 100
"""A line as long as that neither begins nor ends a block of code."""
FENCE_CHARS: Final = 3
RULE_MARKS: Final = 3
"""So many marks make a rule across the page."""
HEADING_LEVELS: Final = 6
NUMBER_CHARS: Final = 10
"""Of an item: nine digits and a mark."""
TASK: Final = re.compile(r"\[[ xX]\][ \t]")
TASK_CHARS: Final = 4
NUMBER: Final = re.compile(r"\d{1,9}[.)][ \t]")


def in_code(source: str, at: int, place: Place) -> Step | None:
    """Return the step over a line of a block of code: all of them are silent."""
    end = source.find("\n", at)
    if end < 0 and place.fresh and place.waits(source, at + CODE_CHARS):
        return None
    length = (end + 1 if end >= 0 else len(source)) - at
    line = source[at : at + min(length, CODE_CHARS)].strip()
    if place.fresh and line.startswith(place.fence) and not line.strip(place.fence[0]):
        place.fence = ""
    place.fresh = end >= 0
    return Step(length)


def line_start(source: str, at: int, place: Place, code: str) -> Step | None:
    """Return the step at the beginning of a line; one of no length: it has no mark, or none any more."""
    begin = end_of(" \t", source, at, HOLD_CHARS)
    if place.waits(source, begin):
        return None
    if begin > at:
        return Step(begin - at)
    if source[at] in "`~":
        found = _fence(source, at, place, code)
    else:
        rule = MARKS.get(source[at])
        found = rule(source, at, place) if rule else Step(0)
    if found is not None and not found.length:
        place.fresh = False
    return found


def _fence(source: str, at: int, place: Place, code: str) -> Step | None:
    end = end_of(source[at], source, at, FENCE_CHARS)
    if end - at < FENCE_CHARS:
        return None if place.waits(source, end) else Step(0)
    until = source.find("\n", at)
    if until < 0 and place.waits(source, at + CODE_CHARS):
        return None
    opening = source[at : at + CODE_CHARS].partition("\n")[0]
    if "`" in opening.lstrip(source[at]):  # code within a line, which happens to begin it
        return Step(0)
    place.fence, place.fresh = source[at:end], until >= 0
    return Step((until + 1 if until >= 0 else len(source)) - at, f"{code}\n" if code else "")


def _heading(source: str, at: int, place: Place) -> Step | None:
    end = end_of("#", source, at, HEADING_LEVELS)
    if place.waits(source, end):
        return None
    if source[end : end + 1] not in ("", " ", "\t", "\n"):
        return Step(0)
    place.block, place.fresh = True, False
    return Step(end - at)


def _quote(source: str, at: int, place: Place) -> Step:
    del source, at, place
    return Step(1)


def _item(source: str, at: int, place: Place) -> Step | None:
    end = end_of(f"{source[at]} \t", source, at, HOLD_CHARS)
    is_long = end - at == HOLD_CHARS
    if not is_long and place.waits(source, end):
        return None
    if (is_long or ends_line(source, end)) and source[at] != "+" and source.count(source[at], at, end) >= RULE_MARKS:
        return Step(end - at)
    if source[at] != "_" and source[at + 1 : at + 2] in (" ", "\t"):
        place.block = True
        return Step(2)
    return Step(0)


def _task(source: str, at: int, place: Place) -> Step | None:
    if not place.block:
        return Step(0)
    if place.waits(source, at + TASK_CHARS - 1):
        return None
    return Step(TASK_CHARS if TASK.match(source, at) else 0)


def _row(source: str, at: int, place: Place) -> Step | None:
    end = end_of(" \t:|-", source, at, ROW_CHARS)
    is_long = end - at == ROW_CHARS
    if not is_long and place.waits(source, end):
        return None
    if not is_long and ends_line(source, end):  # the line under the head
        return Step(end - at)
    place.table = place.block = True
    place.fresh = False
    return Step(1)


def _number(source: str, at: int, place: Place) -> Step | None:
    end = end_of("0123456789", source, at, NUMBER_CHARS)
    if end - at < NUMBER_CHARS and place.waits(source, end + 1):
        return None
    found = NUMBER.match(source, at)
    if not found:
        return Step(0)
    place.block, place.fresh = True, False
    return Step(found.end() - at, found.group())


MARKS: Final[Mapping[str, Rule]] = MappingProxyType({
    "#": _heading, ">": _quote, "-": _item, "*": _item, "_": _item, "+": _item, "[": _task, "|": _row,
    **dict.fromkeys("0123456789", _number),
})  # fmt: skip
"""What a line may begin with."""
