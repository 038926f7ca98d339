"""What the daemon is told to do about memory, in the imperative. To be carried out in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inferd_daemon.catalogue.names import ModelId


@dataclass(frozen=True, slots=True)
class Grant:
    """The load may begin: its memory is reserved until `Released`."""

    model: ModelId


@dataclass(frozen=True, slots=True)
class Evict:
    """End this model once nothing runs on it; answered by `Left` and `Released`. It takes no new work from now on."""

    model: ModelId


@dataclass(frozen=True, slots=True)
class Refuse:
    """The load cannot be had; the ledger has forgotten it."""

    model: ModelId
    message: str
    numbers: Mapping[str, int]
    """The bytes that were compared, by name."""
    retry_after_s: float | None
    """None: waiting does not help."""


@dataclass(frozen=True, slots=True)
class ShowWait:
    """Tell those who wait for this load what it waits for."""

    model: ModelId
    text: str


Command = Grant | Evict | Refuse | ShowWait
