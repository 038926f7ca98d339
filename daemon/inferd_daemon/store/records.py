"""Which bytes a `hub` or `url` source meant when it was fetched first: from then on it means these, until it is removed.

Covers: the note, reading it strictly, the key under which it lies. A source that came with a digest needs no note for it,
but a branch of a hub moves on, so the commit is noted in any case.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from inferd_daemon.catalogue import HubSource

if TYPE_CHECKING:
    from pathlib import Path

    from inferd_daemon.catalogue import UrlSource

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_REVISION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,98}")
MAX_BYTES: Final = 65_536
"""Many times what a record takes."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a source gave."""

    sha256: str
    size_bytes: int
    revision: str | None
    """The hub's commit; a damaged file is fetched from there again, wherever the branch is by then."""
    source: str
    """For people who look into the folder."""

    def encode(self) -> bytes:
        """Return the record as a line of JSON."""
        return (json.dumps(asdict(self)) + "\n").encode()


def key_of(source: HubSource | UrlSource) -> str:
    """Return the digest of what the source is called: equal for equal addresses, fit for a file's name."""
    return hashlib.sha256(title_of(source).encode()).hexdigest()


def title_of(source: HubSource | UrlSource) -> str:
    """Return the source in one line, different for different sources."""
    if isinstance(source, HubSource):
        return json.dumps(["hub", source.repo, source.revision, source.file])
    return json.dumps(["url", source.url])


def read_record(place: Path) -> Record | None:
    """Return the record in this file; None if there is none or it is damaged: then the next pull makes it anew."""
    try:
        with place.open("rb") as note:
            said = json.loads(note.read(MAX_BYTES))
    except (OSError, ValueError):
        return None
    return Record(**said) if isinstance(said, dict) and _can_be_true(said) else None


def _can_be_true(said: dict[str, object]) -> bool:
    if said.keys() != {"sha256", "size_bytes", "revision", "source"}:
        return False
    return (
        _fits(_SHA256, said["sha256"])
        and type(said["size_bytes"]) is int
        and (said["revision"] is None or _fits(_REVISION, said["revision"]))
        and isinstance(said["source"], str)
    )


def _fits(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
