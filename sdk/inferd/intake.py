"""What arrives for one request, turned into what the app sees; the same for both clients.

Covers: receipts that move the window, the hidden events, the end. Does not cover waiting: `streams` and `aio` wait.
"""

from __future__ import annotations

import os
import time
from copy import copy
from typing import TYPE_CHECKING, Generic, NoReturn, Protocol, TypeVar

from inferd import endings
from inferd.calls import Cancel, Delivery, Leave, Say
from inferd.errors import ConnectionLost, InferenceError
from inferd.messages import events

if TYPE_CHECKING:
    from inferd.calls import Item
    from inferd.connection import Connection

E = TypeVar("E")
E_co = TypeVar("E_co", covariant=True)


class View(Protocol[E_co]):
    """How the events of one operation look to the app."""

    def show(self, event: events.Event, now_s: float, /) -> E_co | None:
        """Return what the app sees of an event; None: nothing."""


class Only(Generic[E]):
    """Shows the events of some classes as they are, and hides the others."""

    def __init__(self, *kinds: type[E]) -> None:
        self._kinds = kinds

    def show(self, event: events.Event, _now_s: float, /) -> E | None:
        """Return the event if it is of the classes shown."""
        return event if isinstance(event, self._kinds) else None


class Intake(Generic[E]):
    """One request's reading end. `trace_id`: None until the daemon has accepted it."""

    def __init__(self, connection: Connection, request: int, view: View[E]) -> None:
        self.request = request
        self.trace_id: str | None = None
        self._connection = connection
        self._view = view
        self._ended = False
        self._failure: InferenceError | None = None

    def take(self, item: Item) -> E | None:
        """Return what the app sees of an item, None if nothing. Raises the error that ends the stream."""
        if not isinstance(item, Delivery):
            self._fail(item)
        if item.receipt:
            self._connection.tell(item.receipt)
        if item.event is None:
            return None
        if isinstance(item.event, events.Accepted):
            self.trace_id = item.event.trace_id
        self._ended = self._ended or type(item.event) in events.ENDS
        return self._view.show(item.event, time.monotonic())

    def _fail(self, item: object) -> NoReturn:
        if not isinstance(item, InferenceError):
            raise TypeError(f"a stream's mailbox got {type(item).__name__}")
        self._failure = item
        raise copy(item)

    def check(self) -> bool:
        """Return whether more will come. Raises, again, the error that ended the stream: it never passes for an end."""
        if self._failure:
            raise copy(self._failure)
        return not self._ended

    def check_process(self) -> None:
        """Raise ConnectionLost in a forked child: what this stream waits for arrives in the parent."""
        if self._connection.pid != os.getpid():
            raise ConnectionLost("this stream was opened before a fork: use it in the parent, or ask again")

    def cancel(self) -> None:
        """Ask for the end, and keep reading until it comes."""
        self._connection.tell(Cancel(self.request))

    def say(self, message: Say) -> None:
        """Send an uplink message, in order."""
        self._connection.tell(message)

    def leave(self) -> None:
        """Ask for the end and be done; again, or after the end, it does nothing."""
        if self._ended or self._failure:
            return
        self._failure = endings.left()
        self._connection.tell(Leave(self.request))
