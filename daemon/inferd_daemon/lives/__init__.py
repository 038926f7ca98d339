"""Which lives the keeper holds and what becomes of each: orders and facts in, effects out. Pure.

Covers: every decision of the keeper process. Does not cover Ray, processes or sockets: `keeper_process` carries the effects
out and brings back what happened. `facts`: what can happen. `effects`: what is to be done. `table`: the lives themselves.
"""

from inferd_daemon.lives.effects import Begin, Effect, Finish, Leave, Release, Restart, Strike, Tell, Watch
from inferd_daemon.lives.facts import (
    Alone,
    Asked,
    Fact,
    Fell,
    Gone,
    RayBroke,
    RayCame,
    RayFailed,
    Started,
    Ticked,
    Welcomed,
)
from inferd_daemon.lives.table import MAX_LIVES, Lives

__all__ = [
    "MAX_LIVES",
    "Alone",
    "Asked",
    "Begin",
    "Effect",
    "Fact",
    "Fell",
    "Finish",
    "Gone",
    "Leave",
    "Lives",
    "RayBroke",
    "RayCame",
    "RayFailed",
    "Release",
    "Restart",
    "Started",
    "Strike",
    "Tell",
    "Ticked",
    "Watch",
    "Welcomed",
]
