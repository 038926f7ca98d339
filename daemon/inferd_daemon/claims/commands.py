"""What is to be done for claims, in the imperative. To be carried out in order."""

from __future__ import annotations

from dataclasses import dataclass

from inferd.messages.events import Error
from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.claims.claim import Claim


@dataclass(frozen=True, slots=True)
class Reserve:
    """Find memory for all models of a hold; answered by `Granted` or `Refused`."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class LetGo:
    """A hold's memory may be another's again."""

    number: int


@dataclass(frozen=True, slots=True)
class Want:
    """Have this model loaded; answered by `Ready` or `Failed`, at some time."""

    model: ModelId


@dataclass(frozen=True, slots=True)
class Unwant:
    """No claim waits for this model any more."""

    model: ModelId


@dataclass(frozen=True, slots=True)
class Warm:
    """A warm-up's model is ready: it is to stay as if it had been used."""

    model: ModelId


@dataclass(frozen=True, slots=True)
class Answer:
    """All models of a hold are ready, or what could be warmed is."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class Refuse:
    """A hold has failed."""

    number: int
    error: Error


Command = Reserve | LetGo | Want | Unwant | Warm | Answer | Refuse
