"""What is known about a file before its bytes are here, and whether bytes that are here may be its beginning. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """A file, and what is said about it; None: not said."""

    url: str
    size_bytes: int | None = None
    sha256: str | None = None
    version: str | None = None
    """The hub's name for these bytes."""
    revision: str | None = None
    """The hub's commit that was meant."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Which bytes a partial file holds; None: not known."""

    size_bytes: int | None
    sha256: str | None
    """As recorded, or told by the hub; the bytes may still be others."""
    version: str | None
    """The hub's name for these bytes."""
    etag: str | None = None
    """The server's name for these bytes."""

    def goes_on_as(self, wanted: Origin) -> bool:
        """Tell whether bytes of this origin may be the beginning of what is wanted.

        They may unless something contradicts, if the whole can be checked by its digest in the end, or if the server can
        be asked whether it still has the same bytes.
        """
        pairs = (
            (self.size_bytes, wanted.size_bytes),
            (self.sha256, wanted.sha256),
            (self.version, wanted.version),
        )
        if any(None not in pair and pair[0] != pair[1] for pair in pairs):
            return False
        return wanted.sha256 is not None or self.etag is not None


def origin_from(said: object, part_bytes: int) -> Origin | None:
    """Return the origin that a note tells of a file of `part_bytes`; None if it tells none that can be true."""
    if not isinstance(said, dict):
        return None
    try:
        origin = Origin(**said)
    except TypeError:
        return None
    size_bytes, texts = origin.size_bytes, (origin.sha256, origin.version, origin.etag)
    if not all(text is None or isinstance(text, str) for text in texts):
        return None
    if size_bytes is None:
        return origin
    return origin if type(size_bytes) is int and size_bytes >= part_bytes else None
