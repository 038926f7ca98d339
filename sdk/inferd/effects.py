"""What the session's parts want done: messages to send, items to deliver, a moment to look at the clock again.

Covers: collecting. `connection` carries it out. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inferd import wire

if TYPE_CHECKING:
    from inferd.calls import Item, Mailbox

NEVER_S: Final = float("inf")


class Effects:
    """Effects in the order in which they were wanted; `next_s`: when something may be due at the earliest."""

    def __init__(self) -> None:
        self.next_s = NEVER_S
        self._outgoing: list[list[bytes]] = []
        self._deliveries: dict[Mailbox, list[Item]] = {}

    def send(self, message: object) -> None:
        """Want a message sent."""
        self._outgoing.append(wire.encode(message))

    def send_frames(self, frames: list[bytes]) -> None:
        """Want an encoded message sent."""
        self._outgoing.append(frames)

    def deliver(self, mailbox: Mailbox, item: Item) -> None:
        """Want an item put into a mailbox, behind those before it."""
        self._deliveries.setdefault(mailbox, []).append(item)

    def look_in(self, wait_s: float, now_s: float) -> float:
        """Return the moment `wait_s` from now, and see to it that the clock is looked at then."""
        self.next_s = min(self.next_s, now_s + wait_s)
        return now_s + wait_s

    def unsend(self) -> None:
        """Forget what was to be sent: the connection for which it was meant is gone."""
        self._outgoing.clear()

    def take(self) -> tuple[list[list[bytes]], dict[Mailbox, list[Item]]]:
        """Return messages and deliveries, which are then forgotten here."""
        taken = self._outgoing, self._deliveries
        self._outgoing, self._deliveries = [], {}
        return taken
