"""The life of every model: which process it has, whether it answers, when it may be tried again. Pure.

Feed `Lifecycle.step` what happened and carry out what it returns, in order; feed events that come of carrying them out
only after the whole list. The same events at the same times give the same commands.
`states`: the words. `table`: which follows which. `events`: in. `commands`: out. `machine`: what events do.
`transitions`: what states ask for. `setbacks`: failures and their delays. `record`: what is known of one model.
`processes`: lives and their ends.
See also: `scheduler` (who is served next), `keeper` (who starts processes).
"""

from inferd_daemon.lifecycle.commands import (
    Announce,
    Command,
    FailWaiters,
    Fence,
    OrderKill,
    OrderLeave,
    OrderLoad,
    Release,
    Reserve,
    ShowProgress,
    Spawn,
    StartPull,
    Take,
)
from inferd_daemon.lifecycle.events import (
    Delayed,
    Emptied,
    Event,
    Evicted,
    FilesChanged,
    Gone,
    Greeted,
    Hung,
    KeeperDown,
    KeeperUp,
    LoadCause,
    Loaded,
    LoadFailed,
    MemoryRefused,
    Progressed,
    Pulled,
    PullFailed,
    PullWanted,
    Reserved,
    Served,
    Spawned,
    StoodBy,
    Ticked,
    UnloadWanted,
    Unwanted,
    Wanted,
    Withdrawn,
)
from inferd_daemon.lifecycle.machine import Lifecycle
from inferd_daemon.lifecycle.record import Capacity, View
from inferd_daemon.lifecycle.states import State

__all__ = [
    "Announce",
    "Capacity",
    "Command",
    "Delayed",
    "Emptied",
    "Event",
    "Evicted",
    "FailWaiters",
    "Fence",
    "FilesChanged",
    "Gone",
    "Greeted",
    "Hung",
    "KeeperDown",
    "KeeperUp",
    "Lifecycle",
    "LoadCause",
    "LoadFailed",
    "Loaded",
    "MemoryRefused",
    "OrderKill",
    "OrderLeave",
    "OrderLoad",
    "Progressed",
    "PullFailed",
    "PullWanted",
    "Pulled",
    "Release",
    "Reserve",
    "Reserved",
    "Served",
    "ShowProgress",
    "Spawn",
    "Spawned",
    "StartPull",
    "State",
    "StoodBy",
    "Take",
    "Ticked",
    "UnloadWanted",
    "Unwanted",
    "View",
    "Wanted",
    "Withdrawn",
]
