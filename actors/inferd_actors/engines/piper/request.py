"""What a request asks of a voice: checked, and brought to the numbers that the network takes.

Covers: speaker, rate, volume, text. Does not cover reading the text: `narration`. Pure.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from inferd.errors import InvalidRequest, UnsupportedMode
from inferd.messages.speech import Synthesize, SynthesizeStream
from inferd_actors.engine import Submission
from inferd_actors.engines.piper.jobs import Manner
from inferd_actors.engines.piper.options import OWN, Options

LIMITS: Final[Mapping[str, tuple[float, float]]] = {"rate": (0.25, 4.0), "volume": (0.0, 4.0)}
"""As on the wire; here for who calls without one."""


@dataclass(frozen=True, slots=True)
class Speakers:
    """Who speaks in a model: `count` of them, some with names."""

    count: int
    first: int
    by_name: Mapping[str, int]

    def find(self, wanted: str | None) -> int:
        """Return a speaker's number, by name or number. Raises InvalidRequest; `details["near"]`: names to choose from."""
        if wanted is None:
            return self.first
        if wanted in self.by_name:
            return self.by_name[wanted]
        if wanted.isascii() and wanted.isdigit() and int(wanted) < self.count:
            return int(wanted)
        near = difflib.get_close_matches(wanted, self.by_name, n=3)
        has = f"speakers 0 to {self.count - 1:,}" if self.count > 1 else "one speaker, 0"
        hint = f"; closest: {', '.join(near)}" if near else ""
        problem = f"body.voice: nobody here is called {wanted!r}; the model has {has}{hint}"
        raise InvalidRequest(problem, details={"field": "body.voice", "near": tuple(near)})

    def name(self, number: int) -> str:
        """Return a speaker's name; empty: it has none."""
        return next((name for name, one in self.by_name.items() if one == number), "")


def asked(submission: Submission) -> Synthesize | SynthesizeStream:
    """Return the operation. Raises UnsupportedMode or InvalidRequest."""
    operation = submission.operation
    if not isinstance(operation, Synthesize | SynthesizeStream):
        name = type(operation).__name__
        raise UnsupportedMode(f"{submission.model} does not serve {name}", details={"operation": name})
    for field, (low, high) in LIMITS.items():
        value = getattr(operation, field)
        if not low <= value <= high:  # NaN is not, either
            problem = f"body.{field}: {value} is not {low:g} to {high:g}"
            raise InvalidRequest(problem, details={"field": f"body.{field}", "limit": high})
    if isinstance(operation, Synthesize) and not operation.text.strip():
        raise InvalidRequest("body.text: there is nothing in it to speak", details={"field": "body.text"})
    return operation


def manner(
    operation: Synthesize | SynthesizeStream,
    speakers: Speakers,
    scales: tuple[float, float, float],
    gain: float,
    options: Options,
) -> Manner:
    """Return how it is spoken; `scales`: the voice's own. Raises InvalidRequest for an unknown speaker."""
    noise, length, widths = scales
    noise = noise if options.noise_scale == OWN else options.noise_scale
    widths = widths if options.noise_w_scale == OWN else options.noise_w_scale
    speaker = speakers.find(operation.voice)
    return Manner(speaker, (noise, length / operation.rate, widths), gain * operation.volume)
