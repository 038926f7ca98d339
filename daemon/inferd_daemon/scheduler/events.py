"""What can happen to requests and models, as the scheduler sees it. Events about unknown streams change nothing."""

from __future__ import annotations

from dataclasses import dataclass

from inferd.messages.control import Priority
from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.ids import AppKey, StreamNo


@dataclass(frozen=True, slots=True)
class Queued:
    """A request was admitted and has its model. `priority` is the class after the configuration's cap."""

    stream: StreamNo
    model: ModelId
    app: AppKey
    priority: Priority
    arrived_s: float


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A request left before it was dispatched: cancelled, expired, or its app is gone. Later ones change nothing."""

    stream: StreamNo


@dataclass(frozen=True, slots=True)
class Ended:
    """A dispatched request had its terminal event; `cost_tokens`: what it made the model read and write."""

    stream: StreamNo
    cost_tokens: int


@dataclass(frozen=True, slots=True)
class ModelReady:
    """The model answers requests, `slots` at a time; with `can_park` it sets lower classes aside for higher ones."""

    model: ModelId
    slots: int
    can_park: bool


@dataclass(frozen=True, slots=True)
class ModelNotReady:
    """The model takes no new work: it drains, died, or is not loaded. May be told again."""

    model: ModelId


@dataclass(frozen=True, slots=True)
class WaitersRefused:
    """Whoever waits for this model waits in vain."""

    model: ModelId


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time passed: due at `Scheduler.next_timer_s`; at other times harmless."""


Event = Queued | Withdrawn | Ended | ModelReady | ModelNotReady | WaitersRefused | Ticked
