"""A line that breaks, and a daemon that is another one afterwards."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from scripted_daemon import PATIENCE_S, ScriptedDaemon, answering

import inferd
from inferd import Client, TextDelta
from inferd.calls import Item, Mailbox
from inferd.carrier import BATCH_MESSAGES
from inferd.drafts import draft
from inferd.intake import Only
from inferd.line import Line
from inferd.messages import control, events, operations
from inferd.streams import Stream

FINISHED = events.Finished("m")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


def test_a_request_that_was_not_accepted_runs_at_the_next_daemon_under_the_same_id(path: Path) -> None:
    with Client("test", socket=path) as client, ThreadPoolExecutor() as pool:
        with ScriptedDaemon(path) as first:
            asked = pool.submit(client.generate, "hi")
            before = first.request().request
            session = first.next(control.Hello).app_session
        with ScriptedDaemon(path, instance="another instance", script=answering(FINISHED)) as second:
            assert asked.result().model == "m"
            assert second.request().request == before
            assert second.next(control.Hello).app_session == session


def test_an_accepted_stream_goes_on_where_it_was_without_losing_or_doubling_anything(path: Path) -> None:
    with Client("test", socket=path) as client:
        with ScriptedDaemon(path) as first:
            stream = client.stream("hi")
            request = first.request().request.id
            first.tell(request, events.Accepted("t"), TextDelta("a"), TextDelta("b"))
            assert next(stream) == TextDelta("a")
            client.ping()  # what was sent before the pong has arrived
        with ScriptedDaemon(path, instance="another instance") as second:
            reattach = second.next(control.Reattach)
            assert (reattach.request, reattach.seen_seq) == (request, 2)
            second.tell(request, TextDelta("a"), TextDelta("b"), TextDelta("c"), FINISHED)
            assert stream.reply().text == "abc"


def test_a_stream_that_the_next_daemon_does_not_know_is_lost_and_says_that_it_had_started(path: Path) -> None:
    with Client("test", socket=path) as client:
        with ScriptedDaemon(path) as first:
            stream = client.stream("hi")
            request = first.request().request.id
            first.tell(request, events.Accepted("t"), TextDelta("a"))
            assert next(stream) == TextDelta("a")
        with ScriptedDaemon(path, instance="another instance") as second:
            seen = second.next(control.Reattach).seen_seq
            gone = events.Error("connection_lost", "gone", retryable=True, details={"started": True})
            second.send([inferd_event(request, seen + 1, gone)])
            with pytest.raises(inferd.ConnectionLost) as lost:
                next(stream)
    assert lost.value.details["started"] is True
    assert lost.value.retryable


def test_what_the_daemon_said_before_it_left_is_heard_however_much_it_is(path: Path) -> None:
    goes_on = threading.Event()

    def post(deliveries: dict[Mailbox, list[Item]]) -> None:
        assert goes_on.wait(PATIENCE_S)
        for mailbox, items in deliveries.items():
            mailbox.put(items)

    line = Line("test", path, PATIENCE_S, post)
    words = [str(at) for at in range(3 * BATCH_MESSAGES)]
    with ScriptedDaemon(path) as daemon:
        stream = Stream(line, draft(operations.ListModels(), timeout_s=PATIENCE_S), Only(TextDelta))
        request = daemon.request().request.id
        daemon.tell(request, events.Accepted("t"))
        for word in words:
            daemon.tell(request, TextDelta(word))
        daemon.tell(request, FINISHED)
    goes_on.set()
    assert [event.text for event in stream] == words
    line.close()
    line.join()


def inferd_event(request: int, seq: int, event: events.Event) -> inferd.wire.PackedEvent:
    return inferd.wire.pack_event(request, seq, event)


def test_a_call_made_while_the_daemon_is_away_runs_when_it_is_back(path: Path) -> None:
    with Client("test", socket=path) as client, ThreadPoolExecutor() as pool:
        with ScriptedDaemon(path):
            client.ping()
        asked = pool.submit(client.generate, "hi")
        with ScriptedDaemon(path, script=answering(FINISHED)):
            assert asked.result().model == "m"


def test_a_stop_whose_line_closes_before_the_answer_has_worked(path: Path) -> None:
    with Client("test", socket=path) as client, ThreadPoolExecutor() as pool:
        with ScriptedDaemon(path) as daemon:
            stopping = pool.submit(client.daemon.stop)
            daemon.tell(daemon.request().request.id, events.Accepted("t"))
            client.ping()
        stopping.result()


def test_a_stop_that_may_not_have_arrived_says_so_and_does_not_stop_the_next_daemon(path: Path) -> None:
    with Client("test", socket=path) as client, ThreadPoolExecutor() as pool:
        with ScriptedDaemon(path) as first:
            stopping = pool.submit(client.daemon.stop)
            first.request()
        with pytest.raises(inferd.ConnectionLost):
            stopping.result()
        with ScriptedDaemon(path, instance="another instance") as second:
            client.ping()
            assert second.heard_no(control.Request)


def test_sound_is_not_sent_into_a_line_that_broke(path: Path) -> None:
    with Client("test", socket=path) as client:
        with ScriptedDaemon(path) as daemon:
            loop = client.loopback()
            daemon.tell(daemon.request().request.id, events.Accepted("t"), events.Granted(9, 99_999))
            loop.send(b"\0\0")
        with pytest.raises(inferd.ConnectionLost) as lost:
            next(loop)
        assert lost.value.details["started"] is True
        with pytest.raises(inferd.ConnectionLost):
            loop.send(b"\0\0")
