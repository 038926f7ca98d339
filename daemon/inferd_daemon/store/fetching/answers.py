"""What a server's answer to a download means: status and headers in, a body to read or a setback out. Pure.

Covers: whole files, ranges, lengths, web pages in place of files, refusals, and which of them are worth another try.
Does not cover redirects (`redirects`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from inferd_daemon.store.fetching.words import Cause, Failed, Setback

OK: Final = 200
PARTIAL: Final = 206
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
RANGE_REFUSED: Final = 416
SERVER_ERROR: Final = 500

_ACCESS: Final = frozenset({401, 402, 403, 407, 451})
_MISSING: Final = frozenset({404, 410})
_LATER: Final = frozenset({408, 425, 429})
_DIGITS: Final = re.compile(r"[0-9]{1,18}")
"""Eighteen digits are an exabyte, and days that nobody waits."""
_RANGE: Final = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_PAGES: Final = ("text/html", "application/xhtml+xml")


@dataclass(frozen=True, slots=True)
class Body:
    """What the bytes of an answer are."""

    start_bytes: int
    """Place of the first one in the file."""
    total_bytes: int | None
    """Size of the whole file; None: not told."""
    etag: str | None
    """A strong one, which names these very bytes; None: the server gave none."""
    has_end: bool
    """Whether a line that breaks early is told from the file's end."""


def body_of(status: int, headers: Mapping[str, str], offset_bytes: int) -> Body:
    """Return what an answer's body is, asked for from `offset_bytes` on; `headers` by lower-case names.

    A body that starts at 0 though more was asked for is the whole file. Raises Setback for everything that is no file.
    """
    if status not in (OK, PARTIAL):
        raise _refused(status, headers)
    if (kind := headers.get("content-type", "").partition(";")[0].strip().lower()) in _PAGES:
        raise Setback(Failed("download", f"the server answered with a web page ({kind}), not a file", retryable=True))
    if (packed := headers.get("content-encoding", "identity").strip().lower()) not in ("", "identity"):
        raise Setback(Failed("download", f"the server packs the file ({packed[:40]}), though asked not to"))
    etag = _strong(headers.get("etag", ""))
    length = _number(headers.get("content-length", ""))
    has_end = length is not None or headers.get("transfer-encoding", "").strip().lower() == "chunked"
    if status == OK:
        return Body(0, length, etag, has_end)
    return Body(offset_bytes, _total_of(headers.get("content-range", ""), offset_bytes), etag, has_end)


def pause_asked_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds after which the server wants to be asked again; None if it gives none, or a date."""
    wait = _number(headers.get("retry-after", ""))
    return None if wait is None else float(wait)


def is_worth_another_try(status: int) -> bool:
    """Tell whether the same question may get another answer soon."""
    return status in _LATER or status >= SERVER_ERROR


def _total_of(told: str, offset_bytes: int) -> int | None:
    """Return the size of the whole file, None if it is not told. Raises Setback for any other part than asked for."""
    match = _RANGE.fullmatch(told.strip())
    if match is None or int(match[1]) != offset_bytes:
        problem = f"the server was asked for bytes from {offset_bytes} on and sent {told[:80]!a}"
        raise Setback(Failed("download", problem, retryable=True), discard=True)
    return _number(match[3])


def _refused(status: int, headers: Mapping[str, str]) -> Setback:
    cause: Cause = "access" if status in _ACCESS else "missing" if status in _MISSING else "download"
    later = is_worth_another_try(status) or status == RANGE_REFUSED
    return Setback(
        Failed(
            cause,
            f"the server answered {status}{_WORDS.get(status, '')}",
            retryable=later,
            retry_after_s=pause_asked_s(headers),
            numbers={"status": status},
        ),
        discard=status == RANGE_REFUSED,
    )


_WORDS: Final[Mapping[int, str]] = {
    401: ": it wants a key",
    403: ": it does not give this file to everybody",
    404: ": there is no such file",
    410: ": the file is gone",
    416: ": the file is shorter than what was already fetched",
    429: ": too many requests",
    503: ": it is overloaded or down",
}


def _number(text: str) -> int | None:
    match = _DIGITS.fullmatch(text.strip())
    return int(match[0]) if match else None


def _strong(etag: str) -> str | None:
    """Return the tag if it promises equal bytes: a weak one (W/) only promises the like."""
    text = etag.strip()
    return text if text.startswith('"') and text.endswith('"') and len(text) > 2 and text.isprintable() else None  # noqa: PLR2004 - two quotes
