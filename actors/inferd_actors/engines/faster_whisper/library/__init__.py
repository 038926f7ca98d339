"""The only door to faster-whisper, CTranslate2, the Silero model and PyAV.

`ear`: a Whisper model that hears one pass after the other. `vad`: when somebody speaks. `decoding`: files and samples → 16 kHz.

CTranslate2's threads meet at a barrier after every operation, and by default wait there by spinning, for up to 15 ms: beside
text and voice on two cores a pass of half a second then took up to ten, and twice the CPU. Waiting asleep costs nothing alone
(measured: 0.55 s instead of 0.61). OpenMP reads that once, when it is loaded.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from inferd_actors.engines.faster_whisper.library.decoding import Resampler, decoded, decoded_samples
from inferd_actors.engines.faster_whisper.library.ear import Ear, load
from inferd_actors.engines.faster_whisper.library.vad import Vad, Voice

__all__ = ["Ear", "Resampler", "Vad", "Voice", "decoded", "decoded_samples", "load"]
