"""What the daemon tells about models and itself: rows for `inferd list`, `ps` and `status`.

Covers: the shapes. The daemon's telemetry fills them; the CLI draws them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from inferd.messages.bounds import Bytes, Count, Length, Name, Seconds, ShortText

ModelState = Literal["absent", "pulling", "stored", "loading", "ready", "draining", "backoff", "failed"]


@dataclass(frozen=True, slots=True)
class Model:
    """One model, local or remote, and how it is now.

    `available`: usable here now, as soon as it is loaded. `weights_ready`: its bytes are on this disk.
    """

    id: Name
    name: ShortText
    state: ModelState
    available: bool
    weights_ready: bool
    capabilities: tuple[Name, ...] = ()
    context_tokens: Count = 0
    size_bytes: Bytes = 0
    memory_bytes: Bytes = 0
    """Measured use of its process (PSS); 0 while not loaded."""
    engine: ShortText = ""
    pid: Count = 0
    life: Count = 0
    slots: Count = 0
    busy: Count = 0
    queued: Count = 0
    progress: float = 0.0
    """Of a pull or load, 0 to 1."""
    reason: ShortText = ""
    """Why it is in `backoff` or `failed`, in one sentence."""
    retry_after_s: Seconds = 0.0
    idle_s: Seconds = 0.0
    load_phases: Mapping[ShortText, Seconds] = field(default_factory=dict)
    """What its present load took, part by part in their order, and last its first answer; empty while not loaded."""
    pinned: bool = False
    """It never leaves for another's memory or for want of use."""
    held_s: Seconds = 0.0
    """For how long the longest of its holds goes on; 0: there is none."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process that belongs to the service."""

    pid: Count
    kind: ShortText
    """daemon, keeper, model, standby, router, tracker, keypool, ray"""
    name: ShortText
    pss_bytes: Bytes
    cpu_s: Seconds


@dataclass(frozen=True, slots=True)
class App:
    """A connected app and its unfinished requests."""

    app: Name
    uid: Count
    pid: Count
    inflight: Count


@dataclass(frozen=True, slots=True)
class MemoryDecision:
    """One decision about a model's memory, with the numbers that were compared."""

    kind: Literal["load", "wait", "refusal", "eviction", "failure", "ready"]
    """`ready`: no decision but the end of a load; `rule` tells what its parts took."""
    age_s: Seconds
    """How long ago."""
    app: ShortText
    """Who asked for the load that it was about; empty: nobody, time did."""
    need_bytes: Bytes
    """Of the load; for an eviction, a failure or a model that is ready, what it held."""
    before_bytes: Bytes
    """Held by all models before it."""
    after_bytes: Bytes
    """Held by all models once it is carried out."""
    limit_bytes: Bytes
    """What all models might hold at that moment."""
    rule: ShortText
    """Which rule decided, in one sentence."""
    help: ShortText = ""
    """What would help; empty where nothing is amiss."""
    memory: Literal["ram", "gpu"] = "ram"
    """Whose bytes these are: the machine's, or those of GPUs that have memory of their own, all together."""


@dataclass(frozen=True, slots=True)
class Preflight:
    """How a load of a model would be judged now, and from which numbers. Nothing is reserved by it."""

    model: Name
    verdict: Literal["resident", "fits", "fits_after_eviction", "waits", "squeezed", "too_large"]
    """`waits`: for models in use; `squeezed`: other programs have the memory; `too_large`: it never fits."""
    estimate_bytes: Bytes
    """Of its process at its peak, in the machine's memory."""
    basis: Literal["learned", "header", "guess"]
    """Where the estimate is from: earlier lives, the file's header, or the size of the file."""
    resident_bytes: Bytes
    """What all models hold now."""
    free_bytes: Bytes
    """What may still be reserved."""
    limit_bytes: Bytes
    """What all models together may hold now."""
    reserve_bytes: Bytes
    """Kept free for other programs."""
    available_bytes: Bytes
    """What the machine could give to programs without swapping."""
    evicted: Annotated[tuple[Name, ...], Length(0, 4096)] = ()
    """Idle models that would leave for it."""
    weights_ready: bool = False
    """Whether its file is here; else it is pulled first."""
    memory: Literal["ram", "gpu"] = "ram"
    """The memory that decides, and whose bytes are told above: the machine's, or that of GPUs with some of their own."""
    gpu_estimate_bytes: Bytes = 0
    """Of its process at its peak, in those GPUs' memory."""


@dataclass(frozen=True, slots=True)
class Warmed:
    """What became of one name of a `warm_up`."""

    name: Name
    """As it was asked for."""
    model: ShortText
    """What it means; empty if nothing."""
    ready: bool
    load_s: Seconds = 0.0
    """How long it took; 0 for one that was ready."""
    code: ShortText = ""
    """Of the error, if it is not ready: those of `error`."""
    message: ShortText = ""
    retry_after_s: Seconds | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong, and what to do about it."""

    about: ShortText
    """A model's id, a setting, a file, or a part of the service."""
    what: ShortText
    next: ShortText
    broken: bool
    """Something does not work that should; else it is only less than it could be."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which models serve one capability."""

    capability: Name
    models: tuple[Name, ...]
    """All on the list."""
    available: tuple[Name, ...]
    """Usable here, as soon as they are loaded."""
    weights_ready: tuple[Name, ...]
    """Usable, and their bytes are here."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A model that failed and is left alone for now."""

    model: Name
    state: ModelState
    reason: ShortText
    retry_after_s: Seconds


@dataclass(frozen=True, slots=True)
class Provider:
    """A remote endpoint that models are reached through."""

    endpoint: ShortText
    reachable: bool
    problem: ShortText = ""


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """The memory of GPUs that have some of their own, all together."""

    held_bytes: Bytes
    """Reserved or used by all models."""
    limit_bytes: Bytes
    """What all models together may hold now."""
    available_bytes: Bytes
    """What nobody holds."""


@dataclass(frozen=True, slots=True)
class Health:
    """The whole service at one moment, problems first."""

    healthy: bool
    """Nothing is broken."""
    problems: tuple[Problem, ...]
    """Broken things first."""
    keeper: Literal["starting", "ready", "down"]
    draining: bool
    default_model: ShortText
    """Of requests that name none."""
    models_known: Count
    models_stored: Count
    models_ready: Count
    coverage: tuple[Coverage, ...]
    troubles: tuple[Trouble, ...]
    processes: tuple[Process, ...]
    """The daemon, the keeper with Ray, and every actor, with their memory."""
    memory_held_bytes: Bytes
    """Reserved or used by all models."""
    memory_limit_bytes: Bytes
    """What all models together may hold now."""
    memory_available_bytes: Bytes
    """What the machine could give to programs without swapping."""
    providers: tuple[Provider, ...] = ()
    """None in this version: it serves no remote models yet."""
    gpu: GpuMemory | None = None
    """Of GPUs that have memory of their own, all together; None: there are none."""


@dataclass(frozen=True, slots=True)
class DaemonReport:
    """The whole service at one moment; times in seconds since its start."""

    version: ShortText
    instance: ShortText
    pid: Count
    uptime_s: Seconds
    socket: ShortText
    keeper: Literal["starting", "ready", "down"]
    draining: bool
    models: tuple[Model, ...] = ()
    apps: tuple[App, ...] = ()
    processes: tuple[Process, ...] = ()
    requests_total: Count = 0
    events_total: Count = 0
