"""Ids for models that other programs call otherwise, and what a file's name tells of its quantization.

Covers: any text → an id by our rules, or None. Pure.
"""

from __future__ import annotations

import re
from typing import Final

from inferd_daemon.catalogue.names import ModelId

SEGMENT_CHARS: Final = 64
"""Longest segment of an id."""

_FOREIGN: Final = re.compile(r"[^a-z0-9._-]+")
_QUANTIZATION: Final = re.compile(
    r"(?<![a-z0-9])(?:ud-)?((?:iq|tq|q)\d(?:_[a-z0-9]+)*|bf16|f16|fp16|f32|mxfp4)(?![a-z0-9])", re.IGNORECASE
)


def named(provider: str, model: str, variant: str) -> ModelId | None:
    """Return an id near to these words; None where nothing of them can stand in one."""
    segments = [part for one in model.split("/") if (part := _segment(one))]
    try:
        return ModelId(provider, "/".join(segments), _segment(variant) or "default")
    except ValueError:
        return None


def quantization(text: str) -> str:
    """Return the quantization that a name tells, as llama.cpp writes it (`Q4_K_M`); empty if it tells none."""
    found = _QUANTIZATION.findall(text)
    return found[-1].upper() if found else ""


def _segment(text: str) -> str:
    return _FOREIGN.sub("-", text.lower()).strip("._-")[:SEGMENT_CHARS].rstrip("._-")
