"""The streams between an engine and the daemon: windows, order, one end, replay; by thousands of made-up lives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from inferd import wire
from inferd.messages import events
from inferd.messages.bounds import Blob
from inferd.messages.control import Credit, Feed
from inferd_actors import messages
from inferd_actors.engine import EngineEvent, StreamId
from inferd_actors.streams import Command, Grant, Pass, Send, Stop, Streams
from inferd_actors.streams.backlog import MERGED_BYTES
from inferd_actors.streams.sending import MESSAGE_BLOBS
from inferd_actors.streams.table import ENDED_BYTES, LOOK_S, LOST_LINE_S, SLOW_READER_S, STARVED_FEED_S

USAGE = events.Usage(3, 5)
DONE = events.Finished("me/model:1", usage=USAGE)
WIDE = 10_000, 2**30
"""A window that nothing here passes."""


def order(stream: int, *, session: int = 1, window: tuple[int, int] = WIDE) -> messages.Submit:
    """Return the daemon's order for a stream."""
    return messages.Submit(
        stream, session, f"session-{session:08}", "trace", "interactive", "salt", *window, 0.0, 0.0, 30_000
    )


@dataclass
class Message:
    """A message to the daemon, taken apart."""

    session: int
    rows: tuple[messages.Row, ...]
    facts: list[messages.Facts]
    arrivals: list[wire.Arrival]


def read(frames: Sequence[bytes]) -> Message:
    """Take a message apart as daemon and app do, and check that its parts agree."""
    route = messages.read_route(frames[0])
    assert route.kind == messages.KIND_EVENTS
    ends = [row for row in route.rows if row.is_terminal]
    facts = [wire.from_fields(wire.unpack(frame), messages.Facts) for frame in frames[1 : 1 + len(ends)]]
    behind = frames[1 + len(ends) :]
    arrivals = wire.split_events(wire.header_of(behind), behind[1:])
    assert sum(row.n_events for row in route.rows) == len(arrivals)
    assert sum(row.size_bytes for row in route.rows) == sum(arrival.size_bytes for arrival in arrivals)
    assert len({row.stream for row in route.rows}) == len(route.rows)
    return Message(route.session, route.rows, facts, arrivals)


def sent(commands: Sequence[Command]) -> list[Message]:
    """Return the messages among the commands."""
    return [read(command.frames) for command in commands if isinstance(command, Send)]


def said(commands: Sequence[Command]) -> list[tuple[int, Any]]:
    """Return (seq, event) of all messages, in order."""
    return [(arrival.seq, arrival.event) for message in sent(commands) for arrival in message.arrivals]


def delta(text: str) -> events.TextDelta:
    return events.TextDelta(text)


def sound(samples: int) -> events.AudioChunk:
    return events.AudioChunk(Blob(bytes(2 * samples)), 16_000)


@dataclass
class Rig:
    """Streams with one request open, or more."""

    streams: Streams = field(default_factory=Streams)
    keys: dict[int, StreamId] = field(default_factory=dict)

    def open(
        self, number: int = 7, *, session: int = 1, window: tuple[int, int] = WIDE, heard_live: bool = False
    ) -> StreamId:
        submit = order(number, session=session, window=window)
        self.keys[number] = self.streams.open(submit, number + 100, 0.0, heard_live=heard_live)
        return self.keys[number]

    def step(self, *batch: EngineEvent, number: int = 7, now_s: float = 0.0) -> list[Command]:
        return self.streams.events([(self.keys[number], event) for event in batch], now_s)

    def credit(self, seen_seq: int, limit_seq: int, limit_bytes: int = 2**30, now_s: float = 0.0) -> list[Command]:
        return self.streams.credit(7, Credit(107, seen_seq, limit_seq, limit_bytes), now_s)


@pytest.fixture
def rig() -> Rig:
    return Rig()


# --- messages


def test_a_step_is_one_message_for_each_app(rig: Rig) -> None:
    numbers = {1: 1, 2: 2, 3: 1, 4: 2}
    for number, session in numbers.items():
        rig.open(number, session=session)
    batch = [(rig.keys[number], event) for number in numbers for event in (delta("a"), delta("b"))]
    of_apps = sent(rig.streams.events([*batch, (rig.keys[3], DONE)], 2.0))
    assert [message.session for message in of_apps] == [1, 2]
    assert [(row.stream, row.last_seq, row.n_events, row.is_terminal) for row in of_apps[0].rows] == [
        (1, 2, 2, False),
        (3, 3, 3, True),
    ]
    assert of_apps[0].facts == [messages.Facts("done", 3, 5, 0, 2.0, 2.0)]
    assert [arrival.request for arrival in of_apps[0].arrivals] == [101, 101, 103, 103, 103]


def test_a_message_carries_no_more_blobs_than_an_app_takes(rig: Rig) -> None:
    rig.open()
    of_app = sent(rig.step(*(sound(1) for _ in range(150)), DONE))
    assert [len(message.arrivals) for message in of_app] == [MESSAGE_BLOBS, MESSAGE_BLOBS, 151 - 2 * MESSAGE_BLOBS]
    assert [message.rows[0].is_terminal for message in of_app] == [False, False, True]
    assert [arrival.seq for message in of_app for arrival in message.arrivals] == list(range(1, 152))


def test_state_events_have_no_number_and_need_no_window(rig: Rig) -> None:
    rig.open(window=(0, 0))
    assert said(rig.step(events.Parked(), delta("a"), events.Resumed())) == [
        (0, events.Parked()),
        (0, events.Resumed()),
    ]
    (message,) = sent(rig.step(events.Parked()))
    assert message.rows == (messages.Row(7, 0, 1, message.rows[0].size_bytes, False),)


def test_nothing_follows_the_end(rig: Rig) -> None:
    rig.open()
    assert said(rig.step(DONE, delta("late"), DONE)) == [(1, DONE)]
    assert rig.step(delta("later")) == []
    assert len(rig.streams) == 0


# --- windows


def test_text_that_may_not_go_grows_together_and_then_halts_the_engine(rig: Rig) -> None:
    key = rig.open(window=(1, 2**20))
    assert said(rig.step(delta("first"), delta("a"), delta("b"))) == [(1, delta("first"))]
    assert rig.step(delta("x" * (MERGED_BYTES - 3))) == []
    assert rig.step(delta("y")) == [Grant(key, False)]
    commands = rig.credit(1, 3)
    assert said(commands) == [(2, delta("ab" + "x" * (MERGED_BYTES - 3) + "y"))]
    assert commands[0] == Grant(key, True)


def test_merged_text_is_never_longer_than_one_event_may_be(rig: Rig) -> None:
    rig.open(window=(0, 0))
    for _ in range(5):
        rig.step(delta("é" * (MERGED_BYTES // 4)))
    lengths = [len(event.text.encode()) for _, event in said(rig.credit(0, 100))]
    assert lengths == [MERGED_BYTES, MERGED_BYTES, MERGED_BYTES // 2]


def test_kinds_of_text_are_not_mixed(rig: Rig) -> None:
    rig.open(window=(0, 0))
    rig.step(events.ThinkingDelta("a"), events.ThinkingDelta("b"), delta("c"), events.ToolCallStart("f", 0, "id"))
    rig.step(events.ToolCallDelta(0, "{"), events.ToolCallDelta(0, "}"), events.ToolCallDelta(1, "["), delta("d"))
    assert [event for _, event in said(rig.credit(0, 100))] == [
        events.ThinkingDelta("ab"),
        delta("c"),
        events.ToolCallStart("f", 0, "id"),
        events.ToolCallDelta(0, "{}"),
        events.ToolCallDelta(1, "["),
        delta("d"),
    ]


def test_sound_halts_the_engine_at_once_and_keeps_its_order(rig: Rig) -> None:
    key = rig.open(window=(1, 2**20))
    assert rig.step(sound(1), sound(2), sound(3))[0] == Grant(key, False)
    commands = rig.credit(1, 2)
    assert said(commands) == [(2, sound(2))]
    assert Grant(key, True) not in commands
    assert Grant(key, True) in rig.credit(2, 3)


def test_bytes_close_the_window_behind_the_event_that_reaches_them(rig: Rig) -> None:
    rig.open(window=(100, 1_000))
    assert [seq for seq, _ in said(rig.step(sound(300), sound(300), sound(300)))] == [1, 2]
    assert [seq for seq, _ in said(rig.credit(2, 100, 2_000))] == [3]


def test_a_credit_repeated_or_lower_changes_nothing(rig: Rig) -> None:
    rig.open(window=(2, 2**20))
    rig.step(*(sound(1) for _ in range(5)))
    assert rig.credit(2, 1, 0) == []
    assert [seq for seq, _ in said(rig.credit(2, 4))] == [3, 4]
    assert rig.credit(2, 4) == []


def test_the_end_needs_no_window_and_takes_the_text_along(rig: Rig) -> None:
    rig.open(window=(1, 2**20))
    commands = rig.step(delta("a"), delta("b"), delta("c"), USAGE, DONE)
    assert said(commands) == [(1, delta("a")), (2, delta("bc")), (3, USAGE), (4, DONE)]


def test_the_end_waits_behind_sound(rig: Rig) -> None:
    rig.open(window=(1, 2**20))
    assert said(rig.step(sound(1), sound(2), sound(3), DONE)) == [(1, sound(1))]
    assert said(rig.credit(1, 2)) == [(2, sound(2))]
    assert said(rig.credit(2, 3)) == [(3, sound(3)), (4, DONE)]


@pytest.mark.parametrize("end", [events.Cancelled("app", USAGE), events.Error("model_failed", "broken")])
def test_a_stream_that_was_cut_off_ends_at_once_without_what_waited(rig: Rig, end: events.Terminal) -> None:
    rig.open(window=(1, 2**20))
    assert said(rig.step(sound(1), sound(2), delta("b"), end)) == [(1, sound(1)), (2, end)]


# --- why a stream ends


def test_a_cancel_and_an_end_reach_the_engine(rig: Rig) -> None:
    key = rig.open()
    assert rig.streams.cancel(7, 0.0) == [Stop(key, "app")]
    assert rig.streams.end(messages.End(7, "unloaded"), 0.0) == [Stop(key, "unloaded")]
    assert rig.streams.cancel(8, 0.0) == rig.streams.end(messages.End(8, "app"), 0.0) == []


def test_a_deadline_is_an_error_although_the_engine_was_cancelled(rig: Rig) -> None:
    key = rig.open()
    assert rig.streams.end(messages.End(7, "deadline"), 0.0) == [Stop(key, "app")]
    commands = rig.step(events.Cancelled("app", USAGE))
    ((seq, error),) = said(commands)
    assert (seq, error.code, error.retryable) == (1, "deadline_exceeded", True)
    assert sent(commands)[0].facts[0].code == "deadline_exceeded"


def test_a_stream_that_was_faster_than_its_deadline_is_done(rig: Rig) -> None:
    rig.open()
    rig.streams.end(messages.End(7, "deadline"), 0.0)
    assert said(rig.step(DONE)) == [(1, DONE)]


def test_an_end_reaches_a_stream_whose_engine_has_finished(rig: Rig) -> None:
    rig.open(window=(0, 0))
    rig.step(sound(1), DONE)
    assert [event.reason for _, event in said(rig.streams.end(messages.End(7, "unloaded"), 0.0))] == ["unloaded"]
    assert len(rig.streams) == 0


def test_a_reader_that_stands_still_loses_its_stream(rig: Rig) -> None:
    key = rig.open(window=(1, 2**20))
    rig.step(delta("a"), delta("b"), now_s=5.0)
    assert rig.streams.next_s is not None
    assert rig.streams.timers(5.0 + SLOW_READER_S - 1) == []
    assert rig.streams.timers(5.0 + SLOW_READER_S) == [Stop(key, "slow_reader")]
    end = events.Cancelled("slow_reader", USAGE)
    assert said(rig.step(end, now_s=16.0)) == [(2, end)]
    assert rig.streams.next_s is None


def test_a_reader_that_acknowledges_keeps_it(rig: Rig) -> None:
    rig.open(window=(2, 2**20))
    rig.step(sound(1), sound(2), sound(3), sound(4), now_s=0.0)
    rig.credit(1, 2, now_s=8.0)
    assert rig.streams.timers(8.0 + SLOW_READER_S - 1) == []
    assert rig.streams.timers(8.0 + SLOW_READER_S) != []


def test_a_paused_app_may_leave_its_window_shut(rig: Rig) -> None:
    key = rig.open(window=(0, 0))
    rig.step(delta("a"))
    assert rig.streams.hold(7, 1.0, held=True) == key
    assert rig.streams.timers(100.0) == []
    rig.streams.hold(7, 100.0, held=False)
    assert rig.streams.timers(100.0 + SLOW_READER_S - 1) == []
    assert rig.streams.timers(100.0 + SLOW_READER_S) == [Stop(key, "slow_reader")]


def test_sound_that_nobody_takes_is_thrown_away_also_when_the_engine_is_done(rig: Rig) -> None:
    rig.open(window=(0, 0))
    rig.step(sound(1), USAGE, DONE, now_s=0.0)
    assert said(rig.streams.timers(SLOW_READER_S)) == [(1, events.Cancelled("slow_reader", USAGE))]


# --- the uplink


def piece(seq: int, size_bytes: int = 2) -> Feed:
    return Feed(107, seq, data=Blob(bytes(size_bytes)))


def test_pieces_in_turn_and_inside_the_window_pass(rig: Rig) -> None:
    key = rig.open()
    assert said(rig.streams.granted(key, 2, 100, 0.0)) == [(0, events.Granted(2, 100))]
    assert rig.streams.feed(7, piece(1), 0.0) == [Pass(key, piece(1))]
    assert rig.streams.feed(7, piece(2, 98), 0.0) == [Pass(key, piece(2, 98))]
    assert rig.streams.finish(7) == key


@pytest.mark.parametrize(
    ("pieces", "field"),
    [
        ([piece(2)], "seq"),
        ([piece(1), piece(1)], "seq"),
        ([piece(1), piece(2), piece(3)], "limit_seq"),
        ([piece(1, 102)], "limit_bytes"),
        ([Feed(107, 1, text="é" * 51)], "limit_bytes"),
    ],
)
def test_a_piece_out_of_turn_or_past_the_window_ends_the_stream(rig: Rig, pieces: list[Feed], field: str) -> None:
    key = rig.open()
    rig.streams.granted(key, 2, 100, 0.0)
    outcomes = [rig.streams.feed(7, one, 0.0) for one in pieces]
    assert outcomes[-1] == [Stop(key, "app")]
    assert rig.streams.feed(7, piece(9), 0.0) == []
    ((_, error),) = said(rig.step(events.Cancelled("app")))
    assert (error.code, error.details["field"]) == ("invalid_request", field)


def test_a_piece_before_any_window_or_behind_the_finish_ends_the_stream(rig: Rig) -> None:
    early, late = rig.open(1), rig.open(2)
    assert rig.streams.feed(1, piece(1), 0.0) == [Stop(early, "app")]
    rig.streams.granted(late, 2, 100, 0.0)
    rig.streams.finish(2)
    assert rig.streams.feed(2, piece(1), 0.0) == [Stop(late, "app")]


# --- a microphone that stops


@pytest.fixture
def ear(rig: Rig) -> Rig:
    """Return a stream that hears live; the engine takes 100 pieces from the first second on."""
    rig.open(heard_live=True)
    rig.streams.granted(rig.keys[7], 100, 1_000, 1.0)
    return rig


def test_a_microphone_that_stops_loses_its_stream_and_no_other_is_touched(ear: Rig) -> None:
    other = ear.open(8, heard_live=True)
    ear.streams.granted(other, 100, 1_000, 1.0)
    ear.streams.feed(7, piece(1), 3.0)
    ear.streams.feed(8, piece(1), 9.0)
    assert ear.streams.next_s is not None
    assert ear.streams.timers(3.0 + STARVED_FEED_S - 1) == []
    assert ear.streams.timers(3.0 + STARVED_FEED_S) == [Stop(ear.keys[7], "starved_feed")]
    end = events.Cancelled("starved_feed", USAGE)
    assert said(ear.step(end)) == [(1, end)]
    assert ear.streams.feed(8, piece(2), 18.0) == [Pass(other, piece(2))]
    assert ear.streams.timers(18.0 + STARVED_FEED_S - 1) == []


def test_a_microphone_that_never_starts_loses_its_stream_too(ear: Rig) -> None:
    assert ear.streams.timers(1.0 + STARVED_FEED_S) == [Stop(ear.keys[7], "starved_feed")]


def test_a_stopped_stream_is_not_stopped_again_at_each_look(ear: Rig) -> None:
    assert ear.streams.timers(20.0) != []
    assert ear.streams.timers(21.0) == []


def test_text_and_files_may_take_their_time(rig: Rig) -> None:
    rig.streams.granted(rig.open(), 100, 1_000, 0.0)
    rig.streams.feed(7, piece(1), 0.0)
    assert rig.streams.next_s is None
    assert rig.streams.timers(1_000.0) == []


@pytest.mark.parametrize("window", [(1, 1_000), (100, 2), (100, 3)], ids=["pieces", "bytes", "half a sample"])
def test_who_waits_for_our_window_is_not_late(rig: Rig, window: tuple[int, int]) -> None:
    key = rig.open(heard_live=True)
    assert rig.streams.timers(100.0) == []
    rig.streams.granted(key, *window, 100.0)
    rig.streams.feed(7, piece(1), 100.0)
    assert rig.streams.timers(200.0) == []
    rig.streams.granted(key, 200, 2_000, 200.0)
    assert rig.streams.timers(200.0 + STARVED_FEED_S - 1) == []
    assert rig.streams.timers(200.0 + STARVED_FEED_S) == [Stop(key, "starved_feed")]


def test_a_wider_window_is_no_sound(ear: Rig) -> None:
    ear.streams.granted(ear.keys[7], 200, 2_000, 10.0)
    assert ear.streams.timers(1.0 + STARVED_FEED_S) == [Stop(ear.keys[7], "starved_feed")]


def test_nothing_is_awaited_behind_the_finish(ear: Rig) -> None:
    ear.streams.finish(7)
    ear.streams.granted(ear.keys[7], 200, 2_000, 2.0)
    assert ear.streams.timers(100.0) == []
    assert ear.streams.next_s is None


def test_a_parked_stream_holds_no_slot_and_may_be_silent(ear: Rig) -> None:
    ear.step(events.Parked(), now_s=2.0)
    assert ear.streams.timers(100.0) == []
    ear.step(events.Resumed(), now_s=100.0)
    assert ear.streams.timers(100.0 + STARVED_FEED_S - 1) == []
    assert ear.streams.timers(100.0 + STARVED_FEED_S) == [Stop(ear.keys[7], "starved_feed")]


def test_a_paused_app_may_be_silent(ear: Rig) -> None:
    ear.streams.hold(7, 2.0, held=True)
    assert ear.streams.timers(100.0) == []
    ear.streams.hold(7, 100.0, held=False)
    assert ear.streams.timers(100.0 + STARVED_FEED_S - 1) == []
    assert ear.streams.timers(100.0 + STARVED_FEED_S) == [Stop(ear.keys[7], "starved_feed")]


def test_what_the_engine_has_ended_needs_no_sound(rig: Rig) -> None:
    key = rig.open(window=(0, 0), heard_live=True)
    rig.streams.granted(key, 100, 1_000, 0.0)
    rig.step(sound(1), DONE, now_s=5.0)
    assert rig.streams.timers(STARVED_FEED_S) == []
    assert said(rig.streams.timers(5.0 + SLOW_READER_S)) == [(1, events.Cancelled("slow_reader"))]


ACTS = st.sampled_from(["feed", "grant", "park", "resume", "pause", "go on", "finish", "nothing"])


@given(acts=st.lists(st.tuples(ACTS, st.floats(0, 12)), max_size=30), heard_live=st.booleans())
def test_a_stream_is_starved_if_and_only_if_it_could_take_sound_for_ten_seconds_and_got_none(
    acts: list[tuple[str, float]], *, heard_live: bool
) -> None:
    rig = Rig()
    key = rig.open(heard_live=heard_live)
    now_s = silent_since_s = 0.0
    fed = limit = 0
    parked = paused = finished = False
    for act, wait_s in acts:
        match act:
            case "feed" if fed < limit and not finished:
                fed += 1
                silent_since_s = now_s
                assert rig.streams.feed(7, piece(fed), now_s) == [Pass(key, piece(fed))]
            case "grant":
                limit = fed + 2
                rig.streams.granted(key, limit, 1_000, now_s)
            case "park" | "resume":
                parked = act == "park"
                rig.step(events.Parked() if parked else events.Resumed(), now_s=now_s)
                silent_since_s = now_s
            case "pause" | "go on":
                paused = act == "pause"
                rig.streams.hold(7, now_s, held=paused)
                silent_since_s = now_s
            case "finish":
                finished = True
                rig.streams.finish(7)
        could_take = heard_live and fed < limit and not (parked or paused or finished)
        if not could_take:
            silent_since_s = now_s + wait_s
        now_s += wait_s
        is_starved = now_s - silent_since_s >= STARVED_FEED_S
        stops = [Stop(key, "starved_feed")] if is_starved else []
        assert rig.streams.timers(now_s + (LOOK_S if is_starved else 0.0)) == stops
        if is_starved:
            return


# --- another daemon


def adopt(number: int, seen_seq: int, *, request: int = 107, session: int = 1) -> messages.Adopted:
    return messages.Adopted(f"session-{session:08}", request, 50, number, seen_seq)


def test_an_adopted_stream_goes_on_under_new_numbers_from_what_was_seen(rig: Rig) -> None:
    rig.open()
    rig.step(delta("a"), delta("b"), delta("c"))
    rig.credit(1, 100)
    rig.streams.lost(1.0)
    assert rig.step(delta("d")) == []
    (known,) = rig.streams.inflight(1.0)
    assert (known.app_session, known.request, known.last_seq, known.seen_seq) == ("session-00000001", 107, 4, 1)
    commands = rig.streams.welcome([adopt(3, 2)], 2.0)
    (message,) = sent(commands)
    assert (message.session, message.rows[0].stream) == (50, 3)
    assert [(arrival.seq, arrival.event) for arrival in message.arrivals] == [(3, delta("c")), (4, delta("d"))]
    assert rig.streams.key(3) == rig.keys[7]
    assert rig.streams.key(7) is None
    assert said(rig.step(DONE)) == [(5, DONE)]


def test_a_stream_that_nobody_adopts_is_ended_and_never_mentioned(rig: Rig) -> None:
    key = rig.open()
    rig.streams.lost(1.0)
    assert rig.streams.welcome([], 2.0) == [Stop(key, "disconnected")]
    assert rig.step(delta("a"), events.Cancelled("disconnected")) == []
    assert rig.streams.key(7) is None


def test_an_end_that_a_dying_daemon_took_along_is_told_again(rig: Rig) -> None:
    rig.open()
    rig.step(delta("a"), DONE, now_s=1.0)
    rig.streams.lost(2.0)
    assert [known.last_seq for known in rig.streams.inflight(3.0)] == [2]
    commands = rig.streams.welcome([adopt(9, 0)], 4.0)
    assert said(commands) == [(1, delta("a")), (2, DONE)]
    assert sent(commands)[0].rows[0].is_terminal
    assert rig.streams.inflight(1.0 + LOST_LINE_S + 1) == ()


def test_what_is_no_longer_kept_cannot_be_resumed(rig: Rig) -> None:
    key = rig.open()
    rig.step(*(sound(250_000) for _ in range(4)))
    rig.streams.lost(1.0)
    commands = rig.streams.welcome([adopt(9, 0)], 2.0)
    ((seq, error),) = said(commands)
    assert (seq, error.code, error.details["started"]) == (1, "connection_lost", True)
    assert Stop(key, "disconnected") in commands
    assert len(rig.streams) == 0


def test_without_a_daemon_streams_end_after_a_while(rig: Rig) -> None:
    key = rig.open(window=(0, 0))
    rig.step(delta("a"))
    rig.streams.lost(100.0)
    assert rig.streams.next_s == 100.0 + LOST_LINE_S
    assert rig.streams.timers(99.0 + LOST_LINE_S) == []
    assert rig.streams.timers(100.0 + LOST_LINE_S) == [Stop(key, "disconnected")]
    assert len(rig.streams) == 0


def test_ended_streams_are_kept_within_their_bytes(rig: Rig) -> None:
    for number in range(1, 20):
        rig.open(number)
        rig.step(sound(200_000), DONE, number=number)
    kept = rig.streams.inflight(0.0)
    assert [known.request for known in kept] == list(range(119 - len(kept) + 1, 120))
    assert len(kept) == ENDED_BYTES // 400_000


# --- properties

TEXT = st.text("aé😀", min_size=1, max_size=6).map(delta)
CONTENT = TEXT | st.integers(1, 40).map(sound) | st.just(USAGE)


class App:
    """One request as its app sees it: everything that arrived, checked against the window."""

    def __init__(self, window: tuple[int, int]) -> None:
        self.limit_seq, self.limit_bytes = window
        self.produced: list[events.Event] = []
        self.arrived: list[tuple[int, int, events.Event]] = []
        """seq, size, event"""
        self.end: events.Event | None = None

    @property
    def concluded(self) -> bool:
        return bool(self.produced) and isinstance(self.produced[-1], events.TERMINALS)

    @property
    def size_bytes(self) -> int:
        return sum(size for _, size, _ in self.arrived)


def joined(stream: Sequence[events.Event]) -> list[object]:
    """Return a stream's content with neighbouring texts put together: what merging may not change."""
    whole: list[object] = []
    for event in stream:
        if isinstance(event, events.TextDelta) and whole and isinstance(whole[-1], str):
            whole[-1] += event.text
        else:
            whole.append(event.text if isinstance(event, events.TextDelta) else event)
    return whole


class Lives(RuleBasedStateMachine):
    """Several apps' requests, an engine that obeys its grants, and whatever order hypothesis thinks of."""

    @initialize(windows=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 400)), min_size=1, max_size=4))
    def begin(self, windows: list[tuple[int, int]]) -> None:
        self.rig = Rig()
        self.now_s = 0.0
        self.apps: dict[int, App] = {}
        self.halted: set[StreamId] = set()
        self.stopped: dict[StreamId, Any] = {}
        for number, window in enumerate(windows, start=1):
            self.rig.open(number, session=1 + number % 2, window=window)
            self.apps[number] = App(window)

    def carry_out(self, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case Grant(stream, may_produce):
                    assert may_produce == (stream in self.halted), "a grant that changes nothing"
                    (self.halted.discard if may_produce else self.halted.add)(stream)
                case Stop(stream, reason):
                    self.stopped[stream] = reason
                case Send(frames):
                    self.arrive(read(frames))

    def arrive(self, message: Message) -> None:
        for arrival in message.arrivals:
            app = self.apps[arrival.request - 100]
            assert app.end is None, "something behind the end"
            assert arrival.seq == len(app.arrived) + 1, "lost, doubled or out of order"
            assert arrival.event is not None
            if isinstance(arrival.event, events.AudioChunk):
                assert arrival.seq <= app.limit_seq, "sound past the window"
                assert app.size_bytes < app.limit_bytes, "sound past the window"
            app.arrived.append((arrival.seq, arrival.size_bytes, arrival.event))
            if isinstance(arrival.event, events.TERMINALS):
                app.end = arrival.event
        for row in message.rows:
            app = self.apps[row.stream]
            assert row.last_seq == len(app.arrived)
            assert row.is_terminal == (app.end is not None)

    def live(self) -> list[int]:
        return [number for number, app in self.apps.items() if app.end is None]

    @rule(data=st.data(), contents=st.lists(CONTENT, max_size=5), ends=st.booleans())
    def produce(self, data: st.DataObject, contents: list[events.Content], *, ends: bool) -> None:
        number = data.draw(st.sampled_from(sorted(self.apps)))
        app, key = self.apps[number], self.rig.keys[number]
        if app.concluded:
            return
        end: events.Terminal | None = DONE if ends else None
        if key in self.stopped:
            contents, end = [], events.Cancelled(self.stopped[key], USAGE)
        elif key in self.halted:
            contents = []
        produced: list[Any] = [*contents, *([end] if end else [])]
        app.produced += produced
        batch = [(key, event) for event in produced]
        self.carry_out(self.rig.streams.events(batch, self.now_s))
        self.inside_the_window(app)

    @rule(data=st.data(), more=st.integers(0, 4), more_bytes=st.integers(0, 300), seen=st.integers(0, 10))
    def acknowledge(self, data: st.DataObject, more: int, more_bytes: int, seen: int) -> None:
        number = data.draw(st.sampled_from(sorted(self.apps)))
        app = self.apps[number]
        app.limit_seq += more
        app.limit_bytes += more_bytes
        credit = Credit(100 + number, min(seen, len(app.arrived)), app.limit_seq, app.limit_bytes)
        self.carry_out(self.rig.streams.credit(number, credit, self.now_s))
        self.inside_the_window(app)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.carry_out(self.rig.streams.cancel(data.draw(st.sampled_from(sorted(self.apps))), self.now_s))

    @rule(delay_s=st.floats(0, 20))
    def wait(self, delay_s: float) -> None:
        self.now_s += delay_s
        self.carry_out(self.rig.streams.timers(self.now_s))

    def inside_the_window(self, app: App) -> None:
        """Only the end may pass the window, with the text and the counts in front of it."""
        if app.end is None and app.arrived:
            assert len(app.arrived) <= app.limit_seq
            assert sum(size for _, size, _ in app.arrived[:-1]) < app.limit_bytes

    @invariant()
    def content_is_what_was_produced(self) -> None:
        for app in getattr(self, "apps", {}).values():
            produced = joined([event for event in app.produced if not isinstance(event, events.TERMINALS)])
            arrived = joined([event for _, _, event in app.arrived if not isinstance(event, events.TERMINALS)])
            if isinstance(app.end, events.Finished):
                assert arrived == produced
            else:
                assert is_beginning(arrived, produced)

    def teardown(self) -> None:
        for number in self.live() if hasattr(self, "apps") else ():
            key, app = self.rig.keys[number], self.apps[number]
            if not app.concluded:
                app.produced.append(DONE)
                self.carry_out(self.rig.streams.events([(key, DONE)], self.now_s))
            app.limit_seq, app.limit_bytes = WIDE
            self.carry_out(self.rig.streams.credit(number, Credit(100 + number, 0, *WIDE), self.now_s))
            assert app.end is not None
        if hasattr(self, "apps"):
            assert len(self.rig.streams) == 0
            self.content_is_what_was_produced()


def is_beginning(part: list[object], whole: list[object]) -> bool:
    """Tell whether a content begins another; its last text may be the beginning of a longer one."""
    if not part:
        return True
    *before, last = part
    if whole[: len(before)] != before or len(whole) < len(part):
        return False
    other = whole[len(before)]
    return last == other or (isinstance(last, str) and isinstance(other, str) and other.startswith(last))


Lives.TestCase.settings = settings(max_examples=150, stateful_step_count=30)
TestLives = Lives.TestCase


@given(
    contents=st.lists(CONTENT, max_size=20),
    windows=st.lists(st.integers(0, 8), max_size=4),
    seen=st.integers(0, 20),
    ends=st.booleans(),
)
def test_a_replay_is_everything_behind_what_was_seen(
    contents: list[events.Content], windows: list[int], seen: int, *, ends: bool
) -> None:
    rig = Rig()
    rig.open(window=(3, 2**20))
    commands = rig.step(*contents, *([DONE] if ends else []))
    for limit in windows:
        commands += rig.credit(0, limit)
    before = said(commands)
    seen = min(seen, len(before))
    rig.streams.lost(1.0)
    replayed = said(rig.streams.welcome([adopt(9, seen)], 2.0))
    assert replayed == before[seen:]
    assert all(one[0] + 1 == other[0] for one, other in pairwise(replayed))
