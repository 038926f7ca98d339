"""The processes behind the models: their lives, and the orders that begin and end them.

Covers: life numbers, whether the keeper can spawn, and the steps of an end: ask, kill, kill again. Does not cover when
a process should begin or end: that is `transitions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inferd_daemon.ids import Life
from inferd_daemon.lifecycle.commands import Fence, OrderKill, OrderLeave, Spawn, Take
from inferd_daemon.lifecycle.record import Process, Record

if TYPE_CHECKING:
    from inferd_daemon.lifecycle.commands import Command

LEAVE_GRACE_S: Final = 5.0
"""For closing an engine and freeing its memory; what takes longer is killed."""

LEAVE_SLACK_S: Final = 1.0
"""For the order's way to the process and the news of its end back."""

KILL_AGAIN_S: Final = 5.0
"""Until a killed process is known to be gone, the order is repeated: the keeper may have missed it in a restart."""


class Processes:
    """All lives that have begun and are not gone, each with its model's record."""

    def __init__(self, first_life: Life) -> None:
        self._next_life = first_life
        self._by_life: dict[Life, Record] = {}
        self._standing: dict[Life, int] = {}
        """Lives that stand by, and their process ids."""
        self.keeper_is_up = False

    def record_of(self, life: Life) -> Record | None:
        """Return whose process this is; None once it is gone."""
        return self._by_life.get(life)

    def next_life(self) -> Life:
        """Return a number that no life ever had."""
        life = self._next_life
        self._next_life = Life(life + 1)
        return life

    def stood_by(self, life: Life, pid: int) -> None:
        """Have a life without a model that `take` may give to one."""
        if life not in self._by_life:
            self._standing[life] = pid

    def withdrawn(self, life: Life | None = None) -> None:
        """Have this life, or all, stand by no more."""
        for one in [life] if life else list(self._standing):
            self._standing.pop(one, None)

    def begin(self, record: Record, standby: Life | None) -> Spawn | Take:
        """Begin the next life of a model that has no process: with the one that stands by, if it still does."""
        pid = self._standing.pop(standby, None) if standby else None
        if standby is None or pid is None:
            life = self.next_life()
            self._by_life[life], record.process = record, Process(life)
            return Spawn(record.model, life)
        self._by_life[standby] = record
        record.process = Process(standby, pid, greeted=True, stood_by=True)
        return Take(record.model, standby)

    def bury(self, record: Record, process: Process) -> Fence:
        """Forget a process that is gone."""
        del self._by_life[process.life]
        record.process = record.capacity = None
        return Fence(process.life)


def leave(process: Process, now_s: float) -> list[Command]:
    """Ask the process to end, unless it has been; one that cannot be spoken to is killed."""
    if process.ending or not process.greeted:
        return kill(process, now_s)
    process.ending = True
    process.kill_at_s = now_s + LEAVE_GRACE_S + LEAVE_SLACK_S
    return [OrderLeave(process.life, LEAVE_GRACE_S)]


def kill(process: Process, now_s: float) -> list[Command]:
    """Order the end of a process whose end has not been ordered."""
    if process.ending:
        return []
    process.ending = True
    return [kill_again(process, now_s)]


def kill_again(process: Process, now_s: float) -> OrderKill:
    """Order it whatever was ordered before."""
    process.kill_at_s = now_s + KILL_AGAIN_S
    return OrderKill(process.life)
