"""The only door to faster-whisper, CTranslate2, the Silero model and PyAV.

`ear`: a Whisper model that hears one pass after the other. `vad`: when somebody speaks. `decoding`: files and samples → 16 kHz.
"""

from __future__ import annotations

from inferd_actors.engines.faster_whisper.library.decoding import Resampler, decoded, decoded_samples
from inferd_actors.engines.faster_whisper.library.ear import Ear, load
from inferd_actors.engines.faster_whisper.library.vad import Vad, Voice

__all__ = ["Ear", "Resampler", "Vad", "Voice", "decoded", "decoded_samples", "load"]
