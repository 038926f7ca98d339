"""Where the bridge listens, read from what was asked for.

Covers: the two schemes, which places are open to other machines. Does not cover listening: `server`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from inferd.errors import InvalidRequest

DEFAULT: Final = "tcp://127.0.0.1:10300"
"""The port that speech to text has in Wyoming's own servers; this one speaks on it, too."""


@dataclass(frozen=True, slots=True)
class Tcp:
    """A port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"tcp://[{self.host}]:{self.port}" if ":" in self.host else f"tcp://{self.host}:{self.port}"

    @property
    def is_public(self) -> bool:
        """Whether other machines may reach it; a name that is not known counts as such."""
        with suppress(ValueError):
            return not ip_address(self.host).is_loopback
        return self.host != "localhost"


@dataclass(frozen=True, slots=True)
class Unix:
    """A socket in the file system."""

    path: Path

    def __str__(self) -> str:
        return f"unix://{self.path}"

    is_public: bool = False
    """Its mode lets nobody else in."""


Place = Tcp | Unix


def place(uri: str) -> Place:
    """Return where a URI points. Raises InvalidRequest."""
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _wrong(uri) from None
    if parts.scheme == "unix" and parts.path.startswith("/") and not parts.netloc:
        return Unix(Path(parts.path))
    if parts.scheme == "tcp" and host and port is not None and not parts.path.strip("/"):
        return Tcp(host, port)
    raise _wrong(uri)


def _wrong(uri: str) -> InvalidRequest:
    return InvalidRequest(
        f"uri: expected tcp://HOST:PORT or unix:///PATH, got {ascii(uri)[:80]}", details={"field": "uri"}
    )
