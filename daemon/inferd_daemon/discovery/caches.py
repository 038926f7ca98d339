"""Model files that Ollama and LM Studio have fetched, as schemas that read them where they are.

Covers: finding GGUF files by manifests and names. Nothing is written, copied or deleted, and of a file only its first four
bytes are read. Does not cover what is in it: that is checked when the model is loaded. Blocks for a walk over folders.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from inferd.messages.schemas import ModelSchema
from inferd_daemon.catalogue import LmStudioSource, ModelId, OllamaSource
from inferd_daemon.discovery.naming import named, quantization
from inferd_daemon.store.adopted import NotThereError, blob_of, model_digest

MAX_FILES: Final = 1_000
"""Looked at in one folder: nobody has more models."""
MAX_DEPTH: Final = 5
"""Below a folder of models: HOST/NAMESPACE/MODEL/TAG, or PUBLISHER/REPOSITORY/FILE."""
_LATER_PART: Final = re.compile(r"-(?!00001)\d{5}-of-\d{5}$")
"""Of a model in several files llama.cpp is given the first."""
_MAGIC: Final = b"GGUF"


def ollama(folders: Iterable[Path]) -> Iterator[ModelSchema]:
    """Yield a schema for each model of Ollama whose GGUF file is below one of these folders."""
    for folder in folders:
        for manifest in _files(folder / "manifests"):
            *path, tag = ("", *_called(manifest.relative_to(folder / "manifests").parts))
            called = "/".join(filter(None, path))
            model = named("ollama", called, tag)
            with suppress(NotThereError):
                blob = blob_of(folder, model_digest(manifest))
                if model is not None:
                    by_name = _ollamas_name(f"{called}:{tag}", folder, manifest)
                    yield from _schema(model, blob, f"{called}:{tag}", ollama=by_name)


def lm_studio(folders: Iterable[Path]) -> Iterator[ModelSchema]:
    """Yield a schema for each GGUF model below one of LM Studio's folders; projectors are no models."""
    for folder in folders:
        for file in _files(folder):
            if file.suffix.lower() != ".gguf" or "mmproj" in file.name.lower() or _LATER_PART.search(file.stem):
                continue
            place = file.relative_to(folder)
            parents = place.parts[:-1]
            model = named("lmstudio", "/".join(parents) or file.stem, file.stem if parents else "default")
            if model is not None:
                yield from _schema(model, file, file.stem, lmstudio=_lm_studios_name(place.as_posix()))


def _ollamas_name(name: str, folder: Path, manifest: Path) -> str | None:
    """Return the name by which the store finds the model, also after an update; None if it cannot stand in a row."""
    with suppress(ValueError):
        if folder.joinpath("manifests", *OllamaSource(name).manifest) == manifest:
            return name
    return None


def _lm_studios_name(place: str) -> str | None:
    """Return the same for a file's place below LM Studio's folder."""
    with suppress(ValueError):
        return LmStudioSource(place).file
    return None


def _schema(
    model: ModelId, file: Path, called: str, *, ollama: str | None = None, lmstudio: str | None = None
) -> Iterator[ModelSchema]:
    """Yield the row of a GGUF file; by its path if there is no name."""
    path = str(file)
    try:
        with file.open("rb") as opened:
            is_gguf = opened.read(len(_MAGIC)) == _MAGIC
            size_bytes = os.fstat(opened.fileno()).st_size
    except OSError:
        return
    if is_gguf and path.isprintable():  # a name in no known encoding could not be written down
        yield ModelSchema(
            id=str(model),
            name=called,
            engine="llama_cpp",
            file=None if ollama or lmstudio else path,
            ollama=ollama,
            lmstudio=lmstudio,
            quantization=quantization(called),
            size_bytes=size_bytes,
        )


def _called(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Return what Ollama calls a model: without its own registry and its own library in front."""
    shown = parts[1:] if parts and parts[0].startswith("registry.") else parts
    return shown[1:] if shown and shown[0] == "library" else shown


def _files(folder: Path) -> Iterator[Path]:
    """Yield regular files below a folder, in order; links to folders are not followed, for they can be circles."""
    left = MAX_FILES
    for place, folders, names in os.walk(folder):
        folders.sort()
        if len(Path(place).relative_to(folder).parts) >= MAX_DEPTH:
            folders.clear()
        for name in sorted(names):
            file = Path(place, name)
            if _is_file(file):
                if not left:
                    return
                left -= 1
                yield file


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False
