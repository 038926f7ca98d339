"""The whole answer is what its events said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd import accumulate
from inferd.errors import InvalidRequest
from inferd.messages import events
from inferd.messages.events import Queued, TextDelta, ThinkingDelta, ToolCallDelta, ToolCallStart, Usage
from inferd.messages.operations import ToolCall
from inferd.reply import Done, GenerateEvent, Reply, ReplyView


@given(st.lists(st.tuples(st.booleans(), st.text(max_size=5))))
def test_text_and_thinking_are_their_deltas_in_order(said: list[tuple[bool, str]]) -> None:
    deltas: list[GenerateEvent] = [TextDelta(text) if aloud else ThinkingDelta(text) for aloud, text in said]
    reply = accumulate([*deltas, Done(Reply("", model="m"))])
    assert reply.text == "".join(text for aloud, text in said if aloud)
    assert reply.thinking == "".join(text for aloud, text in said if not aloud)
    assert reply.model == "m"


def test_interleaved_calls_are_put_together_by_their_index() -> None:
    reply = accumulate(
        [
            ToolCallStart("b", 1, "id-b"),
            ToolCallStart("a", 0, "id-a"),
            ToolCallDelta(1, '{"x"'),
            ToolCallDelta(0, "{}"),
            ToolCallDelta(1, ":1}"),
            Done(Reply("")),
        ]
    )
    assert reply.tool_calls == (ToolCall("id-a", "a", "{}"), ToolCall("id-b", "b", '{"x":1}'))


def test_events_without_done_are_no_answer() -> None:
    with pytest.raises(InvalidRequest, match="ended without Done"):
        accumulate([TextDelta("half of it")])


def test_done_carries_the_reply_with_what_the_daemon_and_the_clock_said() -> None:
    view = ReplyView(asked_s=10.0)
    end = events.Finished("m", "length", Usage(3, 2, 1), 0.5, 1.5, ("clamped",), "big")
    shown = [
        view.show(event, now_s)
        for event, now_s in (
            (events.Accepted("trace"), 10.1),
            (Queued(1), 10.2),
            (TextDelta("a"), 12.5),
            (TextDelta("b"), 13.0),
            (end, 14.0),
        )
    ]
    reply = Reply(
        text="ab",
        usage=Usage(3, 2, 1),
        stop_reason="length",
        trace_id="trace",
        model="m",
        latency_s=4.0,
        first_event_s=2.5,
        queue_s=0.5,
        load_s=1.5,
        fallback_from="big",
        warnings=("clamped",),
    )
    assert shown == [None, Queued(1), TextDelta("a"), TextDelta("b"), Done(reply)]
    assert view.reply == reply


def test_an_answer_without_content_has_no_time_of_its_first_event() -> None:
    view = ReplyView(asked_s=10.0)
    view.show(Queued(1), 11.0)
    view.show(events.Finished("m"), 12.0)
    assert view.reply is not None
    assert view.reply.first_event_s is None
    assert view.reply.text == ""
