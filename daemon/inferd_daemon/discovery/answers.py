"""What servers of other programs say about their models, as schemas.

Covers: Ollama's and LM Studio's own lists and the common one (`/v1/models`) of llama.cpp and vLLM-MLX. Rows that cannot be
read are passed over; what is nobody's list at all is Unclear. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from inferd.messages.bounds import MAX_U53
from inferd.messages.schemas import Endpoint, ModelSchema
from inferd_daemon.discovery.naming import named

Kind = Literal["ollama", "lm_studio", "llama_cpp", "vllm_mlx", "openai"]

PATHS: Final[Mapping[Kind, str]] = {
    "ollama": "/api/tags",
    "lm_studio": "/api/v0/models",
    "llama_cpp": "/v1/models",
    "vllm_mlx": "/v1/models",
    "openai": "/v1/models",
}
"""Where each tells of its models."""

_OWNERS: Final[Mapping[str, Kind]] = {
    "llamacpp": "llama_cpp",
    "vllm": "vllm_mlx",
    "vllm-mlx": "vllm_mlx",
    "mlx-lm": "vllm_mlx",
    "organization_owner": "lm_studio",
    "library": "ollama",
}
"""`owned_by` in the common list → who answers: a port says little, for 8000 and 8080 are everybody's."""

_LARGE: Final = re.compile(r"(\d+(?:\.\d+)?)([KMBT])")
_UNITS: Final = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_MODELS: Final = 1_000
_SHOWN: Final = 200
"""Longest name of another program that is taken over."""


class Unclear(Exception):
    """This is no list of models."""


@dataclass(frozen=True, slots=True)
class Found:
    """Who answered, and its models."""

    kind: Kind
    schemas: tuple[ModelSchema, ...]


def models(kind: Kind, said: object, base_url: str) -> Found:
    """Return the models in an answer. Raises Unclear when it is no list of models."""
    key = "models" if kind == "ollama" else "data"
    if not isinstance(said, Mapping) or not isinstance(said.get(key), list):
        raise Unclear(f"its answer to {PATHS[kind]} has no list under {key!r}")
    rows = [row for row in said[key][:_MODELS] if isinstance(row, Mapping)]
    who = next((_OWNERS[owner] for row in rows if (owner := _text(row, "owned_by")) in _OWNERS), kind)
    return Found(who, tuple(_schemas(who, rows, base_url)))


def _schemas(kind: Kind, rows: list[Mapping[str, object]], base_url: str) -> Iterator[ModelSchema]:
    for row in rows:
        called = _text(row, "name") if kind == "ollama" else _text(row, "id")
        model, _, variant = called.partition(":")
        made = named(f"{kind.replace('_', '-')}-server", model, variant)
        if made is None or not called:
            continue
        protocol = "ollama" if kind == "ollama" else "openai"
        plain = ModelSchema(
            id=str(made), name=called, engine="remote", remote=Endpoint(base_url, protocol, called), trust="unknown"
        )
        yield _detailed(kind, plain, row)


def _detailed(kind: Kind, plain: ModelSchema, row: Mapping[str, object]) -> ModelSchema:
    """Return a schema with what this kind of server tells besides the name."""
    if kind == "ollama":
        details = _map(row, "details")
        return replace(
            plain,
            family=_text(details, "family"),
            parameters=_large(_text(details, "parameter_size")),
            quantization=_text(details, "quantization_level"),
            size_bytes=_number(row, "size"),
        )
    if kind == "lm_studio":
        return replace(
            plain,
            family=_text(row, "arch"),
            quantization=_text(row, "quantization"),
            context_tokens=_number(row, "max_context_length"),
            capabilities=_served(_text(row, "type")),
        )
    meta = _map(row, "meta")
    return replace(
        plain,
        parameters=_number(meta, "n_params"),
        size_bytes=_number(meta, "size"),
        context_tokens=_number(meta, "n_ctx_train") or _number(row, "max_model_len"),
    )


def _served(kind: str) -> tuple[str, ...] | None:
    return {"llm": ("generate",), "vlm": ("generate", "vision"), "embeddings": ("embed",)}.get(kind)


def _map(row: Mapping[str, object], key: str) -> Mapping[str, object]:
    found = row.get(key)
    return found if isinstance(found, Mapping) else {}


def _text(row: Mapping[str, object], key: str) -> str:
    found = row.get(key)
    return found if isinstance(found, str) and found.isprintable() and len(found) <= _SHOWN else ""


def _number(row: Mapping[str, object], key: str) -> int | None:
    found = row.get(key)
    return found if type(found) is int and 0 < found <= MAX_U53 else None


def _large(text: str) -> int | None:
    found = _LARGE.fullmatch(text)
    number = int(float(found[1]) * _UNITS[found[2]]) if found else 0
    return number if 0 < number <= MAX_U53 else None
