"""Streams of the asyncio client: iterate to read, leave to cancel; and how deliveries come into the event loop.

Covers: waiting for events in a task, leaving. The loop itself reads what comes (`pump`). See also: `aio_duplex`, streams that
are fed; `streams`, the same for threads.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from inferd import endings
from inferd.calls import UNREAD, is_state
from inferd.intake import Intake, Only
from inferd.keeping import LOADING
from inferd.messages import events
from inferd.messages.events import Loading
from inferd.reply import GenerateEvent, Reply, ReplyView

if TYPE_CHECKING:
    from types import TracebackType

    from inferd.calls import Item, Mailbox
    from inferd.drafts import Draft
    from inferd.intake import View
    from inferd.keeping import OnProgress
    from inferd.line import Line

E = TypeVar("E")
T = TypeVar("T", bound=events.Terminal)


class Box:
    """A mailbox inside one event loop; one task reads."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._waiter: asyncio.Future[None] | None = None

    def put(self, items: list[Item], /) -> None:
        """Take what arrived and wake the reader; called in the loop. State that nobody reads is dropped."""
        if len(self._items) >= UNREAD and is_state(items):
            return
        self._items.extend(items)
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    def taken(self) -> list[Item]:
        """Return what is there."""
        items, self._items = self._items, []
        return items

    async def get(self) -> list[Item]:
        """Return what has arrived, at least one item. Raises RuntimeError for a second reader."""
        if self._waiter:
            raise RuntimeError("two tasks read one stream: give it one reader")
        while not self._items:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self.taken()


class Bound:
    """The event loop that a client belongs to, in this process."""

    def __init__(self) -> None:
        self._bound: tuple[int, asyncio.AbstractEventLoop] | None = None
        self._thread = 0
        """The loop's, when it was bound."""
        self._arrived: deque[dict[Mailbox, list[Item]]] = deque()

    def bind(self) -> None:
        """Take the running loop, at the first call. Raises RuntimeError in another one."""
        here = os.getpid(), asyncio.get_running_loop()
        if self._bound is None or self._bound[0] != here[0]:
            self._bound, self._thread = here, threading.get_ident()
        elif self._bound != here:
            raise RuntimeError("this AsyncClient belongs to another event loop: make a client in each loop")

    def post(self, deliveries: dict[Mailbox, list[Item]]) -> None:
        """Carry deliveries into the loop, behind those before them; called by whoever holds the line, most often there."""
        self._arrived.append(deliveries)
        try:
            if threading.get_ident() == self._thread:
                self._spread()
            elif self._bound:
                self._bound[1].call_soon_threadsafe(self._spread)
        except RuntimeError:
            return  # the loop is closed: whoever waited there is gone

    def watch(self, descriptor: int, look: Callable[[], None]) -> bool:
        """Have the loop call `look` whenever the descriptor is readable; False: the loop is closed."""
        return self._soon(lambda loop: loop.add_reader(descriptor, look))

    def forget(self, descriptor: int) -> None:
        """Watch it no more and close it."""

        def close(loop: asyncio.AbstractEventLoop) -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)

        if not self._soon(close):
            os.close(descriptor)

    def _soon(self, work: Callable[[asyncio.AbstractEventLoop], object]) -> bool:
        if self._bound is None:
            return False
        try:
            self._bound[1].call_soon_threadsafe(work, self._bound[1])
        except RuntimeError:  # it is closed
            return False
        return True

    def _spread(self) -> None:
        while self._arrived:
            for mailbox, items in self._arrived.popleft().items():
                mailbox.put(items)


class AsyncStream(AsyncIterable[E], Generic[E]):
    """Events of one request, in order, each awaited.

    Leaving cancels at once: `aclose()`, the end of an `async with` block, `break` or an exception in an `async for` over
    it (the task's own cancellation too), and dropping the last reference. A stream that was left, or failed, raises its
    error from then on; only a complete one ends. One task reads.
    """

    def __init__(
        self,
        line: Line,
        draft: Draft,
        view: View[E],
        grants: Mailbox | None = None,
        *,
        box: Box | None = None,
        progress_extends: bool = True,
    ) -> None:
        self._line = line  # the client lives as long as one of its streams
        self._box = box or Box()
        self._items: deque[Item] = deque()
        connection = line.connection()
        self.request_id = connection.open(draft, self._box, grants, progress_extends=progress_extends)
        self._intake: Intake[E] = Intake(connection, self.request_id, view)

    @property
    def trace_id(self) -> str | None:
        """The name of this call in logs and outcomes; None until the first event after it was accepted."""
        return self._intake.trace_id

    def cancel(self) -> None:
        """Ask for the end; iterating then raises `Cancelled` with what was produced, once the daemon confirms."""
        self._intake.cancel()

    async def aclose(self) -> None:
        """Leave: cancel, and read nothing more. Does not wait; harmless after the end."""
        self._intake.leave()

    async def __anext__(self) -> E:
        while self._intake.check():
            while self._items:
                shown = self._intake.take(self._items.popleft())
                if shown is not None:
                    return shown
            if self._intake.check():
                self._intake.check_process()
                await self._before_waiting()
                self._items.extend(await self._box.get())
        raise StopAsyncIteration

    async def _before_waiting(self) -> None:
        """Do what the next events may depend on."""

    def __aiter__(self) -> AsyncIterator[E]:
        return _Reading(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._intake.leave()

    def __del__(self) -> None:
        if hasattr(self, "_intake"):  # not if opening failed
            self._intake.leave()


class _Reading(AsyncIterator[E]):
    """An `async for` loop's hold on a stream: when the loop ends, for whatever reason, so does the stream."""

    def __init__(self, stream: AsyncStream[E]) -> None:
        self._stream = stream

    def __anext__(self) -> Awaitable[E]:
        return self._stream.__anext__()

    def __del__(self) -> None:
        self._stream._intake.leave()  # noqa: SLF001 - the same room


class AsyncReplyStream(AsyncStream[GenerateEvent]):
    """Events of a `generate`: state, deltas, and `Done` with the whole reply as the last."""

    def __init__(self, line: Line, draft: Draft) -> None:
        self._view = ReplyView(time.monotonic())
        super().__init__(line, draft, self._view)

    async def reply(self) -> Reply:
        """Return the whole reply, reading what is left of the stream. Raises its error."""
        async for _ in self:
            continue
        if self._view.reply is None:
            raise endings.wrong_end()
        return self._view.reply


async def answer(line: Line, request: Draft, kind: type[T], on_progress: OnProgress | None = None) -> T:
    """Return the one event that answers a request; leaving early cancels. See `streams.answer`."""
    waits = request.op in LOADING
    async with AsyncStream(line, request, Only[T | Loading](kind, Loading), progress_extends=waits) as stream:
        async for event in stream:
            if isinstance(event, kind):
                return event
            if on_progress is not None and isinstance(event, Loading):
                on_progress(event)
    raise endings.wrong_end()
