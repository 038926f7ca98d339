"""The lives that the keeper holds, and Ray's state as far as they are concerned.

A life is STARTING from its order until Ray has its process, LIVING from then on, ENDING once it was killed or Ray told of
its death; `died` is sent when its process is gone, never before, because the ledger gives its memory away on that word.
Every spawn is answered by `spawned` or `died`, every `spawned` is followed by one `died`; a kill of what is not held is
answered by `died` too, so that no order waits for ever. A life that was begun without a model is given one at most.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from inferd_actors.messages import Assign, Died, HeldLife, KeeperReady, KeeperTrouble, Kill, Shutdown, Spawn, Spawned
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

NEVER_S: Final = float("inf")
MAX_LIVES: Final = 256
"""Bounds the keeper's queues and threads, one watcher per life; a machine has memory for fewer models."""
START_LIMIT_S: Final = 60.0
"""A process takes 0.5 to 1.5 s; a share of GPU that Ray does not have would be waited for without end or error."""
END_LIMIT_S: Final = 2.0
"""Ray's kill takes milliseconds; after this the process is killed without Ray."""
UP_LIMIT_S: Final = 120.0
"""Three starts of Ray, each given up by Ray itself after some 30 s. A Ray that hangs longer needs a new process."""
TROUBLE_GRACE_S: Final = 5.0
"""How long streams may run on when Ray is broken: actors outlive their raylet by some 15 s, loads wait meanwhile."""


class Phase(enum.Enum):
    """Ray's state, as far as lives are concerned."""

    COMING = "coming"
    """It starts, or starts again: no lives, no spawns."""
    UP = "up"
    BROKEN = "broken"
    """One of its two servers died; actors may still finish what they do."""
    LEAVING = "leaving"


class State(enum.Enum):
    """One life's state."""

    STARTING = "starting"
    LIVING = "living"
    ENDING = "ending"


@dataclass(slots=True)
class _Life:
    order: Spawn
    state: State = State.STARTING
    pid: int = 0
    reason: str = "its process ended"
    limit_s: float = NEVER_S
    """When patience with its present state ends."""


class Lives:
    """The keeper's lives. `step` is the only way in; it returns what is to be done, in order."""

    def __init__(self, now_s: float, *, alone_limit_s: float) -> None:
        """`alone_limit_s`: how long the keeper waits for a daemon before it ends."""
        self._lives: dict[int, _Life] = {}
        self._phase = Phase.COMING
        self._ray_pids: tuple[int, ...] = ()
        self._head = 0
        self._trouble = ""
        self._restart_s = NEVER_S
        self._up_until_s = now_s + UP_LIMIT_S
        self._alone_limit_s = alone_limit_s
        self._alone_until_s = now_s + alone_limit_s

    def __len__(self) -> int:
        return len(self._lives)

    @property
    def next_s(self) -> float:
        """Return when `Ticked` is needed next."""
        return min(
            (self._restart_s, self._up_until_s, self._alone_until_s, *(life.limit_s for life in self._lives.values()))
        )

    def step(self, fact: Fact, now_s: float) -> list[Effect]:
        """Return what follows from one fact. Facts about lives that are over change nothing."""
        return list(self._follow(fact, now_s))

    def _follow(self, fact: Fact, now_s: float) -> Iterator[Effect]:
        match fact:
            case Spawn():
                yield from self._spawn(fact, now_s)
            case Assign():
                yield from self._assign(fact, now_s)
            case Kill():
                yield from self._kill(fact.life, now_s)
            case Started():
                yield from self._started(fact)
            case Fell():
                yield from self._fell(fact, now_s)
            case Gone():
                yield from self._gone(fact.life, now_s)
            case Welcomed():
                self._alone_until_s = NEVER_S
                yield from self._whole_picture()
            case Alone() if self._phase is not Phase.LEAVING:
                self._alone_until_s = now_s + self._alone_limit_s
            case RayCame():
                yield from self._ray_came(fact, now_s)
            case RayBroke():
                yield from self._ray_broke(fact, now_s)
            case RayFailed():
                self._trouble = fact.reason
                yield Tell(KeeperTrouble(fact.reason))
                yield from self._leave(fact.reason, failed=True)
            case Shutdown():
                yield from self._leave("told by the daemon")
            case Asked():
                yield from self._leave(fact.reason)
            case Ticked():
                yield from self._ticked(now_s)

    def _spawn(self, order: Spawn, now_s: float) -> Iterator[Effect]:
        if order.life in self._lives:
            return  # a number is given once; answering this one would tell of the other's death
        if self._phase is not Phase.UP:
            yield Tell(Died(order.life, f"not started: Ray is {self._phase.value}"))
        elif len(self._lives) >= MAX_LIVES:
            yield Tell(Died(order.life, f"not started: {len(self._lives)} lives are held, {MAX_LIVES} may be"))
        else:
            self._lives[order.life] = _Life(order, limit_s=now_s + START_LIMIT_S)
            yield Begin(order)

    def _assign(self, fact: Assign, now_s: float) -> Iterator[Effect]:
        """Book a life that began without a model as this one's. One that has another is ended: it must not serve as two."""
        life = self._lives.get(fact.life)
        if life is None:
            yield Tell(Died(fact.life, "it was not held"))
        elif life.order.kind == "model" and life.order.model in ("", fact.model):
            life.order = replace(life.order, model=fact.model)
        else:
            yield from self._kill(fact.life, now_s)

    def _kill(self, number: int, now_s: float) -> Iterator[Effect]:
        life = self._lives.get(number)
        if life is None:
            yield Tell(Died(number, "it was not held"))
        elif life.state is not State.ENDING:
            life.state, life.reason, life.limit_s = State.ENDING, "killed by order", now_s + END_LIMIT_S
            yield Strike(life.pid) if self._phase is Phase.BROKEN else Finish(number)

    def _started(self, fact: Started) -> Iterator[Effect]:
        life = self._lives.get(fact.life)
        if life is None:
            yield Strike(fact.pid)  # it was given up
            return
        life.pid = fact.pid
        if life.state is State.STARTING:
            life.state, life.limit_s = State.LIVING, NEVER_S
            yield Tell(Spawned(fact.life, fact.pid))
        yield Watch(fact.life, fact.pid)

    def _fell(self, fact: Fell, now_s: float) -> Iterator[Effect]:
        life = self._lives.get(fact.life)
        if life is None:
            return
        if not life.pid:
            yield from self._over(fact.life, life.reason if life.state is State.ENDING else fact.reason, now_s)
        elif life.state is not State.ENDING:
            life.state, life.reason, life.limit_s = State.ENDING, fact.reason, now_s + END_LIMIT_S

    def _gone(self, number: int, now_s: float) -> Iterator[Effect]:
        life = self._lives.get(number)
        if life is not None:
            yield from self._over(number, life.reason, now_s)

    def _over(self, number: int, reason: str, now_s: float) -> Iterator[Effect]:
        del self._lives[number]
        yield Release(number, self._pids())
        yield Tell(Died(number, reason))
        yield from self._restart_if_due(now_s)

    def _pids(self) -> frozenset[int]:
        return frozenset(life.pid for life in self._lives.values() if life.pid)

    def _whole_picture(self) -> Iterator[Effect]:
        if self._phase is Phase.UP:
            yield Tell(KeeperReady(tuple(map(_held, self._lives.values())), self._ray_pids))
        elif self._trouble:
            yield Tell(KeeperTrouble(self._trouble))

    def _ray_came(self, fact: RayCame, now_s: float) -> Iterator[Effect]:
        if self._phase is Phase.LEAVING:
            return
        self._phase, self._head, self._ray_pids, self._trouble = Phase.UP, fact.head, fact.pids, ""
        self._up_until_s = NEVER_S
        for number in [number for number, life in self._lives.items() if not life.pid]:
            yield from self._over(number, self._lives[number].reason, now_s)  # the earlier Ray took them along
        yield from self._whole_picture()

    def _ray_broke(self, fact: RayBroke, now_s: float) -> Iterator[Effect]:
        if self._phase is not Phase.UP or fact.head != self._head:
            return  # it is known, or was meant
        self._phase, self._trouble = Phase.BROKEN, fact.reason
        self._restart_s = now_s + TROUBLE_GRACE_S
        yield Tell(KeeperTrouble(fact.reason))
        yield from self._restart_if_due(now_s)

    def _restart_if_due(self, now_s: float) -> Iterator[Effect]:
        if self._phase is not Phase.BROKEN or (self._pids() and now_s < self._restart_s):
            return
        self._phase, self._restart_s, self._up_until_s = Phase.COMING, NEVER_S, now_s + UP_LIMIT_S
        for life in self._lives.values():
            life.state, life.reason, life.limit_s = State.ENDING, self._trouble, NEVER_S
            if life.pid:
                yield Strike(life.pid)
        yield Restart()

    def _leave(self, reason: str, *, failed: bool = False) -> Iterator[Effect]:
        if self._phase is Phase.LEAVING:
            return
        self._phase = Phase.LEAVING
        self._restart_s = self._up_until_s = self._alone_until_s = NEVER_S
        for number, life in self._lives.items():
            life.limit_s = NEVER_S  # the end of Ray is the end of them all
            if life.state is not State.ENDING:
                life.state, life.reason = State.ENDING, reason
                yield Finish(number)
        yield Leave(reason, failed)

    def _ticked(self, now_s: float) -> Iterator[Effect]:
        if now_s >= self._alone_until_s:
            yield from self._leave(f"no daemon for {self._alone_limit_s:.0f} s")
        if now_s >= self._up_until_s:
            yield from self._leave(f"Ray was not up within {UP_LIMIT_S:.0f} s", failed=True)
        yield from self._restart_if_due(now_s)
        for number in [number for number, life in self._lives.items() if now_s >= life.limit_s]:
            life = self._lives[number]
            if life.state is State.STARTING:
                life.state, life.reason = State.ENDING, f"Ray had no process for it within {START_LIMIT_S:.0f} s"
                life.limit_s = now_s + END_LIMIT_S
                yield Finish(number)
            elif life.pid:
                life.limit_s = now_s + END_LIMIT_S
                yield Strike(life.pid)
            else:
                yield from self._over(number, life.reason, now_s)


def _held(life: _Life) -> HeldLife:
    order = life.order
    digest = hashlib.sha256(order.secret.encode()).hexdigest()
    return HeldLife(order.life, order.kind, order.model, life.pid, digest)
