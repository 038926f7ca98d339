"""The client's end of the protocol, decision by decision."""

from __future__ import annotations

import pytest
from driven_session import CONNECT_TIMEOUT_S, TIMEOUT_S, UID, Box, DrivenSession

from inferd import errors, wire
from inferd.calls import Cancel, Close, Consumed, Delivery, Leave, Say
from inferd.messages import control, events, operations
from inferd.session import Phase

TEXT = events.TextDelta("x")
ACCEPTED = events.Accepted("trace")


def started() -> tuple[DrivenSession, int, Box]:
    """Return a session with one accepted request."""
    driven = DrivenSession()
    driven.up()
    request, box = driven.open()
    driven.hear(request, 0, ACCEPTED)
    driven.look()
    return driven, request, box


# --- the hello


def test_every_connection_begins_with_a_hello_and_requests_wait_for_the_welcome() -> None:
    driven = DrivenSession()
    driven.open()
    driven.connect()
    (hello,) = driven.look()
    assert isinstance(hello, control.Hello)
    driven.welcome()
    (request,) = driven.look()
    assert isinstance(request, control.Request)
    assert request.op == "generate"
    assert wire.operation_of(request) == operations.Generate((operations.Message("user", "hi"),))
    driven.break_line()
    driven.connect()
    assert driven.look() == [hello]


@pytest.mark.parametrize("uid", [UID, 0])
def test_our_own_daemon_and_a_listener_held_by_the_system_are_trusted(uid: int) -> None:
    driven = DrivenSession()
    driven.connect()
    driven.welcome(uid=uid)
    assert driven.session.phase is Phase.UP


@pytest.mark.parametrize("uid", [UID + 1, None])
def test_somebody_elses_daemon_gets_nothing_and_every_call_says_why(uid: int | None) -> None:
    driven = DrivenSession()
    _, before = driven.open()
    driven.connect()
    driven.look()
    driven.welcome(uid=uid)
    _, after = driven.open()
    assert driven.look() == []
    for box in (before, after, driven.ping()):
        assert isinstance(box.end, errors.PermissionDenied)


def test_a_welcome_in_another_version_is_refused_with_the_numbers() -> None:
    driven = DrivenSession()
    _, box = driven.open()
    driven.connect()
    driven.welcome(protocol=7, uid=UID)
    assert isinstance(box.end, errors.VersionMismatch)
    assert dict(box.end.details) == {"found": 7, "lowest": 1, "highest": 1}


def test_a_refused_hello_fails_every_call_until_the_next_connection() -> None:
    driven = DrivenSession()
    _, box = driven.open()
    driven.connect()
    driven.say(control.Refused("version_mismatch", "too old"))
    assert isinstance(box.end, errors.VersionMismatch)
    _, at_once = driven.open()
    assert at_once.end.message == "too old"
    assert at_once.end is not box.end  # raised in two threads
    driven.break_line()
    _, later = driven.open()
    driven.up()
    assert [type(message) for message in driven.look()] == [control.Request]
    assert later.items == []


def test_garbage_instead_of_a_welcome_is_a_protocol_error() -> None:
    driven = DrivenSession()
    _, box = driven.open()
    driven.connect()
    driven.session.receive([b"\xff"], UID, driven.now_s)
    driven.settle()
    assert isinstance(box.end, errors.ProtocolError)


def test_garbage_later_ends_what_runs_here_and_there() -> None:
    driven, request, box = started()
    driven.session.receive([b"\xff"], None, driven.now_s)
    driven.settle()
    assert isinstance(box.end, errors.ProtocolError)
    assert driven.look() == [control.Cancel(request)]


def test_an_unknown_message_of_a_newer_daemon_is_ignored() -> None:
    driven, request, box = started()
    header, _ = wire.pack({"type": "weather", "sunny": True})
    driven.session.receive([header], None, driven.now_s)
    driven.hear(request, 1, TEXT)
    assert box.events == [ACCEPTED, TEXT]


# --- waiting for a daemon


def test_without_a_daemon_a_call_fails_after_the_connect_timeout_and_says_how_to_start_one() -> None:
    driven = DrivenSession()
    _, box = driven.open()
    ping = driven.ping()
    driven.wait(CONNECT_TIMEOUT_S - 0.01)
    assert box.items == ping.items == []
    driven.wait(0.01)
    for one in (box, ping):
        assert isinstance(one.end, errors.ConnectionLost)
        assert one.end.details["started"] is False
        assert one.end.retryable
        assert "no daemon answered at /run/x.sock within 5 s; start it: inferd serve" in one.end.message


def test_a_daemon_that_does_not_answer_the_hello_is_told_apart_from_none() -> None:
    driven = DrivenSession()
    _, box = driven.open()
    driven.connect()
    driven.wait(CONNECT_TIMEOUT_S)
    assert "did not answer the hello" in box.end.message


def test_a_call_that_found_no_daemon_is_not_run_when_one_comes() -> None:
    driven = DrivenSession()
    driven.open()
    driven.wait(CONNECT_TIMEOUT_S)
    driven.up()
    assert driven.look() == []


def test_failed_attempts_to_connect_do_not_prolong_the_wait() -> None:
    driven = DrivenSession()
    _, box = driven.open()
    driven.wait(CONNECT_TIMEOUT_S - 1)
    driven.break_line()
    driven.wait(1)
    assert isinstance(box.end, errors.ConnectionLost)


# --- events


def test_events_reach_the_app_in_order_and_repetitions_do_not() -> None:
    driven, request, box = started()
    for seq, text in ((1, "a"), (2, "b"), (2, "b"), (1, "a"), (3, "c")):
        driven.hear(request, seq, events.TextDelta(text))
    assert box.events == [ACCEPTED, *map(events.TextDelta, "abc")]


def test_a_gap_ends_the_stream_and_cancels_it() -> None:
    driven, request, box = started()
    driven.hear(request, 1, TEXT)
    driven.hear(request, 3, TEXT)
    assert isinstance(box.end, errors.ProtocolError)
    assert dict(box.end.details) == {"found": 3, "expected": 2}
    assert driven.look() == [control.Cancel(request)]
    driven.hear(request, 4, TEXT)
    assert len(box.items) == 3


def test_a_gap_before_done_is_an_error_too_for_the_text_would_pass_for_complete() -> None:
    driven, request, box = started()
    driven.hear(request, 2, events.Finished("m"))
    assert isinstance(box.end, errors.ProtocolError)


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (events.Cancelled("slow_reader"), errors.Cancelled),
        (events.Error("model_failed", "died"), errors.ModelFailed),
    ],
)
def test_an_end_that_is_no_success_may_skip_what_was_thrown_away(
    event: events.Event, kind: type[errors.InferenceError]
) -> None:
    driven, request, box = started()
    driven.hear(request, 9, event)
    assert type(box.end) is kind


def test_an_error_keeps_everything_that_the_daemon_said() -> None:
    driven, request, box = started()
    driven.hear(
        request, 1, events.Error("queue_full", "busy", retryable=True, retry_after_s=2.5, details={"waiting": 9})
    )
    assert isinstance(box.end, errors.QueueFull)
    assert (box.end.message, box.end.retryable, box.end.retry_after_s) == ("busy", True, 2.5)
    assert dict(box.end.details) == {"waiting": 9}


def test_a_request_that_is_refused_before_it_was_accepted_ends_with_the_reason() -> None:
    driven = DrivenSession()
    driven.up()
    request, box = driven.open()
    driven.hear(request, 1, events.Error("model_not_found", "no such model"))
    assert isinstance(box.end, errors.ModelNotFound)


def test_a_line_that_broke_on_the_daemons_side_is_not_called_a_cancellation() -> None:
    driven, request, box = started()
    driven.hear(request, 1, events.Cancelled("disconnected"))
    assert isinstance(box.end, errors.ConnectionLost)
    assert box.end.details["started"] is True


def test_an_event_that_only_a_newer_daemon_knows_counts_and_is_not_shown() -> None:
    driven, request, box = started()
    unknown = wire.PackedEvent(request, 1, wire.pack(["sparkle", request, 1, 0, {"colour": "red"}])[0])
    driven.session.receive(wire.join_events([unknown]), None, driven.now_s)
    driven.settle()
    driven.hear(request, 2, TEXT)
    assert [event for event in box.events if event is not None] == [ACCEPTED, TEXT]


def test_events_of_a_request_that_has_ended_are_nothing() -> None:
    driven, request, box = started()
    driven.hear(request, 1, events.Finished("m"))
    driven.hear(request, 2, TEXT)
    driven.hear(77, 1, TEXT)
    assert box.events == [ACCEPTED, events.Finished("m")]


# --- windows


def test_credit_follows_what_the_app_has_consumed_not_what_has_arrived() -> None:
    driven, request, box = started()
    for seq in range(1, 65):
        driven.hear(request, seq, TEXT)
    assert driven.look() == []
    receipts = [item.receipt for item in box.items if isinstance(item, Delivery) and item.receipt]
    assert [receipt.seq for receipt in receipts] == [32, 64]
    driven.obey(receipts[0])
    assert driven.look() == [
        control.Credit(request, seen_seq=64, limit_seq=96, limit_bytes=2**20 + receipts[0].size_bytes)
    ]


def test_large_events_are_acknowledged_by_their_bytes() -> None:
    driven, request, box = started()
    for seq in range(1, 5):
        driven.hear(request, seq, events.TextDelta("x" * 300_000))
    receipts = [item.receipt for item in box.items if isinstance(item, Delivery) and item.receipt]
    assert [receipt.seq for receipt in receipts] == [2, 4]


def test_the_last_event_of_a_window_always_moves_it_on() -> None:
    driven = DrivenSession()
    driven.up(limits=control.Limits(inflight=256, window_events=512))
    request, box = driven.open()
    (sent,) = [message for message in driven.look() if isinstance(message, control.Request)]
    assert sent.window.limit_seq == 2
    seen = 0
    for _ in range(20):  # the daemon uses each window up; the app consumes all
        for seq in range(seen + 1, sent.window.limit_seq + seen + 1):
            driven.hear(request, seq, TEXT)
        seen += sent.window.limit_seq
        last = box.items[-1]
        assert isinstance(last, Delivery)
        assert last.receipt == Consumed(request, seen, last.receipt.size_bytes if last.receipt else 0)
        driven.obey(last.receipt)
        (credit,) = driven.look()
        assert isinstance(credit, control.Credit)
        assert credit.limit_seq == seen + 2


def test_a_request_past_the_daemons_bound_is_refused_here_with_both_numbers() -> None:
    driven = DrivenSession()
    driven.up(limits=control.Limits(inflight=2))
    for _ in range(2):
        driven.open()
    _, box = driven.open()
    assert isinstance(box.end, errors.QueueFull)
    assert box.end.retryable
    assert dict(box.end.details) == {"found": 2, "limit": 2}
    driven.hear(1, 1, events.Finished("m"))
    _, again = driven.open()
    assert again.items == []


def test_a_message_past_a_limit_is_never_sent() -> None:
    driven = DrivenSession()
    driven.up(limits=control.Limits(header_bytes=1_000))
    _, box = driven.open(operations.Generate((operations.Message("user", "x" * 2_000),)))
    assert driven.look() == []
    assert isinstance(box.end, errors.InvalidRequest)
    assert box.end.details["limit"] == 1_000
    assert box.end.details["field"] == "header_bytes"


# --- deadlines


def test_progress_starts_a_streams_deadline_anew() -> None:
    driven, request, box = started()
    driven.wait(TIMEOUT_S - 1)
    driven.hear(request, 0, events.Queued(3))
    driven.wait(TIMEOUT_S - 1)
    assert len(box.items) == 2
    driven.wait(1)
    assert isinstance(box.end, errors.DeadlineExceeded)
    assert box.end.details["latest"] == "queued"
    assert driven.look() == [control.Cancel(request)]


def test_progress_does_not_prolong_a_simple_call() -> None:
    driven = DrivenSession()
    driven.up()
    request, box = driven.open(operations.Status(), progress_extends=False)
    driven.wait(TIMEOUT_S - 1)
    driven.hear(request, 0, ACCEPTED)
    driven.wait(1)
    assert isinstance(box.end, errors.DeadlineExceeded)


def test_a_missed_deadline_tells_what_the_daemon_had_complained_about() -> None:
    driven, _, box = started()
    driven.say(control.Refused("invalid_request", "a credit past the window"))
    driven.wait(TIMEOUT_S)
    assert "a credit past the window" in box.end.message


def test_a_ping_without_a_pong_fails_in_time() -> None:
    driven = DrivenSession()
    driven.up()
    box = driven.ping("m", timeout_s=2.0)
    driven.wait(2.0)
    assert isinstance(box.end, errors.DeadlineExceeded)
    assert box.end.message == "m did not answer a ping within 2 s"
    driven.say(control.Pong(1))
    assert len(box.items) == 1


def test_a_pong_that_carries_a_code_is_that_error() -> None:
    driven = DrivenSession()
    driven.up()
    box = driven.ping("m")
    driven.say(control.Pong(1, code="unsupported_mode", message="m is not loaded"))
    assert isinstance(box.end, errors.UnsupportedMode)


# --- cancel and leave


def test_cancel_is_sent_once_and_the_stream_goes_on_to_its_own_end() -> None:
    driven, request, box = started()
    driven.obey(Cancel(request))
    driven.obey(Cancel(request))
    assert driven.look() == [control.Cancel(request)]
    driven.hear(request, 1, TEXT)
    driven.hear(request, 2, events.Cancelled("app", events.Usage(3, 4)))
    assert box.events == [ACCEPTED, TEXT]
    assert dict(box.end.details) == {"reason": "app", "completion_tokens": 4}


def test_a_cancel_that_nobody_confirms_ends_after_a_while() -> None:
    driven, request, box = started()
    driven.obey(Cancel(request))
    driven.wait(10.0)
    assert isinstance(box.end, errors.Cancelled)


def test_what_was_left_is_not_delivered_but_counts_until_the_daemon_has_ended_it() -> None:
    driven = DrivenSession()
    driven.up(limits=control.Limits(inflight=1))
    request, box = driven.open()
    driven.obey(Leave(request))
    driven.obey(Leave(request))
    driven.hear(request, 1, TEXT)
    assert [type(message) for message in driven.look()] == [control.Request, control.Cancel]
    assert box.events == []
    assert isinstance(box.end, errors.Cancelled)
    _, too_early = driven.open()
    assert isinstance(too_early.end, errors.QueueFull)
    driven.hear(request, 2, events.Cancelled("app"))
    _, then = driven.open()
    assert then.items == []


def test_what_was_left_is_forgotten_after_a_while_even_if_the_daemon_never_ends_it() -> None:
    driven = DrivenSession()
    driven.up(limits=control.Limits(inflight=1))
    request, _ = driven.open()
    driven.obey(Leave(request))
    driven.wait(10.0)
    _, then = driven.open()
    assert then.items == []


def test_cancelling_what_was_never_sent_needs_no_daemon() -> None:
    driven = DrivenSession()
    request, box = driven.open()
    driven.obey(Cancel(request))
    assert isinstance(box.end, errors.Cancelled)
    driven.up()
    assert driven.look() == []


# --- broken lines


def test_a_request_that_was_not_accepted_is_sent_again_with_the_same_id() -> None:
    driven = DrivenSession()
    driven.up()
    request, box = driven.open()
    (first,) = driven.look()
    driven.break_line()
    driven.wait(1)
    driven.up(instance="another instance")
    assert driven.look() == [first]
    driven.hear(request, 0, ACCEPTED)
    driven.hear(request, 1, events.Finished("m"))
    assert box.events == [ACCEPTED, events.Finished("m")]


@pytest.mark.parametrize("instance", ["1nstance", "another instance"])
def test_an_accepted_request_goes_on_behind_the_last_event_seen(instance: str) -> None:
    driven, request, box = started()
    driven.hear(request, 1, TEXT)
    driven.break_line()
    driven.up(instance=instance)
    assert driven.look() == [control.Reattach(request, seen_seq=1, limit_seq=64, limit_bytes=2**20)]
    driven.hear(request, 1, TEXT)
    driven.hear(request, 2, events.Finished("m"))
    assert box.events == [ACCEPTED, TEXT, events.Finished("m")]


def test_an_accepted_request_whose_line_does_not_come_back_is_lost_and_says_that_it_had_started() -> None:
    driven, _, box = started()
    driven.break_line()
    driven.wait(29.9)
    assert len(box.items) == 1
    driven.wait(0.1)
    assert isinstance(box.end, errors.ConnectionLost)
    assert box.end.details["started"] is True


def test_a_deadline_that_passes_while_there_is_no_line_is_the_lines_fault() -> None:
    driven = DrivenSession()
    driven.up()
    request, box = driven.open(timeout_s=5.0)
    driven.hear(request, 0, ACCEPTED)
    driven.break_line()
    driven.wait(5.0)
    assert isinstance(box.end, errors.ConnectionLost)
    assert box.end.details["started"] is True


def test_after_an_interrupt_in_the_middle_of_the_work_every_call_has_ended_and_new_ones_go_on() -> None:
    driven, request, box = started()
    driven.hear(request, 1, TEXT)
    unsent, pinged = driven.open()[1], driven.ping()
    driven.look()
    driven.session.torn(driven.now_s)
    driven.settle()
    for one in (box, unsent, pinged):
        assert isinstance(one.end, errors.ConnectionLost)
        assert "an interrupt of this program" in one.end.message
    driven.up()
    assert driven.look() == [control.Cancel(request), control.Cancel(request + 1)]
    later, answered = driven.open()
    driven.hear(later, 1, events.Finished("m"))
    assert answered.events == [events.Finished("m")]


def test_what_was_consumed_while_the_line_was_down_is_in_the_reattach() -> None:
    driven, request, _ = started()
    driven.hear(request, 1, TEXT)
    driven.break_line()
    driven.obey(Consumed(request, 1, 30))
    assert driven.look() == []
    driven.up()
    assert driven.look() == [control.Reattach(request, seen_seq=1, limit_seq=65, limit_bytes=2**20 + 30)]


def test_a_stop_never_reaches_a_second_daemon() -> None:
    driven = DrivenSession()
    driven.up()
    _, box = driven.open(operations.Stop())
    driven.look()
    driven.break_line()
    assert isinstance(box.end, errors.ConnectionLost)
    assert box.end.details["started"] is False
    driven.up(instance="another instance")
    assert driven.look() == []


def test_a_stream_with_an_uplink_does_not_outlive_its_line() -> None:
    driven = DrivenSession()
    driven.up()
    grants = Box()
    request, box = driven.open(operations.Loopback(), grants=grants)
    driven.hear(request, 0, ACCEPTED)
    driven.hear(request, 0, events.Granted(10, 1_000))
    assert grants.events == [events.Granted(10, 1_000)]
    driven.break_line()
    for one in (box, grants):
        assert isinstance(one.end, errors.ConnectionLost)
        assert one.end.details["started"] is True


def test_what_was_left_or_cancelled_is_cancelled_again_at_the_same_daemon_only() -> None:
    for instance, expected in (("1nstance", [control.Cancel(1)]), ("another instance", [])):
        driven, request, box = started()
        driven.obey(Cancel(request))
        driven.look()
        driven.break_line()
        assert isinstance(box.end, errors.Cancelled)
        driven.up(instance=instance)
        assert driven.look() == expected
        driven.break_line()
        driven.up(instance=instance)
        assert driven.look() == []


def test_pings_are_sent_again() -> None:
    driven = DrivenSession()
    driven.up()
    box = driven.ping()
    driven.break_line()
    driven.up()
    assert driven.look() == [control.Ping(1), control.Ping(1)]
    driven.say(control.Pong(1, "1nstance"))
    assert box.items == [control.Pong(1, "1nstance")]


def test_messages_of_a_connection_that_is_gone_are_not_believed() -> None:
    driven, request, box = started()
    driven.break_line()
    driven.hear(request, 1, TEXT)
    driven.connect()
    driven.hear(request, 1, TEXT)
    assert box.events == [ACCEPTED]


def test_a_second_welcome_of_the_same_daemon_changes_nothing() -> None:
    driven, _, _ = started()
    driven.welcome()
    assert driven.look() == []


# --- uplink and close


def test_pieces_go_up_only_while_the_stream_is_live() -> None:
    driven = DrivenSession()
    driven.up()
    request, _ = driven.open(operations.Loopback(), grants=Box())
    driven.look()
    piece = control.Feed(request, 1, text="x")
    driven.obey(Say(request, wire.encode(piece)))
    assert driven.look() == []
    driven.hear(request, 0, ACCEPTED)
    driven.obey(Say(request, wire.encode(piece)))
    assert driven.look() == [piece]
    driven.hear(request, 1, events.Finished("m"))
    driven.obey(Say(request, wire.encode(piece)))
    assert driven.look() == []


def test_the_end_of_a_fed_stream_reaches_the_sender_too() -> None:
    driven = DrivenSession()
    driven.up()
    grants = Box()
    request, box = driven.open(operations.Loopback(), grants=grants)
    driven.hear(request, 1, events.Finished("m"))
    assert grants.events == box.events == [events.Finished("m")]


def test_closing_ends_every_call_and_says_goodbye() -> None:
    driven, _, box = started()
    ping = driven.ping()
    driven.look()
    driven.obey(Close())
    assert [type(message) for message in driven.look()] == [control.Goodbye]
    for one in (box, ping):
        assert isinstance(one.end, errors.Cancelled)
    _, late = driven.open()
    assert isinstance(late.end, errors.Cancelled)
    assert driven.session.closed
