"""Where the file of each kind of source is, what its bytes must be, and whose it is.

Covers: the answer for every source, from names on this disk alone. Does not cover whether the bytes are right (`receipts`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from inferd_daemon.catalogue import (
    ConvertedSource,
    FileSource,
    HubSource,
    JoinedSource,
    LmStudioSource,
    OllamaSource,
    OneFile,
    PackageSource,
    UrlSource,
)
from inferd_daemon.store.adopted import NotThereError, lmstudio_file, ollama_file
from inferd_daemon.store.layout import Layout
from inferd_daemon.store.records import Record, key_of, read_record


@dataclass(frozen=True, slots=True)
class Place:
    """A model's file, which may not be there yet."""

    file: Path
    sha256: str | None
    """None: whatever is in it is the model."""


def place_of(source: OneFile, layout: Layout) -> Place | None:
    """Return where the file is or would be. Reads small files; follows links of files that are not ours.

    None for a download whose digest only its first pull will tell. Raises NotThereError when another program does not have it.
    """
    match source:
        case PackageSource() | JoinedSource() | ConvertedSource():
            return Place(layout.blob(source.sha256), source.sha256)
        case HubSource() | UrlSource():
            sha256 = digest_of_source(source, layout)
            return None if sha256 is None else Place(layout.blob(sha256), sha256)
        case FileSource():
            return Place(Path(os.path.realpath(Path(source.path).expanduser())), source.sha256)
        case OllamaSource():
            adopted = ollama_file(source, layout.others.ollama_dirs)
            return Place(adopted.file, adopted.sha256)
        case LmStudioSource():
            adopted = lmstudio_file(source, layout.others.lm_studio_dirs)
            return Place(adopted.file, adopted.sha256)
        case _:
            assert_never(source)


def known_place(source: OneFile, layout: Layout) -> Place | None:
    """Return the same, and None also when another program does not have it."""
    try:
        return place_of(source, layout)
    except NotThereError:
        return None


def size_of(file: Path) -> int:
    """Return the size of a file in bytes; 0 if it is not there, or may not be looked at."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


def record_of(source: HubSource | UrlSource, layout: Layout) -> Record | None:
    """Return what the source gave at its first pull; None before it."""
    return read_record(layout.record(key_of(source)))


def size_of_source(source: HubSource | UrlSource, layout: Layout) -> int | None:
    """Return the size that the source's file must have: as the catalogue says, else as recorded, else unknown."""
    if source.size_bytes is not None:
        return source.size_bytes
    record = record_of(source, layout)
    return None if record is None else record.size_bytes


def digest_of_source(source: HubSource | UrlSource, layout: Layout) -> str | None:
    """Return the digest that the source's file must have: as the catalogue says, else as recorded, else unknown."""
    if source.sha256 is not None:
        return source.sha256
    record = record_of(source, layout)
    return None if record is None else record.sha256
