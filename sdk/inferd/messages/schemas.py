"""What is known of a model whether it is loaded or not: its schema, the same for local and remote models.

Covers: the shapes in which apps read and register models. Does not cover what a value may be beyond its bounds (which
engines and capabilities there are): the daemon's catalogue says that. See also: `reports.Model`, how a model is now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from inferd.messages.bounds import MAX_U53, Bytes, Count, Length, Name, Positive, Range, Seconds, ShortText

Usd = Annotated[float, Range(0.0, MAX_U53)]
"""US dollars per million tokens."""
Names = Annotated[tuple[Name, ...], Length(0, 64)]


@dataclass(frozen=True, slots=True)
class CostTier:
    """The price of requests with more input than `above_input_tokens`; of several the highest that applies."""

    above_input_tokens: Positive
    input_usd_per_million_tokens: Usd
    output_usd_per_million_tokens: Usd


@dataclass(frozen=True, slots=True)
class TokenCost:
    """What a remote model's tokens cost, as its vendor says."""

    input_usd_per_million_tokens: Usd
    output_usd_per_million_tokens: Usd
    cached_input_usd_per_million_tokens: Usd | None = None
    """None: cached input costs what input costs."""
    tiers: Annotated[tuple[CostTier, ...], Length(0, 16)] = ()


@dataclass(frozen=True, slots=True)
class Performance:
    """How fast a model was on some machine; None: not measured there."""

    machine: ShortText
    """Where it was measured, in words."""
    prompt_tokens_per_s: Seconds | None = None
    output_tokens_per_s: Seconds | None = None
    first_token_s: Seconds | None = None


@dataclass(frozen=True, slots=True)
class PackageFile:
    """A file inside a wheel of a Python package index."""

    package: Name
    version: Name
    wheel_sha256: Name
    wheel_bytes: Bytes
    member: ShortText
    """Path inside the wheel."""
    size_bytes: Bytes
    sha256: Name
    """Of the file taken out."""


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository on a model hub."""

    repo: Name
    revision: Name
    file: ShortText
    size_bytes: Bytes | None = None
    sha256: Name | None = None
    """None: taken from the hub at the first pull."""


@dataclass(frozen=True, slots=True)
class JoinedFile:
    """A file that comes in pieces, which follow each other without a gap."""

    parts: Annotated[tuple[PackageFile, ...], Length(0, 16)]
    sha256: Name
    """Of the whole."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that another one is made of."""

    name: Name
    """What the recipe calls it."""
    package: PackageFile


@dataclass(frozen=True, slots=True)
class ConvertedFile:
    """A file that the daemon makes of files in another format."""

    recipe: Name
    """bert_gguf: a BERT encoder in safetensors to GGUF."""
    inputs: Annotated[tuple[InputFile, ...], Length(0, 64)]
    size_bytes: Bytes
    """Of the result."""
    sha256: Name
    """Of the result: the same inputs give the same bytes."""


@dataclass(frozen=True, slots=True)
class SchemaFile:
    """One of several files of a model; exactly one key beside `name` and `sha256` says where its bytes come from."""

    name: Name
    """What the engine calls it: a plain name, never a path."""
    file: ShortText | None = None
    """On this machine: read in place, never copied and never deleted."""
    sha256: Name | None = None
    """Of `file` or `url`."""
    package: PackageFile | None = None
    hub: HubFile | None = None
    url: Annotated[str, Length(1, 2048)] | None = None
    joined: JoinedFile | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model behind a server's HTTP interface."""

    base_url: ShortText
    protocol: Name
    """The server's way to speak: openai, ollama, anthropic or google."""
    model: ShortText
    """What the server calls the model."""


@dataclass(frozen=True, slots=True)
class ModelSchema:
    """One model, local or remote, before any of its bytes are here. An empty value or None: not known, never a guess.

    `register` takes the same: what a row does not say is left to the row of the same id below it.
    """

    id: Name
    """`provider/model:variant`, in lower case."""
    name: ShortText = ""
    engine: Name | None = None
    """echo, llama_cpp, faster_whisper, piper or remote."""
    engine_options: Annotated[Mapping[Name, str | float | int | bool], Length(0, 64)] | None = None
    """Read by the engine when the model is loaded; they take the place of all options of the row below."""
    file: ShortText | None = None
    """A file that is on this machine: read in place, never copied and never deleted."""
    sha256: Name | None = None
    """Of `file`, `url` or `lmstudio`."""
    package: PackageFile | None = None
    hub: HubFile | None = None
    url: Annotated[str, Length(1, 2048)] | None = None
    """A file on the web."""
    ollama: ShortText | None = None
    """A model that Ollama has fetched, by its name there; read in place."""
    lmstudio: ShortText | None = None
    """PUBLISHER/REPOSITORY/FILE that LM Studio has fetched; read in place."""
    converted: ConvertedFile | None = None
    """A file that is made here."""
    files: Annotated[tuple[SchemaFile, ...], Length(0, 64)] | None = None
    """In place of the keys above, for a model in several files: its engine finds them in one folder, under these names."""
    remote: Endpoint | None = None
    family: ShortText = ""
    version: ShortText = ""
    upstream_family: ShortText = ""
    """The family that it was made from, where that is another one."""
    capabilities: Names | None = None
    """Operations that it serves, and what its `generate` can do beside text: vision, audio, tools, thinking, code."""
    context_tokens: Positive | None = None
    """Prompt and answer together."""
    output_limit_tokens: Positive | None = None
    parameters: Positive | None = None
    """Number of weights."""
    quantization: ShortText = ""
    size_bytes: Bytes | None = None
    """Of its files."""
    languages: Annotated[tuple[Name, ...], Length(0, 128)] = ()
    """Of speech, as BCP 47 writes them; empty: not known, or it does not matter."""
    supported_parameters: Names | None = None
    """Options of `generate` that it honours; None: all."""
    performance: Annotated[tuple[Performance, ...], Length(0, 16)] = ()
    cost: TokenCost | None = None
    """None: unpriced, which is not free."""
    benchmarks: Annotated[Mapping[Name, float], Length(0, 64)] | None = None
    """Name of a benchmark → score, as the model's maker published it."""
    tags: Annotated[tuple[Name, ...], Length(0, 32)] = ()
    license: ShortText = ""
    """SPDX expression of the weights."""
    trust: Name | None = None
    """Who made the file: maker, converter (somebody known for it), user, or unknown."""
    deprecated: bool | None = None
    replaced_by: Name | None = None
    """Id of the model that its maker, or inferd's list, recommends instead."""
    replaced_reason: ShortText = ""
    origin: ShortText = ""
    """Whose row this is: curated, config or user. Told by the daemon; `register` does not read it."""


@dataclass(frozen=True, slots=True)
class FoundServer:
    """A model server that answers on this machine."""

    kind: Name
    """ollama, lm_studio, llama_cpp, vllm_mlx or openai."""
    base_url: ShortText
    models: Count
    problem: ShortText = ""
    """Why its answer could not be read, if so."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A newer model in place of an installed one."""

    from_model: Name
    to_model: Name
    reason: ShortText
    size_bytes: Bytes
    """Of the new one's files; where the list has no size, as its weights and their quantization make it. 0: not known."""
    fits: bool | None
    """Whether its weights and a tenth more fit into the memory that models may have here; None: not known."""
