"""One client of the bridge: reads it, carries out what `conversation` orders, and owns the jobs that come of that.

Covers: tasks and waiting. When `run` returns, whyever, every job has been cancelled. Three things wait for a client that takes
nothing: what is said to it, the job that says it, and the reading of it; after SLOW_READER_S it is let go.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final, assert_never

from inferd.errors import InferenceError
from inferd_bridges.wyoming import asked, jobs
from inferd_bridges.wyoming.conversation import Conversation
from inferd_bridges.wyoming.feeds import Feeds
from inferd_bridges.wyoming.framing import Malformed, read_event, written
from inferd_bridges.wyoming.orders import (
    Close,
    Drop,
    Feed,
    Finish,
    Left,
    Listen,
    Look,
    Looked,
    LookFailed,
    Order,
    Say,
    Speak,
    Wrong,
)

if TYPE_CHECKING:
    from typing import Any

    from wyoming.event import Event

    from inferd_bridges.wyoming.daemon import Daemon
    from inferd_bridges.wyoming.orders import Happening

SLOW_READER_S: Final = 30.0
"""How long a client may take nothing of what is said to it; its stream has been cancelled by the daemon after 10 s of that."""
CLOSING_S: Final = 2.0
"""For the last words to be taken."""


class Connection:
    """One client's time with us."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, daemon: Daemon) -> None:
        self._reader = reader
        self._writer = writer
        self._daemon = daemon
        self._conversation = Conversation()
        self._jobs: dict[int, tuple[asyncio.Task[None], Feeds[Any]]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._is_over = asyncio.Event()

    def end(self) -> None:
        """Have `run` return soon."""
        self._is_over.set()

    async def run(self) -> None:
        """Serve the client until it leaves or `end` is called."""
        try:
            with suppress(OSError):  # it went while something was said to it
                await self._serve()
        finally:
            await self._close()

    async def _serve(self) -> None:
        try:
            async with asyncio.TaskGroup() as self._tasks:
                reading = self._tasks.create_task(self._read())
                await self._is_over.wait()
                self._happen(Left())
                for task in (reading, self._looking, *(task for task, _ in self._jobs.values())):
                    if task:
                        task.cancel()
        except* OSError as gone:
            raise OSError("the client is gone") from gone

    async def _close(self) -> None:
        self._writer.close()
        try:
            async with asyncio.timeout(CLOSING_S):
                await self._writer.wait_closed()
        except OSError:  # TimeoutError is one
            self._writer.transport.abort()

    async def _read(self) -> None:
        try:
            while event := await read_event(self._reader):
                if (happening := _read(event)) is not None:
                    await self._tell(happening)
                for _, feeds in tuple(self._jobs.values()):
                    await feeds.room()
        except Malformed:
            pass  # what follows cannot be understood
        finally:
            self.end()

    async def _tell(self, happening: Happening) -> None:
        """Do what is to be done about something; returns when the client has taken what was said to it."""
        self._happen(happening)
        async with asyncio.timeout(SLOW_READER_S):
            await self._writer.drain()

    def _happen(self, happening: Happening) -> None:
        for order in self._conversation.step(happening):
            self._carry_out(order)

    def _carry_out(self, order: Order) -> None:
        match order:
            case Say(event):
                self._writer.write(written(event))
            case Look():
                self._looking = self._tasks.create_task(self._look())
            case Listen(job):
                heard = Feeds(order.fed, is_whole=order.is_whole)
                self._begin(job, jobs.listen(order, heard, self._daemon, self._tell), heard)
            case Speak(job):
                text = Feeds(order.fed, is_whole=order.is_whole)
                self._begin(job, jobs.speak(order, text, self._daemon, self._tell), text)
            case Feed(job, piece):
                if job in self._jobs:
                    self._jobs[job][1].put(piece)
            case Finish(job):
                if job in self._jobs:
                    self._jobs[job][1].finish()
            case Drop(job):
                if job in self._jobs:
                    self._jobs[job][0].cancel()
            case Close():
                self.end()
            case _:
                assert_never(order)

    def _begin(self, job: int, doing: Any, feeds: Feeds[Any]) -> None:  # noqa: ANN401 - a coroutine
        task = self._tasks.create_task(doing)
        self._jobs[job] = task, feeds
        task.add_done_callback(lambda _: self._done(job))

    def _done(self, job: int) -> None:
        _, feeds = self._jobs.pop(job)
        feeds.leave()

    async def _look(self) -> None:
        try:
            await self._tell(Looked(await self._daemon.look()))
        except InferenceError as error:
            await self._tell(LookFailed(error))


def _read(event: Event) -> Happening | None:
    try:
        return asked.read(event)
    except InferenceError as error:
        return Wrong(event.type, error)
