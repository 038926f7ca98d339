"""Where a redirect may lead: to https, or to the very server that was asked.

Covers: the next address and what an address may look like in an error. So a server on plain http may send us to https
anywhere, as file hosts do, but never to another machine on plain http (a router's page, a service of this machine), and
nothing leads from https to http, to a file or to another kind of address.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

from inferd_daemon.store.fetching.words import Failed, Setback

MAX_REDIRECTS: Final = 10
"""More than any file host needs; browsers give up at 20."""

_PORTS: Final = {"http": 80, "https": 443}


def next_url(url: str, location: str) -> str:
    """Return the address that an answer from `url` with this `Location` leads to. Raises Setback if it is not followed."""
    try:
        target = urljoin(url, location)
        old, new = urlsplit(url), urlsplit(target)
        allowed = bool(new.hostname) and new.port != 0 and new.username is None and _allowed(old, new)
    except ValueError:
        raise _refused(f"an address that is none: {location[:80]!a}") from None
    if not allowed:
        raise _refused(shown(target))
    return target


def is_weaker(url: str, target: str) -> bool:
    """Tell whether the way from one address to the other leaves https."""
    return url.startswith("https:") and not target.startswith("https:")


def shown(url: str) -> str:
    """Return an address for an error: without query, name and password, which may hold keys, and not too long."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that is none"
    text = f"{parts.scheme}://{host}{port}{parts.path}"
    return ascii(text[:200])[1:-1]


def _allowed(old: SplitResult, new: SplitResult) -> bool:
    if new.scheme == "https":
        return True
    return old.scheme == new.scheme == "http" and _server(old) == _server(new)


def _server(parts: SplitResult) -> tuple[str | None, int | None]:
    return parts.hostname, parts.port or _PORTS[parts.scheme]


def _refused(where: str) -> Setback:
    return Setback(Failed("source", f"the server sends us on to {where}, which is not followed"))
