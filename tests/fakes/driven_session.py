"""A client's session driven by hand: no socket, no thread, a clock that a test sets."""

from __future__ import annotations

from inferd import wire
from inferd.calls import Command, Delivery, Item, Open, Probe
from inferd.drafts import Draft, draft
from inferd.errors import InferenceError
from inferd.messages import control, events, operations
from inferd.session import Session

UID = 1000
CONNECT_TIMEOUT_S = 5.0
TIMEOUT_S = 60.0
GENERATE = operations.Generate((operations.Message("user", "hi"),))


class Box:
    """A mailbox that keeps everything."""

    def __init__(self) -> None:
        self.items: list[Item] = []

    def put(self, items: list[Item], /) -> None:
        """Keep the items."""
        self.items += items

    @property
    def events(self) -> list[events.Event | None]:
        """What arrived, errors left out."""
        return [item.event for item in self.items if isinstance(item, Delivery)]

    @property
    def end(self) -> InferenceError:
        """The error that came last; there must be exactly one."""
        (error,) = (item for item in self.items if isinstance(item, InferenceError))
        assert error is self.items[-1]
        return error


class DrivenSession:
    """The session, what it sent, and what it delivered."""

    def __init__(self) -> None:
        hello = control.Hello(1, 1, "test", "0123456789abcdef")
        self.session = Session(hello, where="/run/x.sock", uid=UID, connect_timeout_s=CONNECT_TIMEOUT_S)
        self.now_s = 100.0
        self.sent: list[object] = []
        """Messages since the last look, decoded as the daemon would."""
        self._numbers = 0

    def settle(self) -> None:
        """Carry out what the session wants."""
        outgoing, deliveries = self.session.take()
        self.sent += [wire.decode(frames, wire.FROM_APP) for frames in outgoing]
        for mailbox, items in deliveries.items():
            mailbox.put(items)

    def look(self) -> list[object]:
        """Return what was sent since the last look."""
        sent, self.sent = self.sent, []
        return sent

    def connect(self) -> None:
        """Let the library report a connection."""
        self.session.connected()
        self.settle()

    def welcome(
        self,
        *,
        instance: str = "1nstance",
        limits: control.Limits | None = None,
        uid: int | None = UID,
        protocol: int = 1,
    ) -> None:
        """Let the daemon answer the hello."""
        self.say(control.Welcome(protocol, instance, "test", 1, limits or control.Limits()), uid=uid)

    def up(self, *, instance: str = "1nstance", limits: control.Limits | None = None) -> None:
        """Bring the line up and look away from the hello."""
        self.connect()
        self.welcome(instance=instance, limits=limits)
        self.sent = [message for message in self.sent if not isinstance(message, control.Hello)]

    def break_line(self) -> None:
        """Let the library report that the connection is gone."""
        self.session.disconnected(self.now_s)
        self.settle()

    def say(self, message: object, *, uid: int | None = None) -> None:
        """Let the daemon send a message."""
        self.session.receive(wire.encode(message), uid, self.now_s)
        self.settle()

    def hear(self, request: int, seq: int, event: events.Event) -> None:
        """Let the daemon send one event."""
        self.session.receive(wire.join_events([wire.pack_event(request, seq, event)]), None, self.now_s)
        self.settle()

    def open(
        self,
        operation: operations.Operation = GENERATE,
        *,
        grants: Box | None = None,
        timeout_s: float = TIMEOUT_S,
        progress_extends: bool = True,
    ) -> tuple[int, Box]:
        """Begin a request; return its number and mailbox."""
        self._numbers += 1
        mailbox = Box()
        self.obey(Open(self._numbers, make_draft(operation, timeout_s), mailbox, grants, progress_extends))
        return self._numbers, mailbox

    def ping(self, model: str | None = None, timeout_s: float = 10.0) -> Box:
        """Ask for a sign of life; return the mailbox of the answer."""
        self._numbers += 1
        mailbox = Box()
        self.obey(Probe(self._numbers, model, timeout_s, mailbox))
        return mailbox

    def obey(self, command: Command) -> None:
        """Let the app ask something."""
        self.session.obey(command, self.now_s)
        self.settle()

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds
        self.session.tick(self.now_s)
        self.settle()


def make_draft(operation: operations.Operation = GENERATE, timeout_s: float = TIMEOUT_S) -> Draft:
    """Return a request as an app's thread makes it."""
    return draft(operation, timeout_s=timeout_s)
