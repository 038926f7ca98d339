"""Waking one sleeping thread from any other, for the price of one byte, and of nothing while it is awake.

Covers: the flag and the pair of sockets. Why not an eventfd: Linux only. Why not an inproc socket: all ringing threads
would have to share its other end.
"""

from __future__ import annotations

import socket
from contextlib import suppress


class Doorbell:
    """`ring` from anywhere, in finalizers too (no lock); `ear` is what the sleeper polls.

    The order that loses no ring: callers leave their message, then ring; the sleeper calls `doze`, looks for messages
    once more, sleeps, calls `rise`, and `hush` if its ear heard something.
    """

    def __init__(self) -> None:
        self._bell, self.ear = socket.socketpair()
        self._bell.setblocking(False)
        self.ear.setblocking(False)
        self._dozing = False

    def ring(self) -> None:
        """Wake the sleeper, if it may be asleep. Never blocks; harmless after `close`."""
        if self._dozing:
            self._dozing = False
            with suppress(OSError):  # closed meanwhile, or full of rings
                self._bell.send(b"\0")

    def doze(self) -> None:
        """Say that rings are needed from now on."""
        self._dozing = True

    def rise(self) -> None:
        """Say that the sleeper is awake and looks for messages before it sleeps again."""
        self._dozing = False

    def hush(self) -> None:
        """Take the rings."""
        with suppress(BlockingIOError):
            self.ear.recv(4096)  # rings come one at a time; whatever is left only wakes once more

    def close(self) -> None:
        """Close both ends; for the sleeper."""
        self._bell.close()
        self.ear.close()
