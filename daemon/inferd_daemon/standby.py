"""When a process stands by without a model, for which engine, which file it has open, and when it ends. Pure.

Covers: the one process that has an engine's libraries imported and waits for a model: a load that takes it saves the start of a
process and the import. Where that takes little of what is free it has a file open too, that of the model used last of those
that are not loaded: a load of that one has its weights, vocabulary and cache. It is a convenience and nobody waits for it: it
begins only when the machine is quiet and nobody has to leave for its memory, it is the first to leave when memory is short, and
it comes back with growing pauses if it dies.
Does not cover its processes (`standby_process`) nor which model takes it (`lifecycle`).

ABSENT → STARTING → READY → taken, so ABSENT again. Whoever wants it ended says `ending`; it counts until it is gone.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from inferd_daemon.ids import Life

QUIET_S: Final = 5.0
"""So long nobody asks for anything before one is started: that takes a second of a core, and a conversation goes on sooner."""
FIRST_PAUSE_S: Final = 10.0
LONGEST_PAUSE_S: Final = 600.0
"""After a death or for want of memory, 10 s doubling to ten minutes: one that cannot live must not cost much."""
START_LIMIT_S: Final = 120.0
"""One that does not stand by after this long hangs: as long as a load may go without progress (`lifecycle`)."""

SPARE_TIMES: Final = 4
"""A file is opened ahead of its load only where so many times its bytes are free: nobody has asked for it yet."""
MOST_OPENED_BYTES: Final = 4 * 2**30
"""A larger one is not: a disk that reads 36 MB/s has it within `START_LIMIT_S`."""


class State(enum.Enum):
    """The one process."""

    STARTING = "starting"
    """Ordered, or importing."""
    READY = "ready"
    ENDING = "ending"


@dataclass(slots=True)
class _One:
    life: Life
    engine: str
    stuck_at_s: float
    state: State = State.STARTING
    pid: int = 0
    model: str = ""
    is_open: bool = False


class Standby:
    """Whether one stands by. `is_wanted`: the configuration's word."""

    def __init__(self, *, is_wanted: bool) -> None:
        self._is_wanted = is_wanted
        self._has_keeper = False
        self._one: _One | None = None
        self._quiet_since_s: float | None = None
        self._not_before_s = 0.0
        self._pause_s = FIRST_PAUSE_S

    # --- what is to be done

    def looks(self, *, is_quiet: bool, now_s: float) -> bool:
        """Take note of how busy the service is; return whether one is to be started now."""
        if not is_quiet:
            self._quiet_since_s = None
            return False
        if self._quiet_since_s is None:
            self._quiet_since_s = now_s
        due_s = self._due_s()
        return due_s is not None and now_s >= due_s

    def next_timer_s(self) -> float | None:
        """Return when one is to be started, if it stays quiet; None: not by the clock."""
        return self._due_s()

    def _due_s(self) -> float | None:
        if not self._is_wanted or not self._has_keeper or self._one is not None or self._quiet_since_s is None:
            return None
        return max(self._quiet_since_s + QUIET_S, self._not_before_s)

    @property
    def stuck_at_s(self) -> float | None:
        """When the one that is starting has taken too long and is to be ended; None: none is."""
        one = self._one
        return one.stuck_at_s if one is not None and one.state is State.STARTING else None

    def offer(self, engine: str) -> Life | None:
        """Return the life that a load with this engine may take; it has it once `taken` is told."""
        one = self._one
        return one.life if one is not None and one.state is State.READY and one.engine == engine else None

    # --- what happened

    def keeper_up(self) -> None:
        """One can be started."""
        self._has_keeper = True

    def keeper_down(self) -> None:
        """It is gone with its keeper, and none can be started."""
        self._has_keeper = False
        self._one = None

    def began(self, life: Life, engine: str, now_s: float, model: str = "") -> None:
        """It was ordered. `model`: the one used last, whether its file is to be opened or not."""
        self._one = _One(life, engine, now_s + START_LIMIT_S, model=model)

    def came(self, life: Life, pid: int) -> None:
        """Its process is there."""
        if self._one is not None and self._one.life == life:
            self._one.pid = pid

    def prepared(self, life: Life, *, is_open: bool = False) -> bool:
        """It has imported everything; return whether it stands by now: not if it is to end. `is_open`: its model's file is."""
        one = self._one
        if one is None or one.life != life or one.state is not State.STARTING:
            return False
        one.state, one.is_open, self._pause_s = State.READY, is_open, FIRST_PAUSE_S
        return True

    def taken(self, life: Life) -> None:
        """It is a model's now."""
        if self._one is not None and self._one.life == life:
            self._one = self._quiet_since_s = None

    def refused(self, now_s: float) -> None:
        """There was no memory for one."""
        self._pause(now_s)

    def ending(self, now_s: float) -> Life | None:
        """Have it end; return whom to kill, None if there is none or it was told before."""
        one = self._one
        if one is None or one.state is State.ENDING:
            return None
        one.state = State.ENDING
        self._pause(now_s)
        return one.life

    def gone(self, life: Life, now_s: float) -> bool:
        """Its process is gone; return whether it was the one."""
        one = self._one
        if one is None or one.life != life:
            return False
        self._one = None
        if one.state is not State.ENDING:
            self._pause(now_s)
        return True

    def _pause(self, now_s: float) -> None:
        self._not_before_s = now_s + self._pause_s
        self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s)

    # --- what there is

    @property
    def life(self) -> Life | None:
        """The life of the one that is there, or is to be, or is about to be gone."""
        return self._one.life if self._one is not None else None

    @property
    def pid(self) -> int:
        """Its process id; 0 while there is none."""
        return self._one.pid if self._one is not None else 0

    @property
    def is_ready(self) -> bool:
        """Whether it could be given a model now."""
        return self._one is not None and self._one.state is State.READY

    @property
    def engine(self) -> str:
        """Whose libraries it has, or will have; empty: there is none."""
        return self._one.engine if self._one is not None else ""

    def suits(self, engine: str, model: str) -> bool:
        """Tell whether it is what one that began now would be; also while there is none."""
        one = self._one
        return one is None or (one.engine, one.model) == (engine, model)

    @property
    def open_model(self) -> str:
        """The model whose file it has open; empty: none."""
        return self._one.model if self._one is not None and self._one.is_open else ""


def is_worth_opening(opened_bytes: int, has_spare: Callable[[int], bool]) -> bool:
    """Tell whether a file is opened ahead of its load. `has_spare(bytes)`: so much more would fit with nobody leaving."""
    return opened_bytes <= MOST_OPENED_BYTES and has_spare(SPARE_TIMES * opened_bytes)
