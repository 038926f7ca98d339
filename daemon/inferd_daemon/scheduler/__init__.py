"""Who is served next: one line of waiting requests per model, classes in it, fair shares in them. Pure.

Feed `Scheduler.step` what happened and carry out what it returns, in order. The same events at the same times give the
same commands. `events`: in. `commands`: out. `shares`: fairness between apps. `line`: one model's line. `machine`: what
events do. See also: `admission` (who may wait at all), `lifecycle` (whether the model answers).
"""

from inferd_daemon.scheduler.commands import (
    Command,
    Dispatch,
    ReportEmptied,
    ShowPosition,
    StartIdleClock,
    TurnAway,
    WantModel,
)
from inferd_daemon.scheduler.events import (
    Ended,
    Event,
    ModelNotReady,
    ModelReady,
    Queued,
    Ticked,
    WaitersRefused,
    Withdrawn,
)
from inferd_daemon.scheduler.line import LineView
from inferd_daemon.scheduler.machine import Scheduler

__all__ = [
    "Command",
    "Dispatch",
    "Ended",
    "Event",
    "LineView",
    "ModelNotReady",
    "ModelReady",
    "Queued",
    "ReportEmptied",
    "Scheduler",
    "ShowPosition",
    "StartIdleClock",
    "Ticked",
    "TurnAway",
    "WaitersRefused",
    "WantModel",
    "Withdrawn",
]
