"""The attendants' side of the supervisor: has them started, and looks after the one that serves requests, the vocab actor.

Covers: what their comings and goings mean for processes and requests. Does not cover when which is started (`attendants`), nor
the requests themselves (`requests`). Runs in the loop; never blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import structlog

from inferd_actors import messages as actors
from inferd_daemon.catalogue import VOCAB
from inferd_daemon.crossing import Order, ToActor
from inferd_daemon.fleet import spawn_orders
from inferd_daemon.ids import Life

if TYPE_CHECKING:
    from inferd_daemon.attendants import Attendants
    from inferd_daemon.cluster import Cluster

log = structlog.get_logger()


class Company(Protocol):
    """The supervisor, as attendants need it."""

    def fence(self, life: Life, now_s: float) -> None:
        """Have nothing of this life count any more, end its process and its streams."""

    def vocab_ready(self, life: Life, slots: int, now_s: float) -> None:
        """The vocab actor takes requests."""


class Attendance:
    """Every attendant's process."""

    def __init__(
        self,
        attendants: Attendants,
        cluster: Cluster,
        post: Callable[[Sequence[Order]], None],
        company: Company,
    ) -> None:
        self._attendants = attendants
        self._cluster = cluster
        self._post = post
        self._company = company

    def start_due(self, now_s: float) -> None:
        """Start those whose time has come."""
        for life, kind in self._attendants.due(now_s):
            self._post(spawn_orders(self._cluster, life, kind, kind))

    def want_vocab(self, now_s: float) -> None:
        """Have a vocab actor there from now on: requests wait for it."""
        self._attendants.want("vocab", now_s)
        self.start_due(now_s)

    def keeper_up(self, now_s: float) -> None:
        """Start all anew."""
        self._end_vocab(now_s)
        self._attendants.keeper_up(now_s)
        self.start_due(now_s)

    def keeper_down(self, now_s: float) -> None:
        """All are gone, or about to be."""
        self._end_vocab(now_s)
        self._attendants.keeper_down()

    def close(self) -> None:
        """Start none any more: the daemon stops. What the vocab actor works on may still end."""
        self._attendants.keeper_down()

    def came(self, hello: actors.ActorHello) -> None:
        """One has said hello; the vocab actor is told to begin."""
        life = Life(hello.life)
        self._attendants.came(life, hello.pid)
        if hello.kind == "vocab":
            self._post([ToActor(life, actors.Load(str(VOCAB), "vocab", "", {}))])

    def loaded(self, life: Life, loaded: actors.Loaded, now_s: float) -> None:
        """One takes requests: the vocab actor; the others say no such thing."""
        if life == self._attendants.life_of("vocab"):
            self._company.vocab_ready(life, loaded.slots, now_s)

    def lost(self, life: Life, now_s: float) -> None:
        """A connection has closed. The vocab actor's requests must not wait for the keeper to tell its end."""
        if life == self._attendants.life_of("vocab"):
            self.gone(life, "its connection closed", now_s)

    def gone(self, life: Life, reason: str, now_s: float) -> bool:
        """End what is left of a life, and plan the next; return whether it was an attendant's."""
        if not self._attendants.gone(life, now_s):
            return False
        log.warning("attendant died", life=life, reason=reason)
        self._company.fence(life, now_s)
        return True

    def _end_vocab(self, now_s: float) -> None:
        life = self._attendants.life_of("vocab")
        if life is not None:
            self._company.fence(life, now_s)
