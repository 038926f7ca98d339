"""What the daemon and a fetching process say to each other: one order, then reports, each a line of JSON.

Covers: the words, strict reading of them, and the exception that ends an attempt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final, Literal

from inferd.strict import make_strict

Cause = Literal["access", "checksum", "disk", "download", "missing", "source"]
"""`access`: the server wants a key or refuses this one. `checksum`: other bytes than recorded. `disk`: no room, or an I/O
error. `download`: the line or the server. `missing`: no such file there. `source`: an address that is not followed."""

_STRICT: Final = make_strict(unknown_fields_refused=True, detailed=False)


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a hub's repository, at a branch, a tag or a commit."""

    repo: str
    revision: str
    file: str


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server may take, and how often it is tried again."""

    connect_s: float = 15.0
    """A server across the world answers within a second; a handshake that needs more than this never ends."""
    stall_s: float = 30.0
    """Longest time without a byte. Shorter than what people wait before they look for another way."""
    tries: int = 5
    """Attempts in a row that get no further than any before; one that does starts the count anew."""
    pause_s: float = 1.0
    """Before the second try, then doubling up to `max_pause_s`."""
    max_pause_s: float = 30.0
    """Also the longest `Retry-After` that is waited for here; a longer one is told to whoever asked."""

    def pause_after(self, failures: int, asked_s: float | None) -> float:
        """Return the seconds to wait after so many failures in a row; `asked_s`: what the server asked for."""
        return max(asked_s or 0.0, min(self.max_pause_s, self.pause_s * 2.0 ** min(failures - 1, 10)))


@dataclass(frozen=True, slots=True)
class Order:
    """What to fetch, and where to. Exactly one of `url` and `hub` is given."""

    folder: str
    """Of the partial file; kept until the whole file is published."""
    url: str | None = None
    hub: HubFile | None = None
    size_bytes: int | None = None
    sha256: str | None = None
    reserve_bytes: int = 0
    """Of the disk, that a download never uses."""
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True, slots=True)
class Moved:
    """How far it is; `total_bytes` is None while unknown."""

    phase: Literal["downloading", "verifying"]
    done_bytes: int
    total_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """The partial file is whole, synced, and as recorded; the last report."""

    sha256: str
    size_bytes: int
    revision: str | None = None
    """The hub's commit that it belongs to."""


@dataclass(frozen=True, slots=True)
class Failed:
    """It could not be had; the last report."""

    cause: Cause
    problem: str
    retryable: bool = False
    retry_after_s: float | None = None
    numbers: Mapping[str, int] = field(default_factory=dict)
    """The numbers compared; `status` is the server's."""


class Setback(Exception):
    """One attempt failed. `again`: worth another one here and now. `discard`: what was kept of the file is of no use."""

    def __init__(self, failed: Failed, *, again: bool | None = None, discard: bool = False) -> None:
        super().__init__(failed.problem)
        self.failed = failed
        self.again = failed.retryable if again is None else again
        self.discard = discard


Report = Moved | Fetched | Failed
_REPORTS: Final[Mapping[str, type[Report]]] = {"moved": Moved, "fetched": Fetched, "failed": Failed}


def encode_order(order: Order) -> bytes:
    """Return the order as a line."""
    return _line(asdict(order))


def decode_order(line: bytes) -> Order:
    """Return the order in a line; raises an exception of cattrs' or ValueError if it is none."""
    return _STRICT.structure(json.loads(line), Order)


def encode_report(report: Report) -> bytes:
    """Return the report as a line."""
    return _line({"report": type(report).__name__.lower(), **asdict(report)})


def decode_report(line: bytes) -> Report:
    """Return the report in a line. Raises ValueError if it is none."""
    try:
        said = json.loads(line)
        return _STRICT.structure(said, _REPORTS[said.pop("report")])
    except Exception as wrong:
        raise ValueError(f"no report: {line[:80]!r}") from wrong


def _line(said: Mapping[str, object]) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"
