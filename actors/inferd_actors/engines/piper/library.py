"""The only door to piper and ONNX Runtime: a voice as an object that turns text into sound and can be stopped in the middle.

Covers: opening the files of a voice, text → utterances (what the network takes at a time), utterance → samples and durations.
Does not cover when which is spoken: `engine`. Why not `PiperVoice.synthesize`: its session takes all cores and lets them spin,
cannot be stopped, and makes every sentence equally loud.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnxruntime as ort
from piper import PiperVoice
from piper.config import PhonemeType, PiperConfig

from inferd.errors import LoadFailed, ModelFailed
from inferd_actors.engines.piper.graph import durations_output
from inferd_actors.engines.piper.jobs import Utterance
from inferd_actors.engines.piper.request import Speakers

if TYPE_CHECKING:
    import numpy.typing as npt

    Samples = npt.NDArray[np.float32]

SERVED: Final = (PhonemeType.ESPEAK, PhonemeType.TEXT)
"""Alphabets that need nothing but piper; the others fetch models of their own from a hub, which an actor must not."""
RATES_HZ: Final = (8_000, 192_000)
HOPS: Final = (1, 65_536)
MAX_SCALE: Final = 10.0
MAX_CONFIG_BYTES: Final = 2**20
"""A voice's JSON has some 5 KB."""
LIBRARY_BYTES: Final = 60 * 2**20
"""Of the process beyond the weights, once it has spoken: measured 91 MiB in all for a voice of 60."""
WORDS: Final = 4_096
"""Whose phonemes are kept: looking one up takes a hundredth of asking espeak."""
FULL_SCALE: Final = 32_767
ERRORS_ONLY: Final = 3
"""ONNX Runtime's severity: its warnings are about graphs, and nobody can act on them."""


@dataclass(frozen=True, slots=True)
class Sound:
    """What the network made of an utterance: float32 in about -1 to 1, shape (n_samples,)."""

    samples: Samples
    ends: Sequence[int] | None
    """Of each phoneme, the sample behind its last one; None: this voice does not tell."""


class Stopped(Exception):
    """The run was stopped from outside; the voice is unharmed."""


class Run:
    """One computation that another thread may stop."""

    def __init__(self) -> None:
        self.options = ort.RunOptions()
        self.options.log_severity_level = ERRORS_ONLY + 1  # a stop is reported as an error, and is none

    def stop(self) -> None:
        """End it within milliseconds; before it begins, too. From any thread."""
        self.options.terminate = True


class Voice:
    """A loaded voice. `utterances` and `run` block and belong to one thread."""

    def __init__(self, path: Path, threads: int) -> None:
        """Open `path`, the .onnx, and the .onnx.json beside it. Raises LoadFailed."""
        logging.getLogger("piper").setLevel(logging.CRITICAL)  # it would write what it cannot speak to stderr
        config = _config(path.with_name(f"{path.name}.json"))
        session, self._tells_times = _session(path, threads)
        self._voice = PiperVoice(session, config)
        self._alone: dict[str, str] = {}
        self._inputs = {one.name for one in session.get_inputs()}
        if not {"input", "input_lengths", "scales"} <= self._inputs:
            raise _corrupt(f"{path.name} is no piper voice: it takes {', '.join(sorted(self._inputs))}")
        self.rate_hz = config.sample_rate
        self.language = config.espeak_voice.partition("-")[0]
        several = "sid" in self._inputs
        self.speakers = Speakers(
            max(1, config.num_speakers) if several else 1,
            config.default_speaker_id if several else 0,
            dict(config.speaker_id_map) if several else {},
        )
        self.scales = config.noise_scale, config.length_scale, config.noise_w_scale
        self.memory_bytes = path.stat().st_size + LIBRARY_BYTES

    def utterances(self, text: str) -> list[Utterance]:
        """Return what is to be run for a text, in order; nothing for a text without sounds.

        Raw phonemes, which piper reads between double brackets, are text like any other here: apps pass on what others wrote.
        """
        spoken = text.replace("[[", "[ [").replace("\0", " ")
        found = [phonemes for phonemes in self._voice.phonemize(spoken) if any(map(str.isalpha, phonemes))]
        return [self._utterance(phonemes) for phonemes in found]

    def alone(self, word: str) -> str:
        """Return the phonemes of a word by itself."""
        if word not in self._alone:
            if len(self._alone) >= WORDS:
                self._alone.clear()
            self._alone[word] = "".join(one for utterance in self.utterances(word) for one in utterance.phonemes)
        return self._alone[word]

    def _utterance(self, phonemes: list[str]) -> Utterance:
        taken = self._voice.config.phoneme_id_map
        known = [one for one in phonemes if one in taken]
        ids = self._voice.phonemes_to_ids(known)
        pad = len(taken["_"])
        at, spans = len(taken["^"]) + pad, []
        for one in known:
            end = at + len(taken[one]) + pad
            spans.append((at, end))
            at = end
        return Utterance(known, ids, spans)

    def run(self, utterance: Utterance, run: Run, scales: tuple[float, float, float], speaker: int) -> Sound:
        """Return the sound; takes about a tenth of its length. `scales`: noise, length, noise of widths.

        Raises Stopped, or ModelFailed for what the network cannot do.
        """
        given: dict[str, Any] = {
            "input": np.array([utterance.ids], np.int64),
            "input_lengths": np.array([len(utterance.ids)], np.int64),
            "scales": np.array(scales, np.float32),
        }
        if "sid" in self._inputs:
            given["sid"] = np.array([speaker], np.int64)
        try:
            made = self._voice.session.run(None, given, run.options)
        except Exception as reason:  # noqa: BLE001 - the runtime's own tree of errors
            if run.options.terminate:
                raise Stopped from None
            raise ModelFailed(f"the voice cannot speak this: {_first_line(reason)}") from None
        samples = np.nan_to_num(np.asarray(made[0], np.float32).reshape(-1))
        return Sound(samples, self._ends(utterance, made, len(samples)))

    def _ends(self, utterance: Utterance, made: Sequence[Any], n_samples: int) -> list[int] | None:
        if not self._tells_times:
            return None
        until = np.cumsum(np.asarray(made[-1]).reshape(-1)) * self._voice.config.hop_length
        if len(until) != len(utterance.ids) or abs(until[-1] - n_samples) > self._voice.config.hop_length:
            return None
        return [int(until[end - 1]) for _, end in utterance.spans]


def pcm(samples: Samples, gain: float) -> bytes:
    """Return int16 little-endian; what `gain` takes beyond full scale is clipped."""
    scaled = np.clip(samples * gain, -1.0, 1.0) * FULL_SCALE
    return bytes(scaled.astype("<i2").tobytes())


def peak(samples: Samples) -> float:
    """Return the largest amplitude, 0 for no samples."""
    return float(np.max(np.abs(samples), initial=0.0))


def onnx_file(path: Path) -> Path:
    """Return the network of a voice: the file itself, or the one in a folder. Raises LoadFailed."""
    found = sorted(path.glob("*.onnx")) if path.is_dir() else [path] if path.exists() else []
    if len(found) != 1:
        problem = f"{path} has {len(found)} files *.onnx; a voice is one, with its .onnx.json beside it"
        raise LoadFailed(problem, details={"cause": "file_corrupt" if found else "file_missing"})
    return found[0]


def _config(path: Path) -> PiperConfig:
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise _corrupt(f"{path.name} has {path.stat().st_size:,} bytes; a voice's has at most {MAX_CONFIG_BYTES:,}")
        config = PiperConfig.from_dict(json.loads(path.read_text(encoding="utf-8")))
        _check(config)
    except OSError as reason:
        raise LoadFailed(f"{path.name}: {reason.strerror}", details={"cause": "file_missing"}) from None
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as wrong:
        raise _corrupt(f"{path.name} does not describe a voice: {type(wrong).__name__} {wrong}") from None
    if config.phoneme_type not in SERVED:
        problem = f"voices of the alphabet {config.phoneme_type.value} are not served"
        raise LoadFailed(problem, details={"cause": "engine"})
    return config


def _check(config: PiperConfig) -> None:
    """Raise ValueError or TypeError for what no voice has; the rest is the network's to refuse."""
    sizes: tuple[tuple[str, object, tuple[int, int]], ...] = (
        ("audio.sample_rate", config.sample_rate, RATES_HZ),
        ("hop_length", config.hop_length, HOPS),
        ("num_speakers", config.num_speakers, (0, 100_000)),
    )
    for name, value, (low, high) in sizes:
        if not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"{name} is {value!r}, not {low:,} to {high:,}")
    for name, scale in (
        ("noise", config.noise_scale),
        ("length", config.length_scale),
        ("noise_w", config.noise_w_scale),
    ):
        if not 0 <= float(scale) <= MAX_SCALE:
            raise ValueError(f"the scale {name} is {scale!r}, not 0 to {MAX_SCALE:g}")
    if not {"_", "^", "$"} <= set(config.phoneme_id_map):
        raise ValueError("phoneme_id_map lacks the marks _ ^ $")
    if not all(isinstance(number, int) for number in config.speaker_id_map.values()):
        raise TypeError("speaker_id_map: numbers expected")


def _session(path: Path, threads: int) -> tuple[ort.InferenceSession, bool]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # a plan per length of sentence: no faster, and now and then 140 MiB more
    options.log_severity_level = ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        model = path.read_bytes()
        tells = durations_output(model)
        session = ort.InferenceSession(model + tells, options, providers=["CPUExecutionProvider"])
        vars(session).pop(
            "_model_bytes", None
        )  # kept for a change of provider, and there is but one: as much as the weights
    except OSError as reason:
        raise LoadFailed(f"{path.name}: {reason.strerror}", details={"cause": "file_missing"}) from None
    except MemoryError:
        raise
    except Exception as reason:  # noqa: BLE001 - the runtime's own tree of errors, and a file may cause any of them
        raise _corrupt(f"{path.name} is no network that can be run: {_first_line(reason)}") from None
    return session, bool(tells)


def _first_line(reason: BaseException) -> str:
    return next(iter(str(reason).splitlines()), type(reason).__name__)[:500]


def _corrupt(problem: str) -> LoadFailed:
    return LoadFailed(problem, details={"cause": "file_corrupt"})
