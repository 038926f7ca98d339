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
from inferd.messages.schemas import Performance, TokenCost
from inferd.messages.speech import SynthesizeStream, TranscribeStream
from inferd_daemon.catalogue.composed import Owned, Source, files_of
from inferd_daemon.catalogue.names import ModelId

Engine = Literal["echo", "llama_cpp", "faster_whisper", "piper", "remote"]
"""How a model is run: rooms of `inferd_actors.engines`, and `remote` for what runs elsewhere."""

SERVED: Final[frozenset[Engine]] = frozenset({"echo", "llama_cpp", "faster_whisper", "piper"})
"""Engines that this version has. Models of the others can be listed, fetched and registered, and say so when asked."""

Capability = Literal[
    "generate",
    "loopback",
    "embed",
    "rerank",
    "classify",
    "ground",
    "transcribe",
    "synthesize",
    "generate_image",
    "generate_video",
    "vision",
    "audio",
    "tools",
    "thinking",
    "code",
]
"""Operations that a model serves, in lower case, then what its `generate` can do beside plain text."""

Parameter = Literal[
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "repeat_penalty",
    "logit_bias",
    "logprobs",
    "thinking",
    "thinking_budget",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "truncate",
    "shared_prefix",
]
"""Fields of `operations.Generate` that a model may honour or not."""

Trust = Literal["maker", "converter", "user", "unknown"]
"""Who made the file: those who trained the model, somebody known for conversions, the user, or nobody knows."""

VOCABULARY_OPERATIONS: Final = tuple(sorted(wire.tag(kind) for kind in FOR_VOCABULARIES))
"""Operations about the tokenizer in a model's file."""

STREAMED: Final[Mapping[Capability, str]] = MappingProxyType(
    {"transcribe": wire.tag(TranscribeStream), "synthesize": wire.tag(SynthesizeStream)}
)
"""Capability → the operation that every model with it serves, too."""

Option = str | float | int | bool
"""Plain values only: options travel to the actor's process. `float` before `int`: then strict reading keeps both."""


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
    upstream_family: str = ""
    """The family that it was made from, where that is another one."""
    context_tokens: int | None = None
    """Prompt and answer together; None: the engine takes what the file says."""
    output_limit_tokens: int | None = None
    """Longest answer; None: what the context leaves."""
    parameters: int | None = None
    """Number of weights."""
    quantization: str = ""
    size_bytes: int | None = None
    """Of its files, where the row says it; see `file_bytes`."""
    languages: tuple[str, ...] = ()
    """Of speech, as BCP 47 writes them; empty: not known, or it does not matter."""
    engine_options: Mapping[str, Option] = field(default_factory=lambda: MappingProxyType({}))
    """Read and checked by the engine alone."""
    supported_parameters: tuple[Parameter, ...] | None = None
    """None: all."""
    performance: tuple[Performance, ...] = ()
    cost: TokenCost | None = None
    """None: unpriced, which is not free."""
    benchmarks: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """As the model's maker published them."""
    tags: tuple[str, ...] = ()
    license: str = ""
    """SPDX expression of the weights."""
    trust: Trust = "unknown"
    deprecated: bool = False
    replaced_by: ModelId | None = None
    replaced_reason: str = ""

    @property
    def is_served(self) -> bool:
        """Whether this version has the engine for it."""
        return self.engine in SERVED

    @property
    def is_usable(self) -> bool:
        """Whether this version has an operation that the model serves, too."""
        return self.is_served and any(one in wire.OPERATIONS for one in self.capabilities)

    @property
    def is_owned(self) -> bool:
        """Whether there is a file that inferd fetched itself, and may delete."""
        return any(isinstance(one, Owned) for one in files_of(self.source))

    @property
    def file_bytes(self) -> int:
        """Size of its files, 0 while it is unknown."""
        known = [one.size_bytes if isinstance(one, Owned) else None for one in files_of(self.source)]
        return sum(one or 0 for one in known) if known and all(known) else self.size_bytes or 0

    @property
    def reads_folder(self) -> bool:
        """Whether the engine is given the folder of several files; another is given the first file, and looks beside it."""
        return self.engine != "llama_cpp"

    @property
    def has_vocabulary(self) -> bool:
        """Whether its file holds a tokenizer that can be read without loading it."""
        return self.engine == "llama_cpp"

    @property
    def operations(self) -> tuple[str, ...]:
        """What can be asked about it: what it serves, whole and streamed, and what its file tells."""
        streamed = [STREAMED[one] for one in self.capabilities if one in STREAMED]
        return (*self.capabilities, *streamed, *(VOCABULARY_OPERATIONS if self.has_vocabulary else ()))

    def __post_init__(self) -> None:
        object.__setattr__(self, "engine_options", MappingProxyType(dict(self.engine_options)))
        object.__setattr__(self, "benchmarks", MappingProxyType(dict(self.benchmarks)))
