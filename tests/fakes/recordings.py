"""Recordings of people speaking, with what they said: read-aloud novels, telephone prompts, nine languages.

Covers: where they are and their texts, as sound and as samples. From Debian (pocketsphinx-testdata: BSD;
asterisk-core-sounds: CC-BY-SA-3.0) and the Python index (pytest-audioeval: MIT); fetched once, never committed.
"""

from __future__ import annotations

import gzip
import re
import shutil
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import kept_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATE_HZ: Final = 16_000
POCKETSPHINX: Final = "pocketsphinx-testdata", "eaeb7a01d54f20b799d1a81ef110ec544b2cb47ea006614078220737a33019f0"
PROMPTS: Final = "asterisk-core-sounds-en-g722", "38c5261820b406dcb0ecb37675720da2b0864850690690352ca52707eb623806"
PROMPT_TEXTS: Final = "asterisk-core-sounds-en", "973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50"
AUDIOEVAL: Final = "pytest-audioeval==0.1.3", "8b97369347232d43180dd9860189c547ccc8dedb42b7c21d511ddc5a05ef7ecc"
_SAID: Final = re.compile(r"<s>\s*(?P<text>.*?)\s*</s>\s*\((?P<name>.+)\)")
_PROMPT: Final = re.compile(r"(?P<name>[\w/-]+): (?P<text>[^\[\]<>(){}]+)")


@dataclass(frozen=True, slots=True)
class Recording:
    """One sound file and what is said in it."""

    path: Path
    text: str
    language: str = "en"

    @property
    def name(self) -> str:
        """Its file's name without an ending."""
        return self.path.stem


def librivox() -> tuple[Recording, ...]:
    """Return five sentences of a novel, read aloud: wav, 16 kHz, 3 to 7 s. Raises OSError without Debian."""
    return _spoken("librivox")


def cards() -> tuple[Recording, ...]:
    """Return five playing cards called out: wav, 16 kHz, 1 to 4 s. Raises OSError without Debian."""
    return _spoken("cards")


def prompts(count: int | None = None) -> tuple[Recording, ...]:
    """Return a telephone's prompts, one speaker, in g722; texts of three words at least. Raises OSError without Debian.

    `count`: so many, from the first of their alphabet on; None: all.
    """
    folder = kept_folder.kept("recordings-prompts", _make_prompts)
    with gzip.open(folder / "texts.gz", "rt", encoding="utf-8") as lines:
        said = [
            match for line in lines if (match := _PROMPT.fullmatch(line.strip())) and len(match["text"].split()) > 2
        ]
    known = ((folder / f"{one['name']}.g722", one["text"].strip()) for one in said)
    return tuple(Recording(path, text) for path, text in known if path.is_file())[:count]


def languages() -> tuple[Recording, ...]:
    """Return three sentences in each of nine languages, spoken by machines: wav, 24 kHz. Raises OSError without an index."""
    folder = kept_folder.kept("recordings-languages", _make_languages)
    return tuple(
        Recording(path, path.with_suffix(".txt").read_text("utf-8").strip(), path.parent.name)
        for path in sorted(folder.glob("*/*.wav"))
    )


@cache
def samples(recording: Recording) -> NDArray[np.float32]:
    """Return the sound: float32 from -1 to 1, shape (n_samples,), mono, 16 kHz."""
    import numpy as np

    return pcm(recording).astype(np.float32) / np.float32(32_768)


@cache
def pcm(recording: Recording) -> NDArray[np.int16]:
    """Return the sound: int16, shape (n_samples,), mono, 16 kHz."""
    import av
    import numpy as np

    kind = "g722" if recording.path.suffix == ".g722" else None
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    with av.open(str(recording.path), format=kind) as file:
        frames = [one for frame in file.decode(audio=0) for one in resampler.resample(frame)]
    return np.concatenate([one.to_ndarray()[0] for one in (*frames, *resampler.resample(None))])


def _spoken(of: str) -> tuple[Recording, ...]:
    folder = kept_folder.kept("recordings-pocketsphinx", _make_pocketsphinx) / of
    (texts,) = folder.glob("*transcription")
    said = _SAID.finditer(texts.read_text("utf-8"))
    return tuple(Recording(folder / f"{one['name']}.wav", one["text"]) for one in said)


def _make_pocketsphinx(folder: Path) -> None:
    files = kept_folder.debian(*POCKETSPHINX, folder)
    for of in ("librivox", "cards"):
        shutil.move(files / "usr/share/pocketsphinx/test/data" / of, folder / of)
    shutil.rmtree(files)


def _make_prompts(folder: Path) -> None:
    sounds, texts = kept_folder.debian(*PROMPTS, folder), kept_folder.debian(*PROMPT_TEXTS, folder)
    voice = sounds / "usr/share/asterisk/sounds/en_US_f_Allison"
    for path in voice.iterdir():
        shutil.move(path, folder / path.name)
    shutil.move(texts / "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz", folder / "texts.gz")
    for emptied in (sounds, texts):
        shutil.rmtree(emptied)


def _make_languages(folder: Path) -> None:
    found = kept_folder.wheel(*AUDIOEVAL, folder)
    with zipfile.ZipFile(found) as archive:
        for name in archive.namelist():
            if "/samples/audio/" in name:
                path = folder / Path(name).parent.name / Path(name).name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(archive.read(name))
    shutil.rmtree(found.parent)
