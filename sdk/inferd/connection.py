"""One client's line to the daemon, as the app's threads see it: what is asked goes in, in order; answers come to mailboxes.

Covers: numbers of requests, the beginning and the end of a line, exit. Does not cover how the work is done (`pump`) and
decisions (`session`). Both clients use it; they differ in how deliveries cross to them (`post`), and an event loop never
calls `take`. See also: `line`, which survives fork.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from inferd.calls import Close, Open, Probe
from inferd.errors import ConnectionLost
from inferd.pump import Pump

if TYPE_CHECKING:
    from inferd.calls import Command, Item, Mailbox
    from inferd.drafts import Draft
    from inferd.letterbox import Letterbox
    from inferd.pump import Eyes, Post
    from inferd.session import Session

JOIN_S: Final = 2.0
"""Longest wait for the thread at close and exit; it only has to finish a batch."""

_running: set[Connection] = set()
"""What has to be stopped at exit: a thread inside libzmq must not meet the end of the interpreter."""


class Connection:
    """A session at work, which begins with the first call. Of no use in a forked child.

    Every method may be called from any thread; only `take` and `join` block. A connection that was shut stays shut.
    """

    def __init__(self, session: Session, where: str, post: Post, eyes: Eyes | None = None) -> None:
        self.pid = os.getpid()
        self._session = session
        self._where = where
        self._post = post
        self._eyes = eyes
        self._commands: deque[Command] = deque()
        self._lock = threading.Lock()
        self._count = 0
        self._shut = False
        self._pump: Pump | None = None
        self._thread: threading.Thread | None = None

    def open(
        self, draft: Draft, mailbox: Mailbox, grants: Mailbox | None = None, *, progress_extends: bool = False
    ) -> int:
        """Begin a request and return its number. Raises ConnectionLost after `shut`."""
        with self._lock:  # numbers grow in the order in which the commands stand
            pump = self._begun()
            self._count += 1
            number = self._count
            self._commands.append(Open(number, draft, mailbox, grants, progress_extends))
        pump.ring()
        return number

    def probe(self, model: str | None, timeout_s: float, mailbox: Mailbox) -> None:
        """Send a ping; its pong, or an error, goes to `mailbox`. Raises ConnectionLost after `shut`."""
        self._probe(model, timeout_s, mailbox).ring()

    def ask(self, model: str | None, timeout_s: float, mailbox: Letterbox) -> Item:
        """Return what a ping is answered; waits for it. Raises ConnectionLost after `shut`."""
        return self._probe(model, timeout_s, mailbox).take(mailbox)[0]  # whoever waits sends it, too

    def _probe(self, model: str | None, timeout_s: float, mailbox: Mailbox) -> Pump:
        with self._lock:
            pump = self._begun()
            self._count += 1
            self._commands.append(Probe(self._count, model, timeout_s, mailbox))
        return pump

    def tell(self, command: Command) -> None:
        """Pass on a command about an open request. Fit for finalizers: waits for no lock. In a forked child: nothing."""
        if self.pid == os.getpid():
            self._commands.append(command)
            if self._pump:
                self._pump.ring()

    def take(self, mailbox: Letterbox, timeout_s: float | None = None) -> list[Item]:
        """Return the next batch from the mailbox of a call; waits for it, see `Pump.take`. Raises queue.Empty."""
        return (self._pump or self._begun()).take(mailbox, timeout_s)

    def shut(self) -> None:
        """Begin the end: every open call ends, then the thread."""
        if self.pid == os.getpid():
            with self._lock:
                self._shut = True
            self.tell(Close())

    def join(self) -> None:
        """Wait until the thread has ended, at most `JOIN_S`. Not in whoever has to finish first: a handler within it."""
        if self._pump and self._thread and self._thread is not threading.current_thread() and not self._pump.led_here:
            self._thread.join(JOIN_S)

    def _begun(self) -> Pump:
        if self._shut:
            raise ConnectionLost("this client is closed: make a new one", retryable=False, details={"started": False})
        if self._pump is None:
            self._pump = Pump(self._session, self._where, self._post, self._commands, self._eyes)
            self._thread = threading.Thread(target=self._live, args=(self._pump,), name="inferd-line", daemon=True)
            _running.add(self)
            self._thread.start()
        return self._pump

    def _live(self, pump: Pump) -> None:
        try:
            pump.run()
        finally:
            with self._lock:
                self._shut = True
            pump.end()
            _running.discard(self)


@atexit.register
def _stop_all() -> None:
    """Stop the threads while the interpreter is whole; in a forked child they are not running."""
    stopping = list(_running)
    for connection in stopping:
        connection.shut()
    for connection in stopping:
        connection.join()
