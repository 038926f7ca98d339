"""What the app's threads and the client's I/O thread say to each other.

Covers: commands (towards the I/O thread), deliveries (towards the app) and the mailbox between them. Does not cover
what follows from them: `session` decides, `intake` shows it to the app.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from inferd.drafts import Draft
from inferd.errors import InferenceError
from inferd.messages.control import Pong
from inferd.messages.events import STATES, Event


@dataclass(frozen=True, slots=True)
class Consumed:
    """The app has taken everything up to here: the window may move on."""

    request: int
    seq: int
    size_bytes: int
    """Sum of the stream's event bytes up to `seq`."""


class Delivery(NamedTuple):
    """One event for the app; `receipt`, where there is one, goes back once the app has taken the event.

    `event` None: of a type that only a newer daemon knows; it counts, and is not shown. A tuple, because one is made for each.
    """

    event: Event | None
    receipt: Consumed | None = None


Item = Delivery | Pong | InferenceError
"""What a mailbox receives; an error is always the last."""


UNREAD: Final = 1_024
"""Items that a call may leave unread before state is dropped. Content never gets there: it has windows."""


def is_state(items: list[Item]) -> bool:
    """Return whether these are state events alone, which the protocol allows to be missed."""
    return all(isinstance(item, Delivery) and isinstance(item.event, STATES) for item in items)


class Mailbox(Protocol):
    """Where one call's items arrive, as a list per batch, in order."""

    def put(self, items: list[Item], /) -> None:
        """Take what arrived; never blocks."""


@dataclass(frozen=True, slots=True)
class Open:
    """Begin this request. `grants`: where windows for the uplink, and the end, are delivered as well."""

    request: int
    draft: Draft
    mailbox: Mailbox
    grants: Mailbox | None = None
    progress_extends: bool = False
    """Every event of the stream, and every piece fed, starts its `timeout_s` anew."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """End this request; its terminal event is still delivered."""

    request: int


@dataclass(frozen=True, slots=True)
class Leave:
    """The app has gone away from this request: end it and deliver nothing more."""

    request: int


@dataclass(frozen=True, slots=True)
class Say:
    """Pass these frames of an uplink message on, in order."""

    request: int
    frames: list[bytes]


@dataclass(frozen=True, slots=True)
class Probe:
    """Ask the daemon, or a model's actor, for a sign of life."""

    nonce: int
    model: str | None
    timeout_s: float
    mailbox: Mailbox


@dataclass(frozen=True, slots=True)
class Close:
    """End every call and say goodbye."""


Command = Open | Cancel | Leave | Say | Probe | Consumed | Close
