"""A loaded Whisper model that hears one pass at a time.

Covers: loading and what of it can fail, a pass, the encoder's window. Does not cover whose pass it is (`line`).

`transcribe` encodes a padded window of 30 s however short the sound is: four fifths of a pass over a few words. Hearings of
streams encode the sound and a margin instead. The shorter the margin, the more often the model then mishears, or repeats itself
without end, so tokens are limited by the sound's length. What a quick hearing brings that is not credible is dropped: the next
one comes soon. A clean one that leaves a doubt is heard again in the whole window. Measured on 279 recordings of 4.4 s with
tiny.en: WER 3.9 % as with the whole window, one in eight heard twice, half the time. Files get the whole window.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from faster_whisper import WhisperModel
from numpy.typing import NDArray

from inferd.errors import LoadFailed
from inferd_actors.engines import cores
from inferd_actors.engines.faster_whisper.hearing import RATE_HZ, Care, Heard, HeardSegment, HeardWord, Pass
from inferd_actors.engines.faster_whisper.options import Options
from inferd_actors.engines.faster_whisper.texts import is_aside, is_credible, is_doubtful, max_tokens

if TYPE_CHECKING:
    from faster_whisper.transcribe import Segment, TranscriptionInfo

MARGINS_S: Final[Mapping[Care, tuple[float, ...]]] = MappingProxyType(
    {"quick": (3.0,), "clean": (8.0, math.inf), "file": (math.inf,)}
)
"""Of silence behind the sound in the encoder's window; the next one where a doubt is left."""
WINDOW_S: Final = 30.0
"""What every Whisper model was trained on."""
STEP_FRAMES: Final = 50
"""Windows grow in steps of half a second."""
FRAMES_PER_S: Final = 100
FILES: Final = ("model.bin", "config.json", "tokenizer.json")
VOCABULARIES: Final = ("vocabulary.txt", "vocabulary.json")
TOKENS_EACH: Final = 2
"""Asked for, for each that may come: CTranslate2 ends an answer of Whisper at half of the maximum."""
MOST_TOKENS: Final = 216
"""That may be asked for beside the longest prompt, 223 and the marks in front of an answer, in a context of 448."""
RELATIVE: Final[Mapping[str, float]] = MappingProxyType(
    {"int8": 0.5, "int8_float32": 0.5, "int8_float16": 0.5, "float16": 1.0, "float32": 2.0}
)
"""Of the weights in memory to those in the file, which are float16 in all packaged models."""
BUFFERS_BYTES: Final = 112 * 2**20
"""Of a pass, and of the libraries: whisper base at int8 takes 184 MiB in use, 69 of them weights."""
HOW: Final[Mapping[Care, Mapping[str, Any]]] = MappingProxyType(
    {
        "quick": {"beam_size": 1, "temperature": 0.0, "without_timestamps": True},
        "clean": {"beam_size": 5, "temperature": 0.0},
        "file": {"beam_size": 5, "temperature": (0.0, 0.4, 0.8)},
    }
)


class Ear(WhisperModel):  # type: ignore[misc]  # the library has no types
    """See the module. Belongs to one thread from the first pass on."""

    memory_bytes: int
    """An estimate, from the size of the file."""
    _margin_s: float = math.inf
    _window: NDArray[np.float32] | None = None
    _encoded: Any = None
    """The window that was encoded last, and what came of it: the language is detected in it, then its words."""

    def encode(self, features: NDArray[np.float32]) -> Any:  # noqa: ANN401 - a StorageView of CTranslate2
        """Return the encoder's output; called by the library, twice with the same window if it detects the language."""
        if self._window is None or not np.array_equal(self._window, features):
            self._window, self._encoded = features, super().encode(self._shortened(features))
        return self._encoded

    def _shortened(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the sound and a margin of silence; behind the sound the library has padded with zeros."""
        heard = np.flatnonzero(features.any(axis=0))
        end = int(heard[-1]) + 1 if len(heard) else 0
        wanted = end + self._margin_s * FRAMES_PER_S
        if wanted > features.shape[-1] - STEP_FRAMES:
            return features
        short = features[..., : math.ceil(wanted / STEP_FRAMES) * STEP_FRAMES].copy()
        short[..., end:] = features[..., :end].min(initial=0.0)
        return short

    def hear(self, asked: Pass) -> Heard:
        """Return what is said in a pass. Blocks until it is computed; it cannot be stopped."""
        began_s = time.monotonic()
        for margin_s in MARGINS_S[asked.care]:
            segments, info = self._transcribed(asked, margin_s)
            if asked.sound_s + margin_s >= WINDOW_S or not _is_doubtful(segments):
                break
        told = tuple(_segment(one) for one in segments if _is_speech(one, asked.care))
        return Heard(told, info.language, float(info.language_probability), began_s, time.monotonic() - began_s)

    def _transcribed(self, asked: Pass, margin_s: float) -> tuple[list[Segment], TranscriptionInfo]:
        self._margin_s = margin_s
        how = dict(HOW[asked.care])
        if margin_s < math.inf:
            how["max_new_tokens"] = min(TOKENS_EACH * max_tokens(asked.sound_s), MOST_TOKENS)
        found, info = self.transcribe(
            asked.sound,
            language=asked.language,
            initial_prompt=asked.prompt or None,
            condition_on_previous_text=False,
            word_timestamps=asked.with_words,
            **how,
        )
        segments = list(found)
        self._window = self._encoded = None
        return segments, info

    def warm(self) -> None:
        """Hear a second of nothing: first passes are slower."""
        self.hear(Pass(np.zeros(RATE_HZ, np.float32), "quick", self.supported_languages[0]))

    def close(self) -> None:
        """Release the model's memory."""
        self.model.unload_model()


def load(path: str, options: Options) -> Ear:
    """Return the model in a folder. Blocks; raises LoadFailed (`file_missing`, `file_corrupt`, `no_memory`, `engine`)."""
    folder = Path(path)
    _check(folder)
    try:
        ear = Ear(
            str(folder),
            device=options.device,
            compute_type=options.compute_type,
            cpu_threads=options.threads or cores.count(),
            local_files_only=True,
        )
    except MemoryError as refused:
        raise LoadFailed(f"{folder.name}: no memory for it: {refused}", details={"cause": "no_memory"}) from None
    except ValueError as refused:
        raise LoadFailed(f"{folder.name}: {refused}", details={"cause": "engine"}) from None
    except Exception as broken:  # noqa: BLE001 - the tokenizer's library raises Exception itself
        raise LoadFailed(f"{folder.name} cannot be read: {broken}", details={"cause": "file_corrupt"}) from None
    ear.memory_bytes = int((folder / "model.bin").stat().st_size * RELATIVE[options.compute_type]) + BUFFERS_BYTES
    return ear


def _check(folder: Path) -> None:
    """Look for the files by hand: what is missing would be looked for on a hub."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in VOCABULARIES):
        missing.append(VOCABULARIES[0])
    if missing:
        raise LoadFailed(f"{folder}: there is no {', '.join(missing)}", details={"cause": "file_missing"})


def _is_doubtful(segments: Sequence[Segment]) -> bool:
    text = "".join(one.text for one in segments)
    return is_aside(text) or is_doubtful(text, min(one.avg_logprob for one in segments))


def _is_speech(segment: Segment, care: Care) -> bool:
    if is_aside(segment.text):
        return False
    return care == "file" or is_credible(segment.text, segment.avg_logprob)


def _segment(segment: Segment) -> HeardSegment:
    words = tuple(
        HeardWord(one.word, float(one.start), float(one.end), float(one.probability)) for one in segment.words or ()
    )
    return HeardSegment(segment.text, float(segment.start), float(segment.end), words)
