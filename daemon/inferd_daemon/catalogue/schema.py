"""What is known about a model before any of its bytes are here.

Covers: the fields. Does not cover live state (`lifecycle`), files (`store`) or how rows become schemas (`rows`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from inferd import wire
from inferd.messages.operations import FOR_VOCABULARIES
from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.catalogue.sources import Source

Engine = Literal["echo", "llama_cpp"]
"""Rooms of `inferd_actors.engines`."""

Capability = Literal["generate", "loopback"]
"""Operations that a model serves (`operations.FOR_MODELS`), in lower case."""

VOCABULARY_OPERATIONS: Final = tuple(sorted(wire.tag(kind) for kind in FOR_VOCABULARIES))
"""Operations about the tokenizer in a model's file."""

Option = str | float | int | bool
"""Plain values only: options travel to the actor's process. `float` before `int`: then strict reading keeps both."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Price of a remote model's tokens, from the vendor's own page."""

    input_usd_per_million_tokens: float
    output_usd_per_million_tokens: float

    def __post_init__(self) -> None:
        if self.input_usd_per_million_tokens < 0 or self.output_usd_per_million_tokens < 0:
            raise ValueError("a price cannot be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """One model of the catalogue. An empty text or None means "not known", never a guess."""

    id: ModelId
    name: str
    """For people: "SmolLM2 135M Instruct"."""
    engine: Engine
    source: Source
    capabilities: tuple[Capability, ...]
    family: str = ""
    """A name for all sizes and variants of one model; `find` accepts it when it is unique."""
    version: str = ""
    context_tokens: int | None = None
    """Prompt and answer together; None: the engine takes what the file says."""
    output_limit_tokens: int | None = None
    """Longest answer; None: what the context leaves."""
    parameters: int | None = None
    """Number of weights."""
    quantization: str = ""
    engine_options: Mapping[str, Option] = field(default_factory=lambda: MappingProxyType({}))
    """Read and checked by the engine alone."""
    cost: Cost | None = None
    """None: unpriced, which is not free."""
    tags: tuple[str, ...] = ()
    license: str = ""
    """SPDX expression of the weights."""

    @property
    def has_vocabulary(self) -> bool:
        """Whether its file holds a tokenizer that can be read without loading it."""
        return self.engine == "llama_cpp"

    @property
    def operations(self) -> tuple[str, ...]:
        """What can be asked about it: what it serves, and what its file tells."""
        return (*self.capabilities, *VOCABULARY_OPERATIONS) if self.has_vocabulary else self.capabilities

    def __post_init__(self) -> None:
        object.__setattr__(self, "engine_options", MappingProxyType(dict(self.engine_options)))
