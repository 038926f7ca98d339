"""Newer models for installed ones: what the curated list recommends in their place.

Covers: which, why, how large, and whether the machine has the memory. Does not cover what is installed (`lifecycle`) nor
what fits beside others right now: that is the preflight's question. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from inferd.messages.schemas import Upgrade
from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.catalogue.schema import Schema

ROOM: Final = 1.1
"""Memory for a model by its weights: a tenth more for its context and buffers, as the smallest ones need."""

BITS: Final[Mapping[str, float]] = {
    "f32": 32.0,
    "f16": 16.0,
    "bf16": 16.0,
    "int8": 8.0,
    "q8_0": 8.5,
    "q6_k": 6.6,
    "q5_k_m": 5.7,
    "q4_1": 5.0,
    "q4_k_m": 4.9,
    "q4_0": 4.6,
    "mxfp4": 4.4,
}
"""Bits per weight of whole files: llama.cpp's own table of its quantizations for an 8B model, rounded up."""


def upgrades(schemas: Iterable[Schema], installed: frozenset[ModelId], memory_bytes: int) -> tuple[Upgrade, ...]:
    """Return a newer model for each installed one that has one and for which it is not installed yet, by id.

    `memory_bytes`: what models may have on this machine, 0 while that is not known.
    """
    known = {schema.id: schema for schema in schemas}
    found = (_upgrade(known[model], known, installed, memory_bytes) for model in sorted(installed & known.keys()))
    return tuple(one for one in found if one is not None)


def expected_bytes(schema: Schema) -> int:
    """Return the size of a model's file: as recorded, else as weights and quantization make it, else 0."""
    bits = BITS.get(schema.quantization.lower())
    return schema.file_bytes or (int(schema.parameters * bits / 8) if schema.parameters and bits else 0)


def _upgrade(
    old: Schema, known: Mapping[ModelId, Schema], installed: frozenset[ModelId], memory_bytes: int
) -> Upgrade | None:
    new = _last(old, known)
    if new is None or new.id in installed or new.id == old.id:
        return None
    size_bytes = expected_bytes(new)
    fits = size_bytes * ROOM <= memory_bytes if size_bytes and memory_bytes else None
    return Upgrade(str(old.id), str(new.id), old.replaced_reason, size_bytes, fits)


def _last(old: Schema, known: Mapping[ModelId, Schema]) -> Schema | None:
    """Return the end of a chain of replacements; None if it leads nowhere or in a circle."""
    seen = {old.id}
    new = old
    while new.replaced_by is not None:
        if new.replaced_by in seen or new.replaced_by not in known:
            return None
        new = known[new.replaced_by]
        seen.add(new.id)
    return new
