"""What the daemon is told to do about memory, in the imperative. To be carried out in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.ledger.holding import HoldNo
from inferd_daemon.ledger.room import Device


@dataclass(frozen=True, slots=True)
class Grant:
    """The load may begin: its memory is reserved until `Released`."""

    model: ModelId


@dataclass(frozen=True, slots=True)
class GrantHold:
    """The hold's memory is reserved, and its models leave no more, until `HoldEnded`. Those that are not there may load."""

    hold: HoldNo


@dataclass(frozen=True, slots=True)
class Evict:
    """End this model once nothing runs on it; answered by `Left` and `Released`. It takes no new work from now on."""

    model: ModelId


@dataclass(frozen=True, slots=True)
class Refuse:
    """The load, or the hold, cannot be had; the ledger has forgotten it."""

    key: ModelId | HoldNo
    message: str
    device: Device
    """The memory that is short."""
    numbers: Mapping[str, int]
    """The bytes of it that were compared, by name."""
    retry_after_s: float | None
    """None: waiting does not help."""


@dataclass(frozen=True, slots=True)
class ShowWait:
    """Tell those who wait for this load, or hold, what it waits for."""

    key: ModelId | HoldNo
    text: str


Command = Grant | GrantHold | Evict | Refuse | ShowWait
