"""The only door to the HTTP library: one GET, its head as plain values, its body as chunks.

Covers: time limits, the library's errors as setbacks. Proxies are those of the environment. Does not cover what an answer
means (`answers`, `redirects`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import httpx2

import inferd
from inferd_daemon.store.fetching.redirects import shown
from inferd_daemon.store.fetching.words import Failed, Patience, Setback

BROKEN: Final = (httpx2.TransportError, httpx2.InvalidURL)
"""What the library raises when no answer comes; the hub's library, which uses it, too."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an answer, and its body as it comes over the line."""

    status: int
    headers: Mapping[str, str]
    """By lower-case names."""
    chunks: Iterator[bytes]
    """Raises Setback when the line breaks, stalls, or ends before the promised length."""


@contextmanager
def asked(url: str, headers: Mapping[str, str], patience: Patience) -> Iterator[Answer]:
    """Send a GET and yield its answer; leaving closes the line. Blocks until the head is here.

    Redirects are not followed. Raises Setback when no answer came.
    """
    timeout = httpx2.Timeout(patience.stall_s, connect=patience.connect_s)
    own = {"User-Agent": f"inferd/{inferd.__version__}", "Accept-Encoding": "identity", **headers}
    with (
        _told(url, patience),
        httpx2.Client(timeout=timeout, headers=own) as client,
        client.stream("GET", url) as answer,
    ):
        yield Answer(answer.status_code, dict(answer.headers.items()), answer.iter_raw())


@contextmanager
def _told(url: str, patience: Patience) -> Iterator[None]:
    """Turn what the library raises into setbacks, also while the body is read."""
    try:
        yield
    except httpx2.ReadTimeout as stalled:
        problem = f"{shown(url)} sent no byte for {patience.stall_s:g} s"
        raise Setback(Failed("download", problem, retryable=True)) from stalled
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as wrong:
        raise Setback(Failed("source", f"{shown(url)} is no address of a web server")) from wrong
    except httpx2.TransportError as broken:
        problem = f"the line to {shown(url)} broke: {type(broken).__name__}: {str(broken)[:200]!a}"
        raise Setback(Failed("download", problem, retryable=True)) from broken
