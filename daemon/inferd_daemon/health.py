"""How the service is, as one report: what is wrong first, each with the next step. Pure.

Covers: which things are problems, and their words. Does not cover gathering the facts (`desk`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from inferd.errors import InferenceError
from inferd.messages.reports import Coverage, DaemonReport, GpuMemory, Health, Model, Problem, Trouble
from inferd_daemon.attendants import KINDS

if TYPE_CHECKING:
    from inferd_daemon.catalogue import Schema
    from inferd_daemon.config import Memory

KEEPER_STARTS_S: Final = 60.0
"""Ray takes 3 to 9 s to start, several times that on a loaded machine."""


@dataclass(frozen=True, slots=True)
class Room:
    """One memory of models now, in bytes."""

    held_bytes: int
    limit_bytes: int
    available_bytes: int


def unknown_names(memory: Memory, find: Callable[[str], Schema]) -> list[Problem]:
    """Return the names in `[memory]` that mean no model on the list."""
    found = []
    named = [
        *(("memory.pinned", name) for name in memory.pinned),
        *(("memory.keep_alive", n) for n in memory.keep_alive),
    ]
    for setting, name in named:
        try:
            find(name)
        except InferenceError as unknown:
            step = f"correct the name in {setting} of the config, or register the model"
            found.append(Problem(setting, f"{setting}: {unknown.message}"[:4096], step, broken=False))
    return found


def health(
    report: DaemonReport,
    default_model: str,
    room: Room,
    find: Callable[[str], Schema],
    faults: Iterable[Problem],
    gpu: Room | None = None,
) -> Health:
    """Return the report. `report`: with its rows. `faults`: what is wrong with settings and files.

    `gpu`: None: there is none that has memory of its own.
    """
    stored = [model for model in report.models if model.weights_ready]
    problems = [*_service(report, room), *_default(report, default_model, find), *_models(report.models), *faults]
    return Health(
        healthy=not any(one.broken for one in problems),
        problems=tuple(sorted(problems, key=lambda one: not one.broken)),
        keeper=report.keeper,
        draining=report.draining,
        default_model=default_model,
        models_known=len(report.models),
        models_stored=len(stored),
        models_ready=sum(model.state == "ready" for model in report.models),
        coverage=_coverage(report.models),
        troubles=tuple(
            Trouble(model.id, model.state, model.reason, model.retry_after_s)
            for model in report.models
            if model.state in ("backoff", "failed")
        ),
        processes=report.processes,
        memory_held_bytes=room.held_bytes,
        memory_limit_bytes=room.limit_bytes,
        memory_available_bytes=room.available_bytes,
        gpu=None if gpu is None else GpuMemory(gpu.held_bytes, gpu.limit_bytes, gpu.available_bytes),
    )


def _service(report: DaemonReport, room: Room) -> list[Problem]:
    found = []
    if report.keeper == "down" or (report.keeper == "starting" and report.uptime_s > KEEPER_STARTS_S):
        what = f"the keeper is {report.keeper}: no model can be loaded"
        found.append(Problem("keeper", what, "see keeper.log in the state directory", broken=True))
    living = {process.kind for process in report.processes}
    absent = [kind for kind in KINDS if report.keeper == "ready" and kind not in living]
    found += [
        Problem(kind, f"the {kind} does not run", "it is started again by itself", broken=False) for kind in absent
    ]
    if report.draining:
        found.append(Problem("daemon", "it is stopping and takes no new work", "ask its successor", broken=False))
    if room.limit_bytes <= 0:
        what = f"other programs leave models no memory ({room.available_bytes:,} bytes are free)"
        found.append(Problem("memory", what, "end programs that hold memory", broken=False))
    return found


def _default(report: DaemonReport, default_model: str, find: Callable[[str], Schema]) -> list[Problem]:
    try:
        model = str(find(default_model).id)
    except InferenceError as unknown:
        step = "correct default_model in the config"
        return [Problem("default_model", f"default_model: {unknown.message}"[:4096], step, broken=True)]
    row = next((one for one in report.models if one.id == model), None)
    if row is None or row.weights_ready:
        return []
    what = f"{model}, the model of requests that name none, is not stored"
    return [Problem("default_model", what, f"inferd pull {model}", broken=False)]


def _models(models: Sequence[Model]) -> list[Problem]:
    return [
        Problem(
            model.id,
            f"{model.id} failed: {model.reason}"[:4096],
            f"it is tried again in {model.retry_after_s:.0f} s, or at once after `inferd stop {model.id}`"
            if model.state == "backoff"
            else f"`inferd pull {model.id}` looks at its file again, `inferd stop {model.id}` allows a new attempt",
            broken=True,
        )
        for model in models
        if model.state in ("backoff", "failed")
    ]


def _coverage(models: Sequence[Model]) -> tuple[Coverage, ...]:
    capabilities = sorted({one for model in models for one in model.capabilities})
    return tuple(_covered(capability, models) for capability in capabilities)


def _covered(capability: str, models: Sequence[Model]) -> Coverage:
    serving = [model for model in models if capability in model.capabilities]
    usable = [model for model in serving if model.available]
    return Coverage(
        capability,
        tuple(model.id for model in serving),
        tuple(model.id for model in usable),
        tuple(model.id for model in usable if model.weights_ready),
    )
