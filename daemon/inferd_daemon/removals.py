"""Models' files that are to go: once nobody uses them, and only those that inferd fetched itself.

Covers: draining, deleting, and what a deleted file means for other models. Does not cover where files are (`store`). Runs in
the loop; files are deleted and looked for in worker threads. A removal, once begun, goes on when the app that asked leaves.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from inferd import wire
from inferd.errors import InferenceError, ResourceBlocked
from inferd.messages.events import Error, Removed, Terminal
from inferd.messages.operations import Remove
from inferd_daemon.catalogue import ModelId, Schema
from inferd_daemon.desk import HERE
from inferd_daemon.lifecycle import FilesChanged, State, UnloadWanted
from inferd_daemon.refusal import own_fault, refusal
from inferd_daemon.telemetry import report

if TYPE_CHECKING:
    from inferd_daemon.fleet import Fleet
    from inferd_daemon.registry import Registry
    from inferd_daemon.requests import Requests
    from inferd_daemon.store import Store
    from inferd_daemon.work import Work


class Removals:
    """Removals that were asked for and wait for the end of a process."""

    def __init__(
        self,
        registry: Registry,
        fleet: Fleet,
        requests: Requests,
        store: Store,
        tasks: asyncio.TaskGroup,
        check_free: Callable[[ModelId, float], None],
    ) -> None:
        """`check_free(model, now_s)` raises ResourceBlocked for one that a hold keeps in memory."""
        self._registry = registry
        self._fleet = fleet
        self._requests = requests
        self._store = store
        self._tasks = tasks
        self._check_free = check_free
        self._waiting: dict[ModelId, Schema] = {}

    def begin(self, work: Work, schema: Schema, now_s: float) -> None:
        """Answer a request to remove a model's file, now or when it is gone. Raises ResourceBlocked."""
        if not schema.is_owned:
            self._requests.conclude(work.stream, Removed(str(schema.id), 0, note=_why_kept(schema)))
            return
        if self._fleet.lifecycle.view(schema.id, now_s).state is State.PULLING:
            text = f"{schema.id} is being fetched: remove it when that has ended"
            raise ResourceBlocked(text, details={"model": str(schema.id), "cause": "pulling"})
        self._check_free(schema.id, now_s)
        work.about = schema.id
        self._waiting[schema.id] = schema
        self.drain(schema, now_s)

    def drain(self, schema: Schema, now_s: float) -> None:
        """Have what runs on a model end, and what waits for it be refused: without its file there is no next life."""
        self._fleet.step(FilesChanged(schema.id, stored=False), now_s)
        self._fleet.step(UnloadWanted(schema.id), now_s)

    def go_on(self, model: ModelId) -> None:
        """Delete the file that was to go, if there is one, now that no process has it."""
        schema = self._waiting.pop(model, None)
        if schema is not None:
            self._tasks.create_task(self._delete(schema), name=f"remove {model}")

    def is_here(self, schema: Schema) -> bool:
        """Tell whether a model's file is on this disk. Looks at its size and time."""
        try:
            return self._store.has(schema)
        except OSError:  # it may not be looked at: whoever wants it is told so when it is loaded
            return False

    async def _delete(self, schema: Schema) -> None:
        event: Terminal
        try:
            event = await self._deleted(schema)
        except Exception as bug:  # noqa: BLE001 - in a task of the root group it would end the daemon
            report(bug, wire.tag(Remove))
            event = own_fault(bug)
        self._requests.conclude_about(schema.id, Remove, event)

    async def _deleted(self, schema: Schema) -> Removed | Error:
        freed_bytes, problem = 0, ""
        try:
            freed_bytes = await asyncio.to_thread(self._store.remove, schema, self._registry.schemas)
        except OSError as failed:
            problem = str(failed)
        also = await self._take_stock(schema.id)  # after a failure, too: the file may be there still
        if problem:
            return refusal(InferenceError, f"the file of {schema.id} cannot be deleted: {problem}")
        return Removed(str(schema.id), freed_bytes, also, "" if freed_bytes else self._why_nothing(schema))

    def _why_nothing(self, schema: Schema) -> str:
        is_shared = self._store.size_bytes(schema) > 0
        return "its files stay: other models that are stored have them, too" if is_shared else "it was not stored"

    async def _take_stock(self, model: ModelId) -> tuple[str, ...]:
        """Tell `lifecycle` which files are gone; return the other models that lost theirs: two can share one file."""
        now_s = time.monotonic()
        stored = [
            one
            for one in self._registry.schemas
            if one.is_owned and (one.id == model or self._fleet.lifecycle.view(one.id, now_s).state in HERE)
        ]
        here = await asyncio.to_thread(lambda: {one.id: self.is_here(one) for one in stored})
        listed = here.keys() & {one.id for one in self._registry.schemas}  # one may have been unregistered meanwhile
        for one in sorted(listed):
            self._fleet.step(FilesChanged(one, here[one]), time.monotonic())
        return tuple(str(one) for one in sorted(listed - {model}) if not here[one])


def _why_kept(schema: Schema) -> str:
    if schema.engine == "remote":
        return "it runs elsewhere and has no file here"
    if schema.engine == "echo":
        return "it needs no file"
    return (
        "its file is not inferd's own and stays where it is; `inferd unregister` takes a registered model off the list"
    )
