"""Answers about the list of models itself: schemas, registering, removing, what else there is on this machine.

Covers: one method per operation, each of which ends its request; what a changed list means for models that run. Does not
cover what the list is (`registry`), files that go (`removals`), looking around the machine (`discovery`). Runs in the loop;
files are written and looked for in worker threads.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from inferd import wire
from inferd.errors import InferenceError, InvalidRequest
from inferd.messages.events import (
    Discovered,
    Registered,
    SchemaList,
    Unregistered,
    UpgradeList,
)
from inferd.messages.operations import Discover, ListSchemas, ListUpgrades, Register, Remove, Unregister
from inferd_daemon.answering import Making, answer_later
from inferd_daemon.catalogue import ModelId, Schema, told, upgrades
from inferd_daemon.desk import HERE
from inferd_daemon.lifecycle import FilesChanged, State, View
from inferd_daemon.removals import Removals
from inferd_daemon.requests import as_event
from inferd_daemon.telemetry import report

if TYPE_CHECKING:
    from inferd.messages.schemas import ModelSchema
    from inferd_daemon.fleet import Fleet
    from inferd_daemon.registry import Registry
    from inferd_daemon.requests import Requests
    from inferd_daemon.store import Store
    from inferd_daemon.work import Work

Operation = ListSchemas | Register | Unregister | Remove | Discover | ListUpgrades
"""What is answered here."""

_TOLD_ONLY: Final = ("id", "origin")
"""Fields of a schema on the wire that are no keys of a row."""


class Registrar:
    """Keeps the list and what runs in step."""

    def __init__(
        self,
        *,
        registry: Registry,
        fleet: Fleet,
        requests: Requests,
        store: Store,
        tasks: asyncio.TaskGroup,
        discover: Callable[[], Discovered],
        ceiling_bytes: Callable[[], int],
        check_free: Callable[[ModelId, float], None],
        cancel_pull: Callable[[ModelId], None],
        on_seen: Callable[[], None],
    ) -> None:
        """`discover()`: look around the machine; blocks for seconds at most. `ceiling_bytes()`: memory that models may have.

        `check_free(model, now_s)` raises ResourceBlocked for one that a hold keeps in memory. `cancel_pull(model)`: end its
        download. `on_seen()`: what `look` asked arrivals to wait for is known.
        """
        self._registry = registry
        self._fleet = fleet
        self._requests = requests
        self._tasks = tasks
        self._discover = discover
        self._ceiling_bytes = ceiling_bytes
        self._check_free = check_free
        self._cancel_pull = cancel_pull
        self._on_seen = on_seen
        self._seeing: set[asyncio.Task[None]] = set()
        """They find out which files of changed rows are here."""
        self._removals = Removals(registry, fleet, requests, store, tasks, check_free)
        self._writing = asyncio.Lock()
        """Two changes of the file must not be made of the same rows before."""

    # --- requests

    def answer(self, work: Work, now_s: float) -> None:
        """Serve one request: one of `Operation`."""
        try:
            self._answer(work, now_s)
        except InferenceError as refused:
            self._requests.conclude(work.stream, as_event(refused))

    def _answer(self, work: Work, now_s: float) -> None:
        match work.operation:
            case ListSchemas():
                self._requests.conclude(work.stream, self._schemas())
            case ListUpgrades():
                self._requests.conclude(work.stream, self._upgrades(now_s))
            case Register(schema):
                self._later(work, self._register(schema))
            case Unregister(name):
                self._later(work, self._unregister(work, name))
            case Remove(name):
                self._removals.begin(work, self._registry.find(name), now_s)
            case Discover():
                self._later(work, asyncio.to_thread(self._discover))
            case _:
                raise AssertionError("the desk or an actor serves this")

    def _later(self, work: Work, making: Making) -> None:
        answer_later(work, making, self._requests, self._tasks)

    def _schemas(self) -> SchemaList:
        registry = self._registry
        shown = tuple(told(schema, registry.origin(schema.id)) for schema in registry.schemas)
        return SchemaList(shown, tuple(problem[:4096] for problem in registry.problems))

    def _upgrades(self, now_s: float) -> UpgradeList:
        schemas = self._registry.schemas
        installed = frozenset(one.id for one in schemas if self._fleet.lifecycle.view(one.id, now_s).state in HERE)
        return UpgradeList(upgrades(schemas, installed, self._ceiling_bytes()))

    # --- registered rows

    async def _register(self, schema: ModelSchema) -> Registered:
        table = _row(schema)
        async with self._writing:
            self.look(time.monotonic())
            made = self._registry.checked(schema.id, table)
            name = str(made.id)
            if self._registry.row_of(name) == table:
                return Registered(name, "unchanged")
            is_new = self._registry.row_of(name) is None and not self._registry.is_below(name)
            await self._write(name, table)
        return Registered(name, "added" if is_new else "replaced", self._hint(made))

    async def _unregister(self, work: Work, name: str) -> Unregistered | None:
        async with self._writing:
            self.look(time.monotonic())
            key = name if self._registry.row_of(name) is not None else str(self._registry.find(name).id)
            if self._registry.row_of(key) is None:
                raise self._not_registered(key)
            restored = self._registry.is_below(key)
            if not restored:
                self._check_free(self._registry.find(key).id, time.monotonic())
            await self._write(key, None)
        work.about = self._registry.leaving(key)
        if work.about is not None:
            return None  # `announced` answers when its process has ended
        return Unregistered(key, restored)

    def _not_registered(self, key: str) -> InvalidRequest:
        place = self._registry.origin(ModelId.parse(key))
        where = "the curated list, which comes with inferd" if place == "curated" else "the config: take it out there"
        return InvalidRequest(f"name: {key} was not registered; it stands in {where}", details={"field": "name"})

    async def _write(self, name: str, table: dict[str, object] | None) -> None:
        rows = self._registry.with_row(name, table)
        try:
            await asyncio.to_thread(self._registry.write, rows)
        except OSError as failed:
            raise InferenceError(f"the registered models cannot be written: {failed}") from None
        self.look(time.monotonic())
        if self._seeing:
            await asyncio.wait(self._seeing)

    def _hint(self, schema: Schema) -> str:
        """Return what has to happen before a row has its full effect."""
        view = self._fleet.lifecycle.view(schema.id, time.monotonic())
        if not schema.is_served:
            return f"this version has no engine {schema.engine}: the model can be listed and not asked yet"
        if view.life:
            return f"its process keeps the settings that it was loaded with: `inferd stop {schema.id}` ends it"
        if view.state is State.ABSENT and not schema.is_owned:
            return "its file is not there, or is not the one that its sha256 says: `inferd pull` looks again"
        return ""

    def look(self, now_s: float) -> bool:
        """Put the file of registered rows in force if it has changed; return whether arrivals have to wait for `on_seen`.

        Called with every arrival: microseconds if nothing changed. Until it is known which files of changed rows are here,
        a request for one of them would be refused for want of a file that may be there.
        """
        change = self._registry.reload()
        for schema in change.left:
            self._removals.drain(schema, now_s)
            self._cancel_pull(schema.id)
        if change.changed:
            self._seeing.add(self._tasks.create_task(self._see(change.changed), name="files of registered rows"))
        return bool(self._seeing)

    async def _see(self, changed: Sequence[Schema]) -> None:
        try:
            here = await asyncio.to_thread(lambda: {one.id: self._removals.is_here(one) for one in changed})
            for model in here.keys() & {
                one.id for one in self._registry.schemas
            }:  # one may have been unregistered meanwhile
                self._fleet.step(FilesChanged(model, here[model]), time.monotonic())
        except Exception as bug:  # noqa: BLE001 - in a task of the root group it would end the daemon
            report(bug, "files of registered rows")
        finally:
            self._seeing = {one for one in self._seeing if one is not asyncio.current_task()}
            if not self._seeing:
                self._on_seen()

    def announced(self, view: View) -> None:
        """Go on with what waited for the end of this model's process."""
        if view.life or view.state is State.PULLING:
            return
        self._removals.go_on(view.model)
        if self._registry.let_go(view.model):
            self._requests.conclude_about(view.model, Unregister, Unregistered(str(view.model), restored=False))


def _row(schema: ModelSchema) -> dict[str, object]:
    """Return a schema as its row will be read from the file: what it says, in JSON's types."""
    said = {key: value for key, value in wire.fields_of(schema).items() if key not in _TOLD_ONLY}
    row: dict[str, object] = json.loads(json.dumps(said))
    return row
