"""Who may use how much memory: reservations before loads, who leaves for whom, and why. Pure.

Feed `Ledger.step` what happened and carry out what it returns, in order. The same events at the same times give the same
commands. `events`: in. `commands`: out. `machine`: what events do. `judging`, `verdict`: one load's fate. `leaving`: who could
leave. `victims`: the cheapest set that does. `habits`: chance of use. `accounts`, `holding`: the books. `room`: limits.
`estimate`: a first guess. `story`, `words`: what is told of decisions.
See also: `lifecycle` (processes), `steward` (the effects), `memory` (readings).
"""

from inferd_daemon.ledger.commands import Command, Evict, Grant, GrantHold, Refuse, ShowWait
from inferd_daemon.ledger.estimate import PROCESS_BYTES, first_estimate_bytes, prepared_bytes
from inferd_daemon.ledger.events import (
    Asked,
    Event,
    Failed,
    HoldAsked,
    HoldEnded,
    Kept,
    Left,
    Loaded,
    Measured,
    Pinned,
    Released,
    Rested,
    RoomRead,
    Ticked,
    Used,
)
from inferd_daemon.ledger.holding import NEVER_S, Holding, HoldNo, Need, Phase
from inferd_daemon.ledger.leaving import KEEP_ALIVE_S, KeepAlive
from inferd_daemon.ledger.machine import Ledger
from inferd_daemon.ledger.room import GPU, RAM, Amount, Device, Room, Terms
from inferd_daemon.ledger.story import Decision

__all__ = [
    "GPU",
    "KEEP_ALIVE_S",
    "NEVER_S",
    "PROCESS_BYTES",
    "RAM",
    "Amount",
    "Asked",
    "Command",
    "Decision",
    "Device",
    "Event",
    "Evict",
    "Failed",
    "Grant",
    "GrantHold",
    "HoldAsked",
    "HoldEnded",
    "HoldNo",
    "Holding",
    "KeepAlive",
    "Kept",
    "Ledger",
    "Left",
    "Loaded",
    "Measured",
    "Need",
    "Phase",
    "Pinned",
    "Refuse",
    "Released",
    "Rested",
    "Room",
    "RoomRead",
    "ShowWait",
    "Terms",
    "Ticked",
    "Used",
    "first_estimate_bytes",
    "prepared_bytes",
]
