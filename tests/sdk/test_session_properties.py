"""Whatever app, daemon and line do: every request ends exactly once, in order, inside the windows."""

from __future__ import annotations

from dataclasses import dataclass, field

from driven_session import Box, DrivenSession
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from inferd.calls import Cancel, Delivery, Leave
from inferd.errors import InferenceError, ProtocolError
from inferd.messages import control, events
from inferd.session import Phase

LIMITS = control.Limits(inflight=4, window_events=24)
WHOLE_WINDOW = 6
"""What a stream gets that is alone: two events, and a quarter of the pool of 24 less 4 times two."""
picks = st.integers(0, 2**16)
troubles = st.sampled_from(["the line breaks", "the daemon restarts", "time passes", *["none"] * 6])
"""Mostly none: what is to be tested happens between."""


@dataclass
class Stream:
    """A request as a daemon keeps it: what it has sent, and how far it may go."""

    limit_seq: int
    seen_seq: int = 0
    sent: list[events.Event] = field(default_factory=list)
    ended: bool = False


@dataclass
class Call:
    """A request as the app sees it."""

    request: int
    box: Box
    consumed: int = 0
    left: bool = False


class Daemon:
    """The other end by PROTOCOL.md: knows ids, keeps windows, replays after a reattach."""

    def __init__(self, driven: DrivenSession) -> None:
        self.driven = driven
        self.instance = 0
        self.streams: dict[int, Stream] = {}

    def restart(self) -> None:
        """Forget everything."""
        self.instance += 1
        self.streams.clear()

    def live(self) -> list[int]:
        """Return the requests that have not ended."""
        return [request for request, stream in self.streams.items() if not stream.ended]

    def hear(self, message: object) -> None:
        """Do what a message asks."""
        match message:
            case control.Request():
                if message.id not in self.streams:
                    self.streams[message.id] = Stream(message.window.limit_seq)
                self.driven.hear(message.id, 0, events.Accepted("trace"))
            case control.Credit():
                self._move(message)
            case control.Reattach() if message.request in self.streams:
                self._move(message)
                stream = self.streams[message.request]
                for seq in range(message.seen_seq + 1, len(stream.sent) + 1):
                    self.driven.hear(message.request, seq, stream.sent[seq - 1])
            case control.Reattach():
                end = events.Error("connection_lost", "gone", details={"started": True})
                self.driven.hear(message.request, message.seen_seq + 1, end)
            case control.Cancel() if message.request in self.live():
                self.say(message.request, events.Cancelled("app"))
            case _:
                assert isinstance(message, control.Cancel)

    def _move(self, message: control.Credit | control.Reattach) -> None:
        stream = self.streams.get(message.request)
        if stream:
            assert message.limit_seq >= stream.limit_seq
            stream.limit_seq, stream.seen_seq = message.limit_seq, max(stream.seen_seq, message.seen_seq)

    def say(self, request: int, event: events.Event) -> None:
        """Send the next event of a stream."""
        stream = self.streams[request]
        stream.sent.append(event)
        stream.ended = isinstance(event, events.TERMINALS)
        self.driven.hear(request, len(stream.sent), event)

    def outstanding(self) -> int:
        """Return what all open windows allow together."""
        return sum(self.streams[request].limit_seq - self.streams[request].seen_seq for request in self.live())


class Conversation(RuleBasedStateMachine):
    """An app, a line and a daemon, each doing as it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.driven = DrivenSession()
        self.daemon = Daemon(self.driven)
        self.calls: list[Call] = []

    @property
    def up(self) -> bool:
        """Whether both ends are connected and greeted."""
        return self.driven.session.phase is Phase.UP

    def transmit(self) -> None:
        """Let the daemon hear everything that was sent."""
        while self.up and (sent := self.driven.look()):
            for message in sent:
                self.daemon.hear(message)

    def connect(self) -> None:
        """Bring the line up."""
        if not self.up:
            self.driven.up(instance=f"instance {self.daemon.instance}", limits=LIMITS)

    @initialize()
    def there_is_a_daemon(self) -> None:
        self.connect()

    @rule()
    def the_line_comes_up(self) -> None:
        self.connect()
        self.transmit()

    @rule(trouble=troubles, seconds=st.floats(0.1, 40))
    def there_is_trouble(self, *, trouble: str, seconds: float) -> None:
        match trouble:
            case "the line breaks":
                self.break_line()
            case "the daemon restarts":
                self.break_line()
                self.daemon.restart()
            case "time passes":
                self.driven.wait(seconds)
                self.transmit()

    def break_line(self) -> None:
        """Lose the line, and what was on its way."""
        self.driven.look()
        self.driven.break_line()

    @rule()
    def the_app_asks(self) -> None:
        request, box = self.driven.open()
        self.calls.append(Call(request, box))
        self.transmit()

    @rule(pick=picks, leaves=st.booleans(), seriously=st.sampled_from([True, False, False]))
    def the_app_gives_up(self, *, pick: int, leaves: bool, seriously: bool) -> None:
        if self.calls and seriously:
            call = self.calls[pick % len(self.calls)]
            call.left = call.left or leaves
            self.driven.obey(Leave(call.request) if leaves else Cancel(call.request))
            self.transmit()

    @rule(pick=picks, count=st.integers(1, 8))
    def the_app_reads(self, pick: int, count: int) -> None:
        if self.calls:
            self.read(self.calls[pick % len(self.calls)], count)
            self.transmit()

    def read(self, call: Call, count: int) -> None:
        """Take the next items of a call."""
        for item in call.box.items[call.consumed : call.consumed + count]:
            call.consumed += 1
            if isinstance(item, Delivery) and item.receipt:
                self.driven.obey(item.receipt)

    @rule(pick=picks, count=st.integers(1, 8), repeats=st.booleans())
    def the_daemon_streams(self, *, pick: int, count: int, repeats: bool) -> None:
        if not (self.up and self.daemon.live()):
            return
        request = self.daemon.live()[pick % len(self.daemon.live())]
        stream = self.daemon.streams[request]
        for _ in range(min(count, stream.limit_seq - len(stream.sent))):
            self.daemon.say(request, events.TextDelta(str(len(stream.sent) + 1)))
        if repeats and stream.sent:
            self.driven.hear(request, len(stream.sent), stream.sent[-1])

    @rule(pick=picks, fails=st.booleans())
    def the_daemon_ends_one(self, *, pick: int, fails: bool) -> None:
        if self.up and self.daemon.live():
            request = self.daemon.live()[pick % len(self.daemon.live())]
            self.daemon.say(request, events.Error("model_failed", "died") if fails else events.Finished("m"))

    @invariant()
    def windows_stay_inside_what_the_daemon_allows(self) -> None:
        if self.up:
            assert self.daemon.outstanding() <= LIMITS.window_events

    @invariant()
    def every_stream_is_in_order_and_ends_at_most_once(self) -> None:
        for call in self.calls:
            texts = [event.text for event in call.box.events if isinstance(event, events.TextDelta)]
            assert texts == [str(seq) for seq in range(1, len(texts) + 1)]
            ends = [at for at, item in enumerate(call.box.items) if is_end(item)]
            assert ends in ([], [len(call.box.items) - 1])
            assert not any(isinstance(item, ProtocolError) for item in call.box.items)  # this daemon makes no mistakes

    def teardown(self) -> None:
        """Nothing is forgotten: once daemon and app have done their part, each call has its end and nothing is left."""
        self.connect()
        self.transmit()
        for call in self.calls:
            self.read(call, len(call.box.items))
        self.transmit()
        for request in self.daemon.live():
            stream = self.daemon.streams[request]
            assert stream.limit_seq > len(stream.sent), "a window stays shut although everything was consumed"
            self.daemon.say(request, events.Finished("m"))
        for call in self.calls:
            assert is_end(call.box.items[-1])
        self.driven.wait(1_000)
        assert self.driven.look() == []
        self.driven.open()
        (fresh,) = self.driven.look()
        assert isinstance(fresh, control.Request)
        assert fresh.window.limit_seq == WHOLE_WINDOW, "an ended request still holds a window"


def is_end(item: object) -> bool:
    """Return whether nothing may follow this item."""
    return isinstance(item, InferenceError) or (isinstance(item, Delivery) and isinstance(item.event, events.TERMINALS))


TestConversation = Conversation.TestCase
TestConversation.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
