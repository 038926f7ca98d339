"""The service's own actors, one of each kind: router, tracker, vocab. Started anew when they die.

Covers: which of them are wanted, their lives, and the pause after a death; pure. Router and tracker come with the keeper and
hold no requests, so their death ends none. The vocab actor comes when it is first needed; what its death ends: `supervisor`.
The key pool and the remote actor join them when an endpoint is configured.
"""

from __future__ import annotations

from typing import Final

from inferd_actors.messages import Kind
from inferd_daemon.ids import Life

KINDS: Final[tuple[Kind, ...]] = ("router", "tracker")
"""Those that are always there."""
LIVES: Final = 300
"""Life numbers set aside for them per daemon start; with the pauses below they last for more than an hour of deaths."""
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
"""After a death, 1 s doubling to a minute: an attendant that cannot live must not cost much."""
STEADY_S: Final = 60.0
"""One that lived so long is forgiven its earlier deaths: the next pause is the first one again."""


class Attendants:
    """Which attendant has which life, and when a missing one is started again."""

    def __init__(self, first_life: Life) -> None:
        self._next = int(first_life)
        self._end = first_life + LIVES
        self._wanted: dict[Kind, None] = dict.fromkeys(KINDS)
        self._has_keeper = False
        self._living: dict[Life, Kind] = {}
        self._pids: dict[Life, int] = {}
        self._began_s: dict[Kind, float] = {}
        self._due_s: dict[Kind, float] = {}
        self._pause_s: dict[Kind, float] = {}

    def keeper_up(self, now_s: float) -> None:
        """All are to be started now; those of an earlier keeper are gone."""
        self._has_keeper = True
        self._living.clear()
        self._due_s = dict.fromkeys(self._wanted, now_s)

    def keeper_down(self) -> None:
        """None can live, and none can be started."""
        self._has_keeper = False
        self._living.clear()
        self._due_s.clear()

    def want(self, kind: Kind, now_s: float) -> None:
        """Have this kind from now on; nothing changes while it lives, or is to be started anyway."""
        if kind not in self._wanted:
            self._wanted[kind] = None
            if self._has_keeper:
                self._due_s[kind] = now_s

    def due(self, now_s: float) -> list[tuple[Life, Kind]]:
        """Return the attendants to start now, with their new lives."""
        kinds = [kind for kind, due_s in self._due_s.items() if due_s <= now_s]
        return [(self._begin(kind, now_s), kind) for kind in kinds[: self._end - self._next]]

    def _begin(self, kind: Kind, now_s: float) -> Life:
        del self._due_s[kind]
        life = Life(self._next)
        self._next += 1
        self._living[life] = kind
        self._began_s[kind] = now_s
        return life

    def gone(self, life: Life, now_s: float) -> bool:
        """Forget a life and plan the next; return whether it was an attendant's."""
        kind = self._living.pop(life, None)
        if kind is None:
            return False
        steady = now_s - self._began_s[kind] >= STEADY_S
        pause_s = FIRST_PAUSE_S if steady else self._pause_s.get(kind, FIRST_PAUSE_S)
        self._pause_s[kind] = min(LONGEST_PAUSE_S, 2 * pause_s)
        self._due_s[kind] = now_s + pause_s
        return True

    def next_timer_s(self) -> float | None:
        """Return when `due` has something new to say."""
        return min(self._due_s.values(), default=None) if self._next < self._end else None

    def is_one(self, life: Life) -> bool:
        """Return whether this life is an attendant's."""
        return life in self._living

    def life_of(self, kind: Kind) -> Life | None:
        """Return the life of the one of this kind, None while there is none."""
        return next((life for life, one in self._living.items() if one == kind), None)

    def came(self, life: Life, pid: int) -> None:
        """Note the process of a life."""
        self._pids[life] = pid

    def processes(self) -> tuple[tuple[int, Kind], ...]:
        """Return (pid, kind) of the living ones."""
        return tuple((pid, kind) for life, kind in self._living.items() if (pid := self._pids.get(life)))
