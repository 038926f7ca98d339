"""How much memory a life of this engine will take, from the weights of its network, before a load.

Covers: one process that speaks. Does not cover what is learned from earlier lives: a measured peak is better. Pure.

Measured for one voice of 60 MiB, a medium one (MiB of PSS of the process of a real service, two cores): 296 after a sentence of
160 characters, 298 after three of them, 303 after twelve; predicted are 300. Nobody here has measured a voice of
another size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from inferd_actors.headers.header import Header

MIB: Final = 2**20
FILE: Final = "*.onnx"
"""Which of a model's files has the header."""
BASE_BYTES: Final = 172 * MIB
"""Interpreter, libraries, the words of the phonemizer."""
SENTENCE_BYTES: Final = 4.6
"""Of what is computed in between for a long sentence, for each number of the weights: larger networks have wider layers."""


def peak_bytes(header: Header, options: Mapping[str, str | int | float | bool]) -> int:  # noqa: ARG001 - none changes it
    """Return what is to be reserved for a life."""
    return BASE_BYTES + header.weights_bytes + int(SENTENCE_BYTES * header.parameters)
