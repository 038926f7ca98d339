"""The engine contract: what a model's process asks of the library that computes, and what it gives back.

Covers: the two protocols and their nouns. Implementations: one room each in `engines/`. Caller: `model`, alone.

| call                       | thread            | blocks            | answered by                                   |
|----------------------------|-------------------|-------------------|-----------------------------------------------|
| load                       | the loading thread| until ready       | `Loaded` returned, progress by the callback   |
| submit                     | the host's thread | never             | events of that stream, one terminal           |
| feed, finish               | the host's thread | never             | `Sink.grant` as pieces are used up            |
| grant                      | the host's thread | never             | more events, or a halt within one step        |
| pause, resume, played      | the host's thread | never             | a halt within one step; nothing; nothing      |
| cancel                     | the host's thread | never             | the stream's terminal event within one step   |
| step_aside                 | the host's thread | never             | less of what can wait, from the next step on  |
| stats                      | the host's thread | never             | the counters                                  |
| close                      | the leaving thread| until released    | no event after it returns                     |

An engine runs its own thread or threads and speaks only through the sink. Every submitted stream gets exactly one terminal
event, also when it is cancelled before its first step. An exception that leaves the engine's loop ends the process
(`Sink.fatal`): a process that lost its loop must not look alive.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NewType, Protocol

from inferd.messages.control import Feed, Priority
from inferd.messages.events import CancelReason, Content, Parked, Resumed, Terminal
from inferd.messages.operations import Operation
from inferd_actors.messages import ModelFile

StreamId = NewType("StreamId", int)
"""A live request inside this process; a key of its own, since a restarted daemon gives streams new numbers."""

EngineEvent = Content | Parked | Resumed | Terminal


@dataclass(frozen=True, slots=True)
class Submission:
    """One request as the engine sees it."""

    stream: StreamId
    model: str
    """The model's id, for the terminal event."""
    operation: Operation
    priority: Priority
    salt: str
    """Prefixes are shared only between equal salts."""
    queue_s: float
    load_s: float
    """What the app waited before this moment, for the terminal event."""
    file: ModelFile | None = None
    """What the request is about, where an engine serves many files; None for engines that have loaded theirs."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a loaded engine offers."""

    slots: int
    """Requests that it works on at the same time."""
    can_park: bool
    """It sets lower classes aside by itself when slots are short."""
    context_tokens: int
    memory_bytes: int
    """Its own estimate or measurement of what the load took."""


class Sink(Protocol):
    """Where an engine's results go. Every method may be called from any engine thread; only `emit` may wait."""

    def emit(self, batch: Sequence[tuple[StreamId, EngineEvent]]) -> None:
        """Deliver the events of one engine step, all streams together, each stream's in order.

        May hold the engine back while thousands of events wait for the line, so that a fast engine cannot outrun it.
        """

    def grant(self, stream: StreamId, limit_seq: int, limit_bytes: int) -> None:
        """Allow the app to feed up to these absolute numbers; the first call opens the uplink.

        Of sound that is heard live the app owes the next piece from then on: after 10 s without it the stream is cancelled.
        """

    def urgent(self, *, is_urgent: bool) -> None:
        """Tell whether a request of the class voice is computed or waits for it; call it when that changes. Starts False."""

    def alive(self) -> None:
        """Tell that the engine's loop goes round; call it at every step, and about every second when idle."""

    def fatal(self, reason: str) -> None:
        """Tell that the engine cannot go on; the process ends, its streams end `model_failed`."""


class Engine(Protocol):
    """One loaded model. See the module's table for threads and answers."""

    def load(self, path: str, options: Mapping[str, str | int | float | bool], on_progress: OnProgress) -> Capacity:
        """Make the model ready and start the engine's loop.

        Raises LoadFailed (inferd.errors) with `details["cause"]` of file_missing, file_corrupt, no_memory, engine.
        """

    def submit(self, submission: Submission) -> None:
        """Take a request; what this engine cannot do becomes the stream's `Error` event, never an exception."""

    def feed(self, stream: StreamId, piece: Feed) -> None:
        """Take the next piece of the uplink; the host has checked sequence and window."""

    def finish(self, stream: StreamId) -> None:
        """The uplink of this stream is complete."""

    def grant(self, stream: StreamId, *, may_produce: bool) -> None:
        """False: the app reads too slowly, produce nothing more for this stream until True. Starts True."""

    def pause(self, stream: StreamId) -> None:
        """The app asks to halt output and keep everything."""

    def resume(self, stream: StreamId) -> None:
        """The app asks to go on after `pause`."""

    def played(self, stream: StreamId, epoch: int, played_ms: int) -> None:
        """How much sound of an epoch the loudspeaker has played; engines without sound ignore it."""

    def cancel(self, stream: StreamId, reason: CancelReason) -> None:
        """End the stream within one step with `Cancelled(reason)`; unknown and ended streams are ignored."""

    def step_aside(self, *, is_aside: bool) -> None:
        """True: voice is computed for elsewhere, and the classes batch and background get little of the time. Starts False."""

    def stats(self) -> Mapping[str, float]:
        """Return counters by name: steps, prompt_tokens, completion_tokens, busy, due.

        due: live streams that wait for nothing but this engine, and orders that it has not taken. While it is not 0 the steps
        must go on, or the daemon ends the process.
        """

    def close(self) -> None:
        """Stop the loop and release the model; streams still live end `Cancelled("shutdown")` first."""


OnProgress = Callable[[float, str], None]
"""(0 to 1, phase) while loading; may be called from any thread."""

EngineFactory = Callable[[Sink], Engine]
"""How an engine is made: by its room's `make(sink)`, without heavy imports before `load`."""
