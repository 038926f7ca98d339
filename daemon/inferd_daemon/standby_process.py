"""The standby's side of the supervisor: has its process started, prepared, given away and ended.

Covers: what its comings and goings mean for keeper, ledger and `lifecycle`; for which engine it stands by, and with which
file open. Does not cover when (`standby`). Runs in the loop; never blocks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from inferd_actors import messages as actors
from inferd_actors.engines import ROOMS, missing
from inferd_daemon import lifecycle
from inferd_daemon.crossing import Fence, Order, ToActor
from inferd_daemon.fleet import KEEPER, spawn_orders
from inferd_daemon.ids import Life
from inferd_daemon.lifecycle import State
from inferd_daemon.standby import is_worth_opening

if TYPE_CHECKING:
    from inferd_daemon.catalogue import ModelId, Models, Schema
    from inferd_daemon.cluster import Cluster
    from inferd_daemon.fleet import Fleet
    from inferd_daemon.foresight import Ahead
    from inferd_daemon.standby import Standby
    from inferd_daemon.steward import Steward

log = structlog.get_logger()


USED: Final = 16
"""Models that are remembered as used, for the one to open next."""


class Company(Protocol):
    """The supervisor, as the standby needs it."""

    fleet: Fleet
    steward: Steward

    def is_quiet(self, now_s: float) -> bool:
        """Tell whether no request is unfinished and no model comes or goes."""

    def clock_changed(self) -> None:
        """Something else may be due first than before."""


class StandbyProcess:
    """The one process that has no model."""

    def __init__(
        self,
        standby: Standby,
        catalogue: Models,
        cluster: Cluster,
        post: Callable[[Sequence[Order]], None],
        company: Company,
    ) -> None:
        self._standby = standby
        self._catalogue = catalogue
        self._cluster = cluster
        self._post = post
        self._company = company
        self._engine, self._is_installed = "", False
        """For the next one."""
        self._used: dict[ModelId, None] = {}
        """Models that were loaded, the latest last."""
        self._order = actors.Prepare("")
        """What the present one is to be told."""
        self._is_asking = False
        """Whether a file's header is awaited, to begin with."""
        self._has_moved = False
        """Whether a model came or went since the last look."""
        self.loaded(catalogue.starter_id)

    # --- when

    def look(self, now_s: float) -> None:
        """Start one if its time has come; end one that hangs, or for an engine that is not the one in use any more."""
        self._has_moved = False
        stuck_at_s = self._standby.stuck_at_s
        if stuck_at_s is not None and now_s >= stuck_at_s:
            self.end("it took too long to start", now_s)
        is_quiet = self._company.is_quiet(now_s)
        is_due = self._standby.looks(is_quiet=is_quiet, now_s=now_s)
        if not is_quiet or self._is_asking or not self._is_of_use(now_s):
            return
        latest = self._latest(now_s)
        if is_due:
            self._begin(latest, now_s)
        elif not self._standby.suits(self._engine, str(latest.id) if latest else ""):
            self.end("another model was used since", now_s)

    def next_timer_s(self) -> float | None:
        """Return when `look` is due."""
        if self._has_moved:
            return 0.0
        if self._standby.stuck_at_s is not None:
            return self._standby.stuck_at_s
        due_s = self._standby.next_timer_s()
        return due_s if due_s is not None and not self._is_asking and self._is_of_use(due_s) else None

    def _is_of_use(self, now_s: float) -> bool:
        """Tell whether a model of this engine could be loaded: without one no process is kept for it."""
        return self._is_installed and any(True for _ in self._loadable(now_s))

    def _loadable(self, now_s: float) -> Iterator[Schema]:
        """Yield the models of this engine that could be loaded."""
        view = self._company.fleet.lifecycle.view
        of_engine = (schema for schema in self._catalogue.schemas if schema.engine == self._engine)
        return (schema for schema in of_engine if view(schema.id, now_s).state is State.STORED)

    def _latest(self, now_s: float) -> Schema | None:
        """Return the one of them that was used last; None: none was."""
        loadable = {schema.id: schema for schema in self._loadable(now_s)}
        return next((loadable[model] for model in reversed(self._used) if model in loadable), None)

    def _begin(self, latest: Schema | None, now_s: float) -> None:
        """Start one, with the file of the model used last to be opened: once it is known what that takes."""
        if latest is None:
            self._start(None, None, now_s)
            return
        self._is_asking = True
        self._company.steward.ahead(latest, partial(self._known, latest))

    def _known(self, latest: Schema, ahead: Ahead | None) -> None:
        now_s, self._is_asking = time.monotonic(), False
        if self._standby.looks(is_quiet=self._company.is_quiet(now_s), now_s=now_s):  # a header may have taken a while
            self._start(latest, ahead, now_s)
        self._company.clock_changed()

    def _start(self, latest: Schema | None, ahead: Ahead | None, now_s: float) -> None:
        steward = self._company.steward
        if ahead is not None and not is_worth_opening(ahead.opened_bytes, partial(steward.has_spare, now_s=now_s)):
            ahead = None
        if not steward.stand_by(self._engine, ahead.opened_bytes if ahead else 0, now_s):
            self._standby.refused(now_s)
            log.info("no standby", reason="memory is short")
            return
        self._order = actors.Prepare(self._engine)
        if ahead is not None and latest is not None:
            self._order = actors.Prepare(self._engine, ahead.path, dict(latest.engine_options))
        life = self._company.fleet.lifecycle.set_aside()
        self._standby.began(life, self._engine, now_s, str(latest.id) if latest else "")
        self._post(spawn_orders(self._cluster, life, "model", ""))

    def _is_quiet(self) -> bool:
        return self._company.is_quiet(time.monotonic())

    # --- what happened to it

    def is_one(self, life: Life) -> bool:
        """Tell whether this life has no model yet."""
        return life == self._standby.life

    def came(self, hello: actors.ActorHello) -> None:
        """It has said hello: it is told what to import, and which file to open."""
        life = Life(hello.life)
        self._standby.came(life, hello.pid)
        self._post([ToActor(life, self._order)])

    def said(self, life: Life, message: object, now_s: float) -> None:
        """Take what it, or the keeper, said about it."""
        match message:
            case actors.Prepared(is_open) if self._standby.prepared(life, is_open=is_open):
                log.info("standing by", life=life, engine=self._standby.engine, open=self._standby.open_model or None)
                if self._order.path and not is_open:
                    self._holds_nothing(now_s)
                self._company.fleet.step(lifecycle.StoodBy(life, self._standby.pid), now_s)
                self._company.fleet.know_headers(self._standby.engine, self._is_quiet)
            case actors.LoadFailed():
                self.end(message.message, now_s)
            case actors.Spawned():
                self._standby.came(life, message.pid)
            case _:
                pass

    def _holds_nothing(self, now_s: float) -> None:
        """Give back what was reserved for a file that it has not opened."""
        self._company.steward.standby_gone(now_s)
        if not self._company.steward.stand_by(self._standby.engine, 0, now_s):
            self.end("memory is short", now_s)

    def offer(self, engine: str) -> Life | None:
        """Return the life that a load with this engine may take."""
        return self._standby.offer(engine)

    def taken(self, life: Life, now_s: float) -> None:
        """It is a model's now, and so is its memory."""
        self._standby.taken(life)
        self._company.steward.standby_gone(now_s)

    def loaded(self, model: ModelId) -> None:
        """A model was loaded: it is taken that the next one will be of its engine, if there is much to import."""
        self.used(model)
        engine = self._catalogue.of(model).engine
        if engine != self._engine and ROOMS[engine].needs:
            self._engine = engine
            self._is_installed = not missing(engine)

    def moved(self) -> None:
        """A model's state changed: it may be another one whose file is to be open."""
        if not self._has_moved:
            self._has_moved = True
            self._company.clock_changed()

    def used(self, model: ModelId) -> None:
        """A model was loaded, or was given a request: of those that are stored, the latest is opened ahead of its next load."""
        self._used.pop(model, None)
        self._used[model] = None
        if len(self._used) > USED:
            del self._used[next(iter(self._used))]

    # --- its end

    def end(self, reason: str, now_s: float) -> None:
        """Have it end, if there is one: at once, it does nothing."""
        life = self._standby.ending(now_s)
        if life is not None:
            log.info("standby ends", life=life, reason=reason)
            self._company.fleet.step(lifecycle.Withdrawn(life), now_s)
            self._post([Fence(life), ToActor(KEEPER, actors.Kill(life))])

    def lost(self, life: Life, now_s: float) -> None:
        """Its connection has closed: it is of no use, and gone once the keeper says so."""
        if self.is_one(life):
            self.end("its connection closed", now_s)

    def gone(self, life: Life, now_s: float) -> bool:
        """Its process is gone; return whether it was the standby's."""
        if not self._standby.gone(life, now_s):
            return False
        self._company.fleet.step(lifecycle.Withdrawn(life), now_s)
        self._post([Fence(life)])
        self._company.steward.standby_gone(now_s)
        return True

    def close(self, now_s: float) -> None:
        """End it and start none any more: the daemon stops."""
        self.end("the daemon stops", now_s)
        self._standby.keeper_down()

    def keeper_up(self, now_s: float) -> None:
        """One can be started. An earlier one is not taken over: the keeper has been told to end it."""
        self.keeper_down(now_s)
        self._standby.keeper_up()

    def keeper_down(self, now_s: float) -> None:
        """It is gone, or about to be."""
        life = self._standby.life
        self._standby.keeper_down()
        if life is not None:
            self._post([Fence(life)])
            self._company.steward.standby_gone(now_s)

    @property
    def pid(self) -> int:
        """Its process id; 0 while there is none."""
        return self._standby.pid
