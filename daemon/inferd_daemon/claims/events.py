"""What can happen to claims, in the past tense. Events about claims that have ended change nothing."""

from __future__ import annotations

from dataclasses import dataclass

from inferd.messages.events import Error
from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.claims.claim import Claim


@dataclass(frozen=True, slots=True)
class Asked:
    """An app asks for a hold or a warm-up. `ready`: models that are loaded now."""

    claim: Claim
    ready: frozenset[ModelId]


@dataclass(frozen=True, slots=True)
class Granted:
    """A hold has its memory; answers `Reserve`."""

    number: int
    ready: frozenset[ModelId]


@dataclass(frozen=True, slots=True)
class Refused:
    """A hold cannot be had; answers `Reserve`."""

    number: int
    error: Error


@dataclass(frozen=True, slots=True)
class Ready:
    """A model answers requests."""

    model: ModelId


@dataclass(frozen=True, slots=True)
class NotReady:
    """A model's state changed to another than ready."""

    model: ModelId


@dataclass(frozen=True, slots=True)
class Failed:
    """Whoever waits for this model waits in vain."""

    model: ModelId
    error: Error


@dataclass(frozen=True, slots=True)
class Renewed:
    """A standing hold's time begins anew."""

    number: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Ended:
    """A claim is wanted no more."""

    number: int


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """An app is gone."""

    session: int


@dataclass(frozen=True, slots=True)
class Closed:
    """The daemon stops."""


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time passed: due at `Claims.next_timer_s`."""


Event = Asked | Granted | Refused | Ready | NotReady | Failed | Renewed | Ended | SessionEnded | Closed | Ticked
