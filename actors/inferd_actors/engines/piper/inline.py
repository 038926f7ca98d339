"""What is said of a line of Markdown: emphasis, code, links, URLs, tags, cells, emoji.

Covers: one step inside a line. Does not cover how lines begin: `lines`. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from inferd_actors.engines.piper.place import HOLD_CHARS, Place, Rule, Step, end_of, ends_line

URL_CHARS: Final = 2_048
"""How long a URL may be: its rest is not said, so a listener can wait for its end."""
ENDED: Final = frozenset(".!?…:;,。！？；：")  # noqa: RUF001 - of other scripts
"""Behind these a line needs no mark of its own end."""
PLAIN: Final = re.compile(r"[a-gi-vx-zA-GI-VX-Z0-9 ,.;:?'\"()\-–—]+")  # noqa: RUF001 - the dashes are meant
TAG: Final = re.compile(r"</?[a-zA-Z][\w.-]*(?:\s+[\w:-]+(?:=(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s\"'<>]+))?)*\s*/?>")
URL_STARTS: Final = ("https://", "http://", "www.")
HOST: Final = re.compile(r"(?:https?://)?(?:www\.)?([^/?#:]+)", re.IGNORECASE)
URL_END: Final = re.compile(r"[\s<>\"`|]")
TRAILING: Final = ".,;:!?'*_~)]}"
"""Behind a URL these belong to the sentence."""
ESCAPED: Final = "\\`*_{}[]()#+-.!|~<>"


def inline(source: str, at: int, place: Place) -> Step | None:
    """Return the step from a place inside a line."""
    if plain := PLAIN.match(source, at):
        return Step(plain.end() - at, plain.group())
    character = source[at]
    rule = INLINE.get(character)
    if rule is not None:
        return rule(source, at, place)
    return Step(1, "" if _is_mute(character) else character)


def _newline(source: str, at: int, place: Place) -> Step:
    del source, at
    closes = place.block and place.last not in ENDED
    place.fresh, place.block, place.table = True, False, False
    return Step(1, ".\n" if closes else "\n")


def _url(source: str, at: int, place: Place) -> Step | None:
    if place.before.isalnum():
        return Step(1, source[at])
    ahead = source[at : at + len(URL_STARTS[0])].lower()
    if not place.is_whole and any(len(ahead) < len(start) and start.startswith(ahead) for start in URL_STARTS):
        return None
    if not ahead.startswith(URL_STARTS):
        return Step(1, source[at])
    end = URL_END.search(source, at, at + URL_CHARS)
    if end is None and place.waits(source, at + URL_CHARS):
        return None
    whole = source[at : end.start() if end else at + URL_CHARS]
    url = whole if _closes(whole) else whole.rstrip(TRAILING)
    found = HOST.match(url)
    return Step(len(url), found.group(1), found.start(1)) if found else Step(1, source[at])


def _closes(url: str) -> bool:
    """Tell whether a URL ends in a bracket of its own."""
    return url.endswith(")") and url.count("(") == url.count(")")


def _stars(source: str, at: int, place: Place) -> Step | None:
    end = end_of("*", source, at, HOLD_CHARS)
    if end - at == HOLD_CHARS:
        return Step(HOLD_CHARS)
    if place.waits(source, end):
        return None
    before, behind = place.before or " ", source[end : end + 1] or " "
    is_alone = end - at == 1 and before.isspace() and behind.isspace()
    stands = is_alone or (before.isdigit() and behind.isdigit())
    return Step(end - at, source[at:end] if stands else "")


def _underscores(source: str, at: int, place: Place) -> Step | None:
    end = end_of("_", source, at, HOLD_CHARS)
    if end - at == HOLD_CHARS:
        return Step(HOLD_CHARS)
    if place.waits(source, end):
        return None
    is_inside = place.before.isalnum() and source[end : end + 1].isalnum()
    return Step(end - at, " " if is_inside else "")


def _tilde(source: str, at: int, place: Place) -> Step | None:
    if place.waits(source, at + 1):
        return None
    is_alone = place.before != "~" and source[at + 1 : at + 2] != "~"
    return Step(1, "~" if is_alone else "")


def _exclamation(source: str, at: int, place: Place) -> Step | None:
    if place.waits(source, at + 1):
        return None
    opens_image = source[at + 1 : at + 2] == "[" and not place.before.strip()
    return Step(1, "" if opens_image else "!")


def _bracket(source: str, at: int, place: Place) -> Step:
    del source, at
    return Step(1, " " if place.before.isalnum() else "")


def _close_bracket(source: str, at: int, place: Place) -> Step | None:
    if place.waits(source, at + 1):
        return None
    if source[at + 1 : at + 2] != "(":
        return Step(1)
    depth = 0
    for end in range(at + 1, min(len(source), at + URL_CHARS)):
        depth += (source[end] == "(") - (source[end] == ")")
        if source[end] == "\n":
            return Step(1)
        if depth == 0:
            return Step(end + 1 - at)
    return None if place.waits(source, at + URL_CHARS) else Step(1)


def _angle(source: str, at: int, place: Place) -> Step | None:
    behind = source[at + 1 : at + 2]
    if place.waits(source, at + 1):
        return None
    if behind != "/" and not (behind.isascii() and behind.isalpha()):
        return Step(1, "<")
    is_url = source[at + 1 : at + 1 + len(URL_STARTS[0])].lower().startswith(URL_STARTS[:2])
    patience = URL_CHARS if is_url else HOLD_CHARS
    end = at + 1
    while end < len(source) and source[end] not in "<>\n" and end - at < patience:
        end += 1
    if end - at < patience and place.waits(source, end):
        return None
    if end - at == patience or source[end : end + 1] != ">":
        return Step(1, "<")
    if is_url and (host := HOST.match(source, at + 1, end)):
        return Step(end + 1 - at, host.group(1), host.start(1) - at)
    return Step(end + 1 - at) if TAG.fullmatch(source, at, end + 1) else Step(1, "<")


def _pipe(source: str, at: int, place: Place) -> Step | None:
    if not place.table:
        return Step(1, " ")
    end = end_of(" \t|", source, at, HOLD_CHARS)
    if end - at < HOLD_CHARS and place.waits(source, end):
        return None
    is_last = end - at < HOLD_CHARS and ends_line(source, end)
    return Step(end - at) if is_last else Step(1, ",")


def _escape(source: str, at: int, place: Place) -> Step | None:
    behind = source[at + 1 : at + 2]
    if not behind:
        return Step(1) if place.is_whole else None
    return Step(2, behind, 1) if behind in ESCAPED else Step(1, "\\")


def _silence(source: str, at: int, place: Place) -> Step:
    del source, at, place
    return Step(1)


INLINE: Final[Mapping[str, Rule]] = MappingProxyType({
    "\n": _newline, "h": _url, "H": _url, "w": _url, "W": _url, "*": _stars, "_": _underscores, "~": _tilde, "`": _silence,
    "!": _exclamation, "[": _bracket, "]": _close_bracket, "<": _angle, "|": _pipe, "\\": _escape, "\r": _silence,
})  # fmt: skip
"""What a character may begin."""

PICTURES_FROM: Final = 0x2190
JOINERS: Final = frozenset("\u200d\ufe0e\ufe0f\u20e3")
TAGS: Final = range(0xE0000, 0xE0080)


def _is_mute(character: str) -> bool:
    """Tell whether a character is a picture or a part of one, or nothing that could be said."""
    kind = unicodedata.category(character)
    if kind in {"Cc", "Cs", "Co", "Cn"}:
        return character != "\t"
    number = ord(character)
    if character in JOINERS or number in TAGS:
        return True
    return number >= PICTURES_FROM and kind in {"So", "Sk"}
