"""Predictions for speech models: near to what was measured, and more for larger models and wider numbers."""

from __future__ import annotations

import pytest

from inferd_actors.engines.faster_whisper import prediction as ear
from inferd_actors.engines.piper import prediction as voice
from inferd_actors.headers.header import Header, Layers

MIB = 2**20


def whisper(parameters: int, width: int, layers: int) -> Header:
    each = (width,) * layers
    return Header(architecture="whisper", parameters=parameters, width=width, layers=Layers(keys=each, values=each))


TINY, BASE = whisper(37_764_873, 384, 4), whisper(72_603_147, 512, 6)
JOE = Header(architecture="onnx", parameters=15_650_556, tensor_bytes={"float32": 62_601_900})


@pytest.mark.parametrize(
    ("header", "compute_type", "has_mkl", "measured_mib"),
    [
        (TINY, "int8", True, 270),
        (BASE, "int8", True, 346),
        (TINY, "float32", True, 465),
        (BASE, "float32", True, 643),
        (TINY, "int8", False, 272),
        (BASE, "int8", False, 328),
        (TINY, "float32", False, 362),
        (BASE, "float32", False, 514),
    ],
)
def test_whisper_takes_what_was_measured_within_a_tenth(
    header: Header, compute_type: str, measured_mib: int, *, has_mkl: bool
) -> None:
    predicted = ear.peak_bytes(header, {"compute_type": compute_type}, has_mkl=has_mkl)
    assert abs(predicted - measured_mib * MIB) < 0.1 * measured_mib * MIB


def test_weights_are_narrow_unless_a_life_says_otherwise() -> None:
    def peak_bytes(**settings: str | int) -> int:
        return ear.peak_bytes(BASE, settings, has_mkl=True)

    assert peak_bytes() == peak_bytes(compute_type="int8") == peak_bytes(compute_type=7)
    assert peak_bytes(compute_type="float16") == peak_bytes(compute_type="float32")


@pytest.mark.parametrize("measured_mib", [296, 303])
def test_a_voice_takes_what_was_measured_within_a_tenth(measured_mib: int) -> None:
    assert abs(voice.peak_bytes(JOE, {}) - measured_mib * MIB) < 0.1 * measured_mib * MIB
