"""The libraries called directly: faster-whisper and piper as a script would, with the threads that inferd's models have."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import onnxruntime
from faster_whisper import WhisperModel
from faster_whisper.vad import VadOptions, get_speech_timestamps
from piper import PiperVoice
from speech_daemon import THREADS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILE: Final[dict[str, Any]] = {"beam_size": 5, "temperature": (0.0, 0.4, 0.8), "vad_filter": True}
"""What inferd does with whole sounds."""
CLEAN: Final[dict[str, Any]] = {"beam_size": 5, "temperature": 0.0}
"""What it does with an utterance whose borders are known."""
PAUSE_MS: Final = 400
"""Less than the silence that ends an utterance, by the time that speech is padded with."""


class Hearing:
    """A Whisper model of English."""

    def __init__(self, folder: Path) -> None:
        self._model = WhisperModel(
            str(folder), device="cpu", compute_type="int8", cpu_threads=THREADS, local_files_only=True
        )

    def text(self, sound: str | NDArray[np.float32], how: dict[str, Any]) -> str:
        """Return what is said in a file, or in samples of 16 kHz. Blocks."""
        found, _ = self._model.transcribe(sound, language="en", condition_on_previous_text=False, **how)
        return "".join(one.text for one in found).strip()

    def words(self, sound: NDArray[np.float32]) -> list[tuple[str, float]]:
        """Return what is said in samples of 16 kHz, and when each word ends, in seconds. Blocks."""
        found, _ = self._model.transcribe(sound, language="en", word_timestamps=True, **FILE)
        return [(word.word, float(word.end)) for one in found for word in one.words or ()]


def speech_spans(sound: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Return where somebody speaks, as samples (first, end): more than one where a pause would end the utterance."""
    options = VadOptions(min_silence_duration_ms=PAUSE_MS, speech_pad_ms=100)
    return [(int(one["start"]), int(one["end"])) for one in get_speech_timestamps(sound, options)]


class Speaking:
    """A piper voice whose session does not spin."""

    def __init__(self, path: Path, threads: int = THREADS) -> None:
        self._voice = PiperVoice.load(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._voice.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def first_ms(self, text: str) -> float:
        """Return how long it takes to the sound of the first sentence. Blocks."""
        asked_s = time.perf_counter()
        _ = next(iter(self._voice.synthesize(text))).audio_int16_bytes
        return 1000 * (time.perf_counter() - asked_s)

    def sound(self, text: str) -> bytes:
        """Return all of it spoken. Blocks."""
        return b"".join(one.audio_int16_bytes for one in self._voice.synthesize(text))
