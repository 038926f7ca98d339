"""Who does the work of one client's line: the thread that waits for an answer, or else a thread of the line's own.

Covers: whose turn it is, waking the next, interrupts, the end. Does not cover decisions (`session`), sockets (`carrier`) and
what the app may ask (`connection`).

Whoever holds the line does all its work: obeys commands, polls, delivers. Nobody waits for the hold; it is tried:
1. a thread that waits in `take` leads: it holds the line while it waits. Its answer then costs no switch of threads
   (two of them were a third of a ping through two processes, measured)
2. a thread with a command obeys and sends it itself, if nobody holds the line; else it rings
3. the line's own thread tends it when somebody was left waiting, or when nobody came for `PARK_S`; it lets go again when
   everybody who waits has been served
4. an event loop never waits in `take`. Once the line is up it reads what comes by itself (`look`), and the line's own thread
   only watches over the connection and the clock. Two threads for each token were a third of an app's part in it (measured)

The descriptor by which an event loop sees messages is edge-triggered: it loses some unless every use of the socket is followed
by another look, by whichever thread.

An exception that breaks into a leader's work (an interrupt, a signal's handler) does no harm while it polls. Anywhere else
it leaves things half done: the next who holds the line ends every call and makes it anew.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from typing import TYPE_CHECKING, Final, Protocol

from inferd.calls import Close
from inferd.carrier import Carrier
from inferd.doorbell import Doorbell
from inferd.effects import NEVER_S

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    from inferd.calls import Command, Item, Mailbox
    from inferd.carrier import Ready
    from inferd.letterbox import Letterbox
    from inferd.session import Session

    Post = Callable[[dict[Mailbox, list[Item]]], None]
    """Takes deliveries across to the app; called by whoever holds the line, must not block. May forget, item by item,
    what it has taken: what is left after an interrupt is posted again."""


class Eyes(Protocol):
    """An event loop that sees when there is something to read. Both from any thread; neither blocks."""

    def watch(self, descriptor: int, look: Callable[[], None], /) -> bool:
        """Have the loop call `look` whenever the descriptor is readable; False: the loop is closed."""

    def forget(self, descriptor: int, /) -> None:
        """Watch it no more and close it."""


PARK_S: Final = 0.05
"""How long the line's own thread stays away from a line that nobody holds: an app that reads 20 tokens in a second and
works on each comes back earlier. Until then nobody reads what arrives; at once when somebody waits for it."""
NOT_BLOCKING: Final = (False,)


class Pump:
    """The work of one line. `run` and `end` are for the line's own thread; all else for any.

    `commands`: what the app asks, in order; who appends to it calls `ring`, or `take`. Only `take`, `run` and `end` wait.
    """

    def __init__(
        self, session: Session, where: str, post: Post, commands: deque[Command], eyes: Eyes | None = None
    ) -> None:
        self._session = session
        self._where = where
        self._post = post
        self._commands = commands
        self._eyes = eyes
        self._eye: int | None = None
        """The descriptor that an event loop watches; None: the line's own thread reads, or who waits in `take`."""
        self._wakes_s = NEVER_S
        """When the line's own thread wakes by itself, beside such a loop."""
        self._bell = Doorbell()
        self._carrier = Carrier(where, session, self._bell)
        self._hold = threading.Lock()
        self._holder = 0
        """Thread that leads; only that thread itself may conclude anything from it."""
        self._whole = True
        """Nobody was interrupted in the middle of the work."""
        self._due: dict[Mailbox, list[Item]] = {}
        """Deliveries on their way."""
        self._delivered = False
        self._visits = 0
        """How often somebody came to wait."""
        self._waiting: dict[Letterbox, None] = {}
        """For what threads wait without leading."""
        self._idle = False
        """The line's own thread waits for the leader to leave."""
        self._calls: queue.SimpleQueue[None] = queue.SimpleQueue()
        """Wakes the line's own thread. No Event: its lock is not fit for finalizers."""

    def ring(self) -> None:
        """See to it that commands are obeyed: here and now, or by whoever holds the line. Fit for finalizers."""
        if not self._lead(self._advance):
            self._bell.ring()

    def take(self, mailbox: Letterbox, timeout_s: float | None = None) -> list[Item]:
        """Return the next batch; waits for it. Raises queue.Empty after `timeout_s`.

        Raises RuntimeError in a signal's handler that has interrupted this very work: there, nobody could go on with it.
        """
        until_s = NEVER_S if timeout_s is None else time.monotonic() + timeout_s
        self._visits += 1
        while mailbox.empty() and not self._lead(lambda: self._pump_for(mailbox, until_s)):
            if self._commands:
                self._bell.ring()
            if self.led_here:
                raise RuntimeError(
                    "a signal's handler waits for an answer that only the thread it interrupted can read"
                )
            try:
                self._waiting[mailbox] = None
                if self._hold.locked():  # else they left before they could know of this wait
                    return mailbox.take(None if timeout_s is None else max(0.0, until_s - time.monotonic()))
            finally:
                self._waiting.pop(mailbox, None)
        return mailbox.take(0)

    def look(self) -> None:
        """Read what has come, in the event loop that saw it; if another thread is at it, that one reads."""
        self._lead(self._see)

    @property
    def led_here(self) -> bool:
        """Whether the calling thread leads: it was interrupted then, by a handler or a finalizer."""
        return self._holder == threading.get_ident()

    def run(self) -> None:
        """Be the line's own thread: return when the session has closed. Call `end` then, after a fault too."""
        while not self._session.closed:
            if self._eye is not None:
                self._stand_by()
                continue
            if not self._tend():
                self._await_leaving()
            while not (self._is_needed() or self._is_deserted()):
                continue

    def end(self) -> None:
        """End every call, send what there is to send and close the sockets; waits until whoever leads has left."""
        self._commands.append(Close())  # whoever leads obeys, and leaves
        self._bell.ring()
        with self._hold:
            try:
                self._settle()
            finally:
                self._shut_eye()
                self._carrier.close()
                self._bell.close()

    # --- holding the line

    def _lead(self, work: Callable[[], None]) -> bool:
        """Do this while holding the line; return False, at once, if another does.

        An interrupt may come after every call: whether the line was taken is told by one call, and letting go is the first.
        """
        held: list[bool] = []
        try:
            held.extend(map(self._hold.acquire, NOT_BLOCKING))
            if held[0]:
                self._holder = threading.get_ident()
                self._mend()
                work()
            return held[0]
        finally:
            if True in held:
                self._holder = 0
                try:
                    self._hold.release()
                finally:
                    if self._idle or self._waiting or self._commands or not self._whole or self._session.closed:
                        self._calls.put(None) if self._eye is None else self._bell.ring()

    def _pump_for(self, mailbox: Letterbox, until_s: float) -> None:
        if self._commands:
            self._advance()
        while mailbox.empty() and not self._session.closed and time.monotonic() < until_s:
            self._turn(until_s)

    def _turn(self, until_s: float) -> None:
        """Rest until something happens, and do what follows from it."""
        self._bell.doze()
        ready = self._carrier.rest(0.0 if self._commands else min(until_s, self._session.next_s))
        self._bell.rise()
        self._work(ready)
        if self._eyes and self._eye is None and self._session.is_up:
            self._open_eye(self._eyes)

    def _work(self, ready: Ready) -> None:
        self._whole = False
        self._carrier.show(ready)
        if self._carrier.is_over:
            self._connect_anew()
        self._settle()
        self._whole = True

    def _advance(self) -> None:
        self._whole = False
        self._settle()
        self._whole = True
        if self._eye is not None:
            self._catch_up()

    def _see(self) -> None:
        """Do what the descriptor's sign stands for."""
        self._work((self._carrier.eye,))
        self._catch_up()

    def _catch_up(self) -> None:
        """Do what a sign stood for that is used up by now."""
        while self._carrier.is_ready:
            self._work(())
        if self._session.next_s < self._wakes_s:
            self._bell.ring()

    def _settle(self) -> None:
        """Obey commands, look at the clock, and hand over what follows from everything so far."""
        now_s = time.monotonic()
        while self._commands:
            self._session.obey(self._commands[0], now_s)
            self._commands.popleft()  # afterwards: obeyed twice does no harm, not at all does
        self._session.tick(now_s)
        outgoing, self._due = self._session.take()
        if self._due:
            self._delivered = True
            self._post(self._due)
            self._due = {}
        self._carrier.push(outgoing)

    def _mend(self) -> None:
        """Make the line anew if somebody was interrupted in the middle of the work."""
        if self._whole or self._session.closed:
            return
        self._connect_anew()
        self._post(self._due)
        self._session.torn(time.monotonic())
        self._advance()

    def _connect_anew(self) -> None:
        self._shut_eye()
        stale, self._carrier = self._carrier, Carrier(self._where, self._session, self._bell)
        stale.close()

    # --- beside an event loop

    def _open_eye(self, eyes: Eyes) -> None:
        """Let the event loop read from now on: by a descriptor of its own, for the socket may be closed by any thread."""
        eye = os.dup(self._carrier.eye)
        if eyes.watch(eye, self.look):
            self._eye = eye
            self._catch_up()
        else:
            os.close(eye)

    def _shut_eye(self) -> None:
        eye, self._eye = self._eye, None
        if self._eyes and eye is not None:
            self._eyes.forget(eye)
            self._bell.ring()

    def _stand_by(self) -> None:
        """Sleep while the loop reads, and do what it does not see: rings, deadlines, the end of the connection."""
        self._wakes_s = NEVER_S  # before the moment is read: who makes it an earlier one rings
        self._bell.doze()
        self._wakes_s = 0.0 if self._is_needed() else self._session.next_s
        ready = self._carrier.watch_over(self._wakes_s)
        self._bell.rise()
        with self._hold:
            self._mend()
            # What came before a deadline counts, if the loop is late to see it, too.
            self._work((*ready, self._carrier.eye))
            self._catch_up()

    # --- the line's own thread

    def _tend(self) -> bool:
        """Work until everybody who waits has been served; return False, at once, if another thread leads."""
        if not self._hold.acquire(blocking=False):
            return False
        try:
            self._mend()
            self._delivered = False
            while not (self._session.closed or self._eye is not None or self._is_done()):
                self._turn(NEVER_S)
        finally:
            self._hold.release()
        return True

    def _is_done(self) -> bool:
        """Return whether everybody who waited has been served."""
        return bool(self._delivered and self._visits and not self._is_needed())

    def _is_needed(self) -> bool:
        """Return whether there is something to do that nobody may be doing."""
        return bool(
            self._session.closed
            or self._commands
            or not self._whole
            or (self._waiting and any(mailbox.empty() for mailbox in tuple(self._waiting)))
        )

    def _is_deserted(self) -> bool:
        """Return whether nobody came for `PARK_S`, or ever. Returns early, with False, when somebody calls."""
        visits = self._visits
        if not visits:
            return True
        try:
            self._calls.get(timeout=PARK_S)
        except queue.Empty:
            return visits == self._visits
        return False

    def _await_leaving(self) -> None:
        self._idle = True
        if self._hold.locked():  # else they left before they could know of this wait
            self._calls.get()
        self._idle = False
