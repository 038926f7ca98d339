"""What the supervisor is told to do about models, in the imperative. To be carried out in order."""

from __future__ import annotations

from dataclasses import dataclass

from inferd.messages.events import Error
from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.ids import Life
from inferd_daemon.lifecycle.record import View


@dataclass(frozen=True, slots=True)
class StartPull:
    """Have the store fetch the files; answered by `Pulled` or `PullFailed`. Files that are here already may answer."""

    model: ModelId


@dataclass(frozen=True, slots=True)
class Reserve:
    """Find memory for the model; answered by `Reserved`, `MemoryRefused` or `LoadRefused`, any number of `Delayed` before."""

    model: ModelId


@dataclass(frozen=True, slots=True)
class Release:
    """The model holds no memory any more, and waits for none."""

    model: ModelId


@dataclass(frozen=True, slots=True)
class Spawn:
    """Have the keeper start a process; answered by `Spawned` and `Greeted`, or by `Gone`."""

    model: ModelId
    life: Life


@dataclass(frozen=True, slots=True)
class Take:
    """Have the keeper book a life that stood by as this model's. It has said hello: what follows is as after `Greeted`."""

    model: ModelId
    life: Life


@dataclass(frozen=True, slots=True)
class OrderLoad:
    """Tell the process which model to load; answered by `Loaded`, `LoadFailed` or `Gone`."""

    life: Life


@dataclass(frozen=True, slots=True)
class OrderLeave:
    """Ask the process to end within `grace_s`; answered by `Gone`, or followed by `OrderKill`."""

    life: Life
    grace_s: float


@dataclass(frozen=True, slots=True)
class OrderKill:
    """Have the keeper kill the process; answered by `Gone`, and repeated until it is."""

    life: Life


@dataclass(frozen=True, slots=True)
class Fence:
    """This life is over: drop its frames, end its streams with `model_failed`, kill what may be left of it."""

    life: Life


@dataclass(frozen=True, slots=True)
class Announce:
    """The model's state changed, or someone asked about it. While it is not READY, nothing may be dispatched to it.

    Answers those who wait for an unload as soon as `view.life` is 0, and those who wait for a pull as soon as the state
    is another than ABSENT or PULLING.
    """

    view: View


@dataclass(frozen=True, slots=True)
class ShowProgress:
    """Tell those who wait for this model how far its load is."""

    model: ModelId
    progress: float
    phase: str


@dataclass(frozen=True, slots=True)
class NoteFailure:
    """The model failed: remember what happened, and what comes next, for whoever asks why."""

    model: ModelId
    what: str
    next: str


@dataclass(frozen=True, slots=True)
class FailWaiters:
    """End every request and pull that waits for this model with this error."""

    model: ModelId
    error: Error


Command = (
    StartPull
    | Reserve
    | Release
    | Spawn
    | Take
    | OrderLoad
    | OrderLeave
    | OrderKill
    | Fence
    | Announce
    | ShowProgress
    | NoteFailure
    | FailWaiters
)
