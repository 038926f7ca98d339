"""Every decision of the client's end of the protocol: happenings in, frames to send and deliveries out.

Covers: hello and its answer, who is trusted, and the parts that it is made of: `requests`, `probes`. Does not cover
sockets, threads and the clock: `connection` drives it and passes the time in. Pure.
"""

from __future__ import annotations

from copy import copy
from enum import Enum, auto
from typing import TYPE_CHECKING, assert_never

from inferd import endings, wire
from inferd.calls import Cancel, Close, Consumed, Leave, Open, Probe, Say
from inferd.effects import NEVER_S, Effects
from inferd.errors import InferenceError, InvalidRequest, ProtocolError, from_code
from inferd.messages import control
from inferd.probes import Probes
from inferd.requests import Requests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferd.calls import Command, Item, Mailbox


class Phase(Enum):
    """How the line stands."""

    DOWN = auto()
    GREETING = auto()
    """Connected; the hello is not answered yet."""
    UP = auto()
    REFUSED = auto()
    """The daemon does not take us, or is not to be trusted; every call fails with the reason until it reconnects."""


class Session:
    """One client and its daemon. Fed by `connected`, `disconnected`, `receive`, `obey`, `tick`; emptied by `take`.

    `where`: the socket's path, for messages. `uid`: whose daemon is trusted, beside root's (who listens for a unit).
    """

    def __init__(self, hello: control.Hello, *, where: str, uid: int, connect_timeout_s: float) -> None:
        self.phase = Phase.DOWN
        self.closed = False
        self._hello = hello
        self._where = where
        self._uid = uid
        self._effects = Effects()
        self._requests = Requests(self._effects, where, connect_timeout_s)
        self._probes = Probes(self._effects, where, connect_timeout_s)
        self._refusal: InferenceError | None = None
        self._complaint = ""
        """What the daemon last said about a message of ours without naming a request."""
        self._instance = ""

    @property
    def is_up(self) -> bool:
        """Whether the daemon has welcomed us on this connection."""
        return self.phase is Phase.UP

    @property
    def next_s(self) -> float:
        """When `tick` has something to do at the earliest."""
        return self._effects.next_s

    def take(self) -> tuple[list[list[bytes]], dict[Mailbox, list[Item]]]:
        """Return messages to send, in order, and what to put into which mailbox; both are then forgotten here."""
        return self._effects.take()

    # --- the line

    def connected(self) -> None:
        """Greet: a connection stands."""
        self.phase = Phase.GREETING
        self._effects.unsend()
        self._effects.send(self._hello)

    def disconnected(self, now_s: float) -> None:
        """Decide what the loss of the connection, and of all that was on its way, means."""
        if self.phase is Phase.DOWN:  # an attempt to connect that failed
            return
        self.phase, self._refusal = Phase.DOWN, None
        self._effects.unsend()
        self._requests.line_down(now_s)
        self._probes.line_down(now_s)

    def torn(self, now_s: float) -> None:
        """End every call: an interrupt has left what was under way half done, and events may be missing."""
        self.disconnected(now_s)
        reason = endings.torn(self._where)
        self._requests.distrust(reason, now_s)
        self._probes.end_all(reason)

    def receive(self, frames: Sequence[wire.Frame], peer_uid: int | None, now_s: float) -> None:
        """Take one message. `peer_uid`: who listens there, by the kernel's word; needed until the line is up."""
        if self.phase not in (Phase.GREETING, Phase.UP):
            return  # a late message of a connection that is gone; what it said will be said again
        try:
            header = wire.header_of(frames)
            kind = header.pop("type")
            if kind == wire.EVENTS_TYPE:
                self._events(wire.split_events(header, frames[1:]), now_s)
            elif kind in wire.TO_APP:
                self._answer(wire.from_fields(header, wire.TO_APP[kind]), peer_uid)
        except (ProtocolError, InvalidRequest) as wrong:
            self._distrust(ProtocolError(f"the daemon at {self._where} sent what cannot be read: {wrong}"), now_s)

    def _events(self, arrivals: Sequence[wire.Arrival], now_s: float) -> None:
        if self.phase is Phase.UP:
            for arrival in arrivals:
                self._requests.arrive(arrival, now_s)

    def _answer(self, message: object, peer_uid: int | None) -> None:
        match message:  # what comes often stands first
            case control.Pong():
                self._probes.answer(message)
            case control.Welcome() if self.phase is Phase.GREETING or message.instance != self._instance:
                self._welcome(message, peer_uid)
            case control.Refused() if self.phase is Phase.GREETING:
                self._refuse(from_code(message.code, message.message, retryable=message.retryable))
            case control.Refused():
                self._complaint = message.message
            case _:  # a second welcome; a goodbye: the line will close and say the same
                return

    def _welcome(self, welcome: control.Welcome, peer_uid: int | None) -> None:
        objection = self._objection(welcome, peer_uid)
        if objection:
            self._refuse(objection)
            return
        same, self._instance = welcome.instance == self._instance, welcome.instance
        self.phase = Phase.UP
        self._requests.line_up(welcome.limits, same_instance=same)
        self._probes.line_up()

    def _objection(self, welcome: control.Welcome, peer_uid: int | None) -> InferenceError | None:
        if peer_uid not in (self._uid, 0):
            return endings.foreign(self._where, peer_uid, self._uid)
        lowest, highest = self._hello.protocol_min, self._hello.protocol_max
        if not lowest <= welcome.protocol <= highest:
            return endings.other_version(welcome.protocol, lowest, highest)
        return None

    def _refuse(self, reason: InferenceError) -> None:
        self.phase, self._refusal = Phase.REFUSED, reason
        self._requests.end_all(reason)
        self._probes.end_all(reason)

    def _distrust(self, reason: ProtocolError, now_s: float) -> None:
        if self.phase is Phase.GREETING:
            self._refuse(reason)
        else:
            self._requests.distrust(reason, now_s)

    # --- the app

    def obey(self, command: Command, now_s: float) -> None:
        """Do what the app asks; a command about a request that has ended is no error."""
        match command:
            case Consumed():
                self._requests.credit(command)
            case Open():
                self._requests.open(command, now_s, self._refusal)
            case Probe() if self._refusal:
                self._effects.deliver(command.mailbox, copy(self._refusal))
            case Probe():
                self._probes.ask(command, now_s)
            case Say():
                self._requests.say(command, now_s)
            case Cancel() | Leave():
                self._requests.cut(command, now_s)
            case Close():
                self.close()
            case _:
                assert_never(command)

    def close(self) -> None:
        """End every call, for the app wants the client gone; say goodbye, so that the daemon need not find out."""
        if self.phase is Phase.UP:
            self._effects.send(control.Goodbye("closed by the app"))
        self.closed = True
        self._refuse(endings.left("the client was closed"))

    # --- the clock

    def tick(self, now_s: float) -> None:
        """End what has waited too long. Cheap before `next_s`."""
        if now_s < self._effects.next_s:
            return
        greeted = self.phase is Phase.GREETING
        self._effects.next_s = NEVER_S
        due_s = (
            self._requests.expire(now_s, greeted=greeted, complaint=self._complaint),
            self._probes.expire(now_s, greeted=greeted),
        )
        self._effects.next_s = min(due_s)
