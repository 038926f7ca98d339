"""Files of other programs: where Ollama and LM Studio keep a model's file. Nothing of theirs is ever changed.

    OLLAMA/manifests/HOST/OWNER/MODEL/TAG   JSON; one of its layers is the model's file
    OLLAMA/blobs/sha256-DIGEST              that file
    LMSTUDIO/PUBLISHER/REPOSITORY/FILE      the file

Covers: finding it. What is read there is checked like a stranger's: the manifest is bounded and read strictly, and only a
digest of it becomes part of a path. See also: `catalogue.sources` (which names may be asked for).
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferd_daemon.catalogue import LmStudioSource, OllamaSource

MODEL_LAYER: Final = "application/vnd.ollama.image.model"
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")

MAX_MANIFEST_BYTES: Final = 2**20
"""A manifest takes about a kilobyte."""


class NotThereError(Exception):
    """The other program does not have this model, or not in a form that can be used; says why."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """A file of another program."""

    file: Path
    sha256: str | None


def ollama_file(source: OllamaSource, folders: Sequence[Path]) -> Adopted:
    """Return where Ollama has the file. Reads one small file. Raises NotThereError."""
    for folder in folders:
        manifest = folder.joinpath("manifests", *source.manifest)
        if manifest.is_file():
            sha256 = model_digest(manifest)
            return Adopted(_real(blob_of(folder, sha256)), sha256)
    raise NotThereError(f"Ollama has no model {source.name} in {' or '.join(map(str, folders))}")


def lmstudio_file(source: LmStudioSource, folders: Sequence[Path]) -> Adopted:
    """Return where LM Studio has the file. Raises NotThereError."""
    for folder in folders:
        file = folder.joinpath(*source.file.split("/"))
        if file.is_file():
            return Adopted(_real(file), source.sha256)
    raise NotThereError(f"LM Studio has no file {source.file} in {' or '.join(map(str, folders))}")


def blob_of(folder: Path, sha256: str) -> Path:
    """Return where Ollama has the file with this digest."""
    return folder / "blobs" / f"sha256-{sha256}"


def _real(file: Path) -> Path:
    """Follow links: folders of models are often moved to a larger disk that way."""
    return Path(os.path.realpath(file))


def model_digest(manifest: Path) -> str:
    """Return the digest of the model's file. Raises NotThereError if the manifest names none, or several."""
    try:
        with manifest.open("rb") as reader:
            said = json.loads(reader.read(MAX_MANIFEST_BYTES))
        layers = said["layers"]
        digests = {layer["digest"] for layer in layers if layer["mediaType"] == MODEL_LAYER}
        (found,) = (match[1] for digest in digests if (match := _DIGEST.fullmatch(digest)))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as wrong:
        raise NotThereError(f"{manifest} names no one file of a model: {type(wrong).__name__}") from wrong
    return str(found)
