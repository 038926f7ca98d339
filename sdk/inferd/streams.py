"""Streams of the blocking client: iterate to read, leave to cancel.

Covers: waiting for events in a thread, leaving. See also: `duplex`, streams that are fed; `aio_streams`, the same for asyncio.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from inferd import endings
from inferd.intake import Intake, Only
from inferd.keeping import LOADING
from inferd.letterbox import Letterbox
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


class Stream(Iterable[E], Generic[E]):
    """Events of one request, in order, each waited for.

    Leaving cancels at once: `close()`, the end of a `with` block, `break` or an exception in a `for` loop over it, and
    dropping the last reference. A stream that was left, or failed, raises its error from then on; only a complete one ends.
    One thread reads; any thread may `cancel` or `close`.
    """

    def __init__(
        self,
        line: Line,
        draft: Draft,
        view: View[E],
        grants: Mailbox | None = None,
        *,
        mailbox: Letterbox | None = None,
        progress_extends: bool = True,
    ) -> None:
        self._line = line  # the client lives as long as one of its streams
        self._mailbox = mailbox or Letterbox()
        self._items: deque[Item] = deque()
        self._connection = line.connection()
        self.request_id = self._connection.open(draft, self._mailbox, grants, progress_extends=progress_extends)
        self._intake: Intake[E] = Intake(self._connection, self.request_id, view)

    @property
    def trace_id(self) -> str | None:
        """The name of this call in logs and outcomes; None until the first event after it was accepted."""
        return self._intake.trace_id

    def cancel(self) -> None:
        """Ask for the end; iterating then raises `Cancelled` with what was produced, once the daemon confirms."""
        self._intake.cancel()

    def close(self) -> None:
        """Leave: cancel, and read nothing more. Does not wait; harmless after the end."""
        self._intake.leave()

    def __next__(self) -> E:
        while self._intake.check():
            while self._items:
                shown = self._intake.take(self._items.popleft())
                if shown is not None:
                    return shown
            if self._intake.check():
                self._intake.check_process()
                self._before_waiting()
                self._items.extend(self._connection.take(self._mailbox))
        raise StopIteration

    def _before_waiting(self) -> None:
        """Do what the next events may depend on."""

    def __iter__(self) -> Iterator[E]:
        return _Reading(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_intake"):  # not if opening failed
            self.close()


class _Reading(Iterator[E]):
    """A `for` loop's hold on a stream: when the loop ends, for whatever reason, so does the stream."""

    def __init__(self, stream: Stream[E]) -> None:
        self._stream = stream

    def __next__(self) -> E:
        return next(self._stream)

    def __del__(self) -> None:
        self._stream.close()


class ReplyStream(Stream[GenerateEvent]):
    """Events of a `generate`: state, deltas, and `Done` with the whole reply as the last."""

    def __init__(self, line: Line, draft: Draft) -> None:
        self._view = ReplyView(time.monotonic())
        super().__init__(line, draft, self._view)

    def reply(self) -> Reply:
        """Return the whole reply, reading what is left of the stream. Blocks until its end; raises its error."""
        for _ in self:
            continue
        if self._view.reply is None:
            raise endings.wrong_end()
        return self._view.reply


def answer(line: Line, request: Draft, kind: type[T], on_progress: OnProgress | None = None) -> T:
    """Return the one event that answers a request. Blocks; leaving early cancels.

    `on_progress`: told of the loads that it waits for; those of operations in `LOADING` start `timeout_s` anew.
    """
    waits = request.op in LOADING
    with Stream(line, request, Only[T | Loading](kind, Loading), progress_extends=waits) as stream:
        for event in stream:
            if isinstance(event, kind):
                return event
            if on_progress is not None and isinstance(event, Loading):
                on_progress(event)
    raise endings.wrong_end()
