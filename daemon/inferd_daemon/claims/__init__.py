"""Who wants models in memory for their own sake: holds and warm-ups, from the wish to its end. Pure.

Feed `Claims.step` what happened and carry out what it returns, in order. `claim`: the row. `events`: in. `commands`: out.
`machine`: what events do. Does not cover memory (`ledger`), loads (`lifecycle`) nor answering (`custodian`).
"""

from inferd_daemon.claims.claim import Claim, Stage
from inferd_daemon.claims.commands import Answer, Command, LetGo, Refuse, Reserve, Unwant, Want, Warm
from inferd_daemon.claims.events import (
    Asked,
    Closed,
    Ended,
    Event,
    Failed,
    Granted,
    NotReady,
    Ready,
    Refused,
    Renewed,
    SessionEnded,
    Ticked,
)
from inferd_daemon.claims.machine import Claims

__all__ = [
    "Answer",
    "Asked",
    "Claim",
    "Claims",
    "Closed",
    "Command",
    "Ended",
    "Event",
    "Failed",
    "Granted",
    "LetGo",
    "NotReady",
    "Ready",
    "Refuse",
    "Refused",
    "Renewed",
    "Reserve",
    "SessionEnded",
    "Stage",
    "Ticked",
    "Unwant",
    "Want",
    "Warm",
]
