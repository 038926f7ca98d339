"""The blocking client against a daemon that says what a test tells it to, over a real socket."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from scripted_daemon import Heard, ScriptedDaemon, answering

import inferd
from inferd import Client, Done, InferenceHandle, TextDelta
from inferd.messages import control, events, operations, reports
from inferd.streams import ReplyStream

FINISHED = events.Finished("m", usage=events.Usage(3, 2))
SCHEMA = inferd.ModelSchema("me/m:x", engine="echo", cost=inferd.TokenCost(1.0, 2.0))
UPGRADE = inferd.Upgrade("me/old:x", "me/new:x", "newer", 7, fits=None)
REPORT = reports.DaemonReport("0", "i", 1, 0.0, "s", "ready", draining=False)
DECISION = reports.MemoryDecision("wait", 1.5, "notes", 2, 3, 3, 4, "others are in use", "wait")
WARMED = reports.Warmed("m", "me/m:x", ready=True)
HEALTH = reports.Health(
    healthy=True,
    problems=(),
    keeper="ready",
    draining=False,
    default_model="m",
    models_known=1,
    models_stored=1,
    models_ready=0,
    coverage=(),
    troubles=(),
    processes=(),
    memory_held_bytes=1,
    memory_limit_bytes=2,
    memory_available_bytes=3,
)
PREFLIGHT = reports.Preflight("m", "fits", 1, "guess", 0, 2, 2, 3, 4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


def texts(request: int, count: int, *, first: int = 1) -> list[events.Event]:
    return [TextDelta(f"{request}:{at} ") for at in range(first, first + count)]


# --- answers


def test_a_stream_yields_state_deltas_and_done_in_order(path: Path) -> None:
    said = (
        events.Queued(2, eta_s=0.5),
        events.Loading("m", 0.5, "reading"),
        events.ThinkingDelta("hm"),
        TextDelta("a"),
        events.Parked(),
        events.Resumed(),
        events.ToolCallStart("clock", 0, "id"),
        events.ToolCallDelta(0, "{}"),
        TextDelta("b"),
    )
    with ScriptedDaemon(path, script=answering(*said, FINISHED)), Client("test", socket=path) as client:
        *shown, last = client.stream("hi")
    assert tuple(shown) == said
    assert isinstance(last, Done)
    assert last.reply == inferd.accumulate([*shown, last])
    assert (last.reply.text, last.reply.thinking, last.reply.trace_id) == ("ab", "hm", "trace-1")


def test_generate_returns_the_whole_reply_and_a_handle_is_all_that_an_app_needs_to_know(path: Path) -> None:
    def app(handle: InferenceHandle) -> inferd.Reply:
        return handle.generate("hi", model="m", max_tokens=5)

    with ScriptedDaemon(path, script=answering(*texts(1, 3), FINISHED)) as daemon:
        with Client("test", socket=path) as client:
            reply = app(client)
        hello = daemon.next(control.Hello)
        request = daemon.request().request
    assert reply.text == "1:1 1:2 1:3 "
    assert reply.usage == events.Usage(3, 2)
    assert reply.latency_s >= (reply.first_event_s or 0) > 0
    assert (hello.app, request.model, request.body["max_tokens"]) == ("test", "m", 5)


def test_the_small_calls_return_what_the_daemon_answers(path: Path) -> None:
    model = reports.Model("m", "M", "ready", available=True, weights_ready=True)
    answers: dict[str, tuple[events.Event, ...]] = {
        "list_models": (events.ModelList((model,)),),
        "status": (events.StatusReport(REPORT),),
        "unload": (events.Unloaded("m"),),
        "why": (events.WhyReport("m", (DECISION,)),),
        "preflight": (events.PreflightReport(PREFLIGHT),),
        "health": (events.HealthReport(HEALTH),),
        "pin": (events.Pinned("m", pinned=True),),
        "unpin": (events.Pinned("m", pinned=False),),
        "warm_up": (events.Loading("m", 0.5), events.WarmedUp((WARMED,))),
        "stop": (events.Stopping(),),
        "pull": (events.PullProgress("downloading", 1, 2), events.Pulled("m", 2)),
        "remove": (events.Removed("m", 7),),
        "list_schemas": (events.SchemaList((SCHEMA,)),),
        "register": (events.Registered("me/m:x", "added"),),
        "unregister": (events.Unregistered("me/m:x", restored=False),),
        "discover": (events.Discovered((), (SCHEMA,)),),
        "list_upgrades": (events.UpgradeList((UPGRADE,)),),
    }

    def script(daemon: ScriptedDaemon, heard: Heard) -> None:
        daemon.tell(heard.request.id, events.Accepted("t"), *answers[heard.request.op], peer=heard.peer)

    with ScriptedDaemon(path, script=script) as daemon, Client(socket=path) as client:
        assert client.models.list() == (model,)
        assert client.daemon.status() == REPORT
        client.models.unload("m")
        client.daemon.stop(grace_s=1.5)
        assert tuple(client.models.pull("m")) == answers["pull"]
        assert client.models.remove("m") == answers["remove"][0]
        assert client.models.schemas() == (SCHEMA,)
        assert client.models.register(SCHEMA) == answers["register"][0]
        assert client.models.unregister("m") == answers["unregister"][0]
        assert client.models.discover() == answers["discover"][0]
        assert client.models.upgrades() == (UPGRADE,)
        assert client.daemon.why("m") == (DECISION,)
        assert client.models.preflight("m", 2_048) == PREFLIGHT
        assert client.health() == HEALTH
        assert client.models.pin("m") == answers["pin"][0]
        assert client.models.unpin("m") == answers["unpin"][0]
        progress: list[events.Loading] = []
        assert client.models.warm_up(("m",), priority="voice", on_progress=progress.append) == (WARMED,)
        assert progress == [events.Loading("m", 0.5)]
        assert client.ping() > 0
        asked = [daemon.request().request for _ in range(17)]
    assert asked[2].body == {"name": "m"}
    assert asked[3].body == {"grace_ms": 1_500}
    cost = {"input_usd_per_million_tokens": 1.0, "output_usd_per_million_tokens": 2.0}
    assert asked[11].body == {"name": "m"}
    assert asked[12].body == {"name": "m", "context_tokens": 2_048}
    assert asked[16].body == {"names": ["m"]}
    assert asked[16].priority == "voice"
    assert asked[7].body == {"schema": {"id": "me/m:x", "engine": "echo", "cost": cost}}


def holding(daemon: ScriptedDaemon, heard: Heard) -> None:
    """Answer everything about a hold that is called 7."""
    said: dict[str, tuple[events.Event, ...]] = {
        "hold": (events.Loading("a", 0.2), events.Held(7, ("a", "b"), 60.0)),
        "renew_hold": (events.Held(7, ("a", "b"), 90.0),),
        "release_hold": (events.Released(7, was_held=True),),
    }
    daemon.tell(heard.request.id, events.Accepted("t"), *said[heard.request.op], peer=heard.peer)


def test_a_hold_is_renewed_and_ends_with_its_block(path: Path) -> None:
    progress: list[events.Loading] = []
    with ScriptedDaemon(path, script=holding) as daemon, Client(socket=path) as client:
        with client.models.hold(["a", "b"], seconds=60, priority="voice", on_progress=progress.append) as hold:
            assert (hold.models, hold.seconds) == (("a", "b"), 60.0)
            hold.renew(90)
            assert hold.seconds == 90.0
        asked = [daemon.request().request for _ in range(3)]
    assert [(one.op, one.body) for one in asked] == [
        ("hold", {"names": ["a", "b"], "seconds": 60}),
        ("renew_hold", {"hold": 7, "seconds": 90}),
        ("release_hold", {"hold": 7}),
    ]
    assert asked[0].priority == "voice"
    assert progress == [events.Loading("a", 0.2)]


def test_leaving_a_hold_whose_line_is_gone_does_not_hide_what_ended_the_block(path: Path) -> None:
    with ScriptedDaemon(path, script=holding), Client(socket=path, connect_timeout_s=1.0) as client:
        hold = client.models.hold(["a"], 1)
        client.close()
        with pytest.raises(ZeroDivisionError), hold:
            raise ZeroDivisionError


@pytest.mark.parametrize(
    ("names", "seconds", "field"),
    [("ab", 1, "names"), ([], 1, "names"), (["a", 2], 1, "names[1]"), (["a"], 0, "seconds")],
)
def test_a_wrong_hold_is_refused_here(path: Path, names: Any, seconds: float, field: str) -> None:  # noqa: ANN401 - wrong types, too
    with Client(socket=path) as client, pytest.raises(inferd.InvalidRequest) as wrong:
        client.models.hold(names, seconds)
    assert wrong.value.details["field"] == field


def test_a_wish_travels_in_the_envelope_and_only_if_there_is_one(path: Path) -> None:
    with ScriptedDaemon(path, script=answering(FINISHED)) as daemon, Client(socket=path) as client:
        client.generate("hi", keep_alive_s=0)
        client.generate("hi")
        wishes = [daemon.request().request.keep_alive_s for _ in range(2)]
        with pytest.raises(inferd.InvalidRequest, match="keep_alive_s"):
            client.generate("hi", keep_alive_s=-1)
    assert wishes == [0.0, None]


def test_the_daemons_error_is_raised_and_raised_again_so_that_it_never_passes_for_an_end(path: Path) -> None:
    failing = answering(TextDelta("a"), events.Error("model_failed", "died", retryable=True))
    with ScriptedDaemon(path, script=failing), Client("test", socket=path) as client:
        stream = client.stream("hi")
        assert next(stream) == TextDelta("a")
        for _ in range(2):
            with pytest.raises(inferd.ModelFailed, match="died"):
                next(stream)


def test_after_the_end_a_stream_stays_ended(path: Path) -> None:
    with ScriptedDaemon(path, script=answering(FINISHED)), Client("test", socket=path) as client:
        stream = client.stream("hi")
        assert len(list(stream)) == 1
        assert list(stream) == []
        assert stream.reply().text == ""
        assert stream.trace_id == "trace-1"


def test_an_answer_to_another_operation_is_no_answer(path: Path) -> None:
    with ScriptedDaemon(path, script=answering(events.Stopping())), Client("test", socket=path) as client:
        with pytest.raises(inferd.ProtocolError):
            client.generate("hi")
        with pytest.raises(inferd.ProtocolError):
            client.daemon.status()


def test_a_ping_of_a_model_raises_the_daemons_reason(path: Path) -> None:
    with ScriptedDaemon(path) as daemon, Client("test", socket=path) as client, ThreadPoolExecutor() as pool:
        pinging = pool.submit(client.ping, "m")
        ping = daemon.next(control.Ping)
        assert ping.model == "m"
        daemon.send_message(control.Pong(ping.nonce, code="unsupported_mode", message="m is not loaded"))
        with pytest.raises(inferd.UnsupportedMode, match="m is not loaded"):
            pinging.result()


# --- leaving


def leave_by_break(stream: ReplyStream) -> None:
    for _ in stream:
        break


def leave_by_error(stream: ReplyStream) -> None:
    def stumble() -> None:
        for _ in stream:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stumble()


def leave_by_block(stream: ReplyStream) -> None:
    with stream:
        next(stream)


def leave_by_close(stream: ReplyStream) -> None:
    next(stream)
    stream.close()
    stream.close()


@pytest.mark.parametrize("leave", [leave_by_break, leave_by_error, leave_by_block, leave_by_close])
def test_leaving_cancels_at_once_and_the_stream_says_so_from_then_on(
    leave: Callable[[ReplyStream], None], path: Path
) -> None:
    with ScriptedDaemon(path, script=answering(*texts(1, 3))) as daemon, Client("test", socket=path) as client:
        stream = client.stream("hi")
        leave(stream)
        assert daemon.next(control.Cancel) == control.Cancel(stream.request_id)
        with pytest.raises(inferd.Cancelled):
            next(stream)
        daemon.tell(stream.request_id, events.Cancelled("app"))
        assert client.ping() > 0
        assert daemon.heard_no(control.Cancel)


def test_a_stream_that_nobody_holds_any_more_is_cancelled(path: Path) -> None:
    with ScriptedDaemon(path) as daemon, Client("test", socket=path) as client:
        held = [client.stream("hi")]
        request = daemon.request().request.id
        held.clear()
        gc.collect()
        assert daemon.next(control.Cancel) == control.Cancel(request)


def test_a_stream_keeps_its_client_alive(path: Path) -> None:
    with ScriptedDaemon(path, script=answering(TextDelta("a"), FINISHED)):
        assert Client("test", socket=path).stream("hi").reply().text == "a"


def test_a_client_that_nobody_holds_any_more_says_goodbye(path: Path) -> None:
    with ScriptedDaemon(path) as daemon:
        client = Client("test", socket=path)
        client.ping()
        del client
        gc.collect()
        daemon.next(control.Goodbye)


def test_cancel_from_another_thread_ends_the_reader_with_what_was_produced(path: Path) -> None:
    with ScriptedDaemon(path) as daemon, Client("test", socket=path) as client, ThreadPoolExecutor() as pool:
        stream = client.stream("hi")
        reading = pool.submit(list, stream)
        daemon.tell(daemon.request().request.id, events.Accepted("t"), TextDelta("a"))
        stream.cancel()
        request = daemon.next(control.Cancel).request
        daemon.tell(request, events.Cancelled("app", events.Usage(1, 7)))
        with pytest.raises(inferd.Cancelled) as ended:
            reading.result()
    assert ended.value.details["completion_tokens"] == 7


def test_closing_the_client_ends_whoever_waits_in_it(path: Path) -> None:
    with ScriptedDaemon(path) as daemon, ThreadPoolExecutor() as pool:
        client = Client("test", socket=path)
        waiting: list[Future[object]] = [pool.submit(client.generate, "hi"), pool.submit(client.ping, "m")]
        daemon.request()
        daemon.next(control.Ping)
        client.close()
        for one in waiting:
            with pytest.raises(inferd.Cancelled, match="the client was closed"):
                one.result()
        daemon.next(control.Goodbye)
        with pytest.raises(inferd.ConnectionLost, match="this client is closed"):
            client.ping()
        client.close()


# --- windows


def test_credit_follows_the_reader_and_a_slow_one_delays_only_itself(path: Path) -> None:
    with ScriptedDaemon(path) as daemon, Client("test", socket=path) as client:
        slow, fast = client.stream("slow"), client.stream("fast")
        windows = {}
        for _ in range(2):
            heard = daemon.request().request
            windows[heard.id] = heard.window.limit_seq
            daemon.tell(heard.id, *texts(heard.id, heard.window.limit_seq))
        for _ in range(windows[fast.request_id]):
            next(fast)
        granted = [daemon.next(control.Credit) for _ in range(2)]
        assert {credit.request for credit in granted} == {fast.request_id}
        assert granted[-1].seen_seq == windows[fast.request_id]
        assert granted[-1].limit_seq > windows[fast.request_id]
        daemon.tell(fast.request_id, FINISHED)
        assert isinstance(next(fast), Done)
        assert client.ping() > 0
        assert daemon.heard_no(control.Credit)  # nothing of the slow one has been consumed
        assert next(slow) == TextDelta(f"{slow.request_id}:1 ")


def test_state_that_nobody_reads_does_not_pile_up_and_the_end_is_never_dropped(path: Path) -> None:
    with ScriptedDaemon(path) as daemon, Client("test", socket=path) as client:
        pulling = client.models.pull("m")
        request = daemon.request().request.id
        for done in range(3_000):
            daemon.tell(request, events.PullProgress("downloading", done))
        daemon.tell(request, events.Pulled("m", 3_000))
        assert client.ping() > 0  # all of it has arrived
        shown = list(pulling)
    assert shown[-1] == events.Pulled("m", 3_000)
    assert len(shown) < 2_000


# --- refusals at this end


def test_a_message_past_the_daemons_limit_is_refused_here_and_the_line_stays(path: Path) -> None:
    limits = control.Limits(header_bytes=10_000, blob_bytes=100)
    with ScriptedDaemon(path, limits=limits, script=answering(FINISHED)) as daemon:
        with Client("test", socket=path) as client:
            with pytest.raises(inferd.InvalidRequest) as too_long:
                client.generate("x" * 20_000)
            image = inferd.Message("user", (inferd.ImageBlock(inferd.Blob(b"x" * 101)),))
            with pytest.raises(inferd.InvalidRequest, match="101 blob_bytes; the daemon takes 100"):
                client.generate([image])
            assert client.generate("hi").model == "m"
        daemon.next(control.Hello)
        assert daemon.heard_no(control.Hello)
    assert too_long.value.details["limit"] == 10_000


def test_a_wrong_value_is_refused_before_anything_is_sent(path: Path) -> None:
    with Client("test", socket=path) as client:
        for call in (
            lambda: client.generate("\ud800"),
            lambda: client.generate("hi", temperature=float("nan")),
            lambda: client.generate("hi", max_tokens="5"),  # type: ignore[arg-type]
            lambda: client.generate("hi", timeout_s=0),
            lambda: client.stream("hi", flavour="sweet"),  # type: ignore[call-arg]
            lambda: client.ping(""),
            lambda: client.models.pull(5),  # type: ignore[arg-type]
            lambda: client.models.remove(""),
            lambda: client.models.unregister("x" * 257),
            lambda: client.models.register({"engine": "echo"}),
            lambda: client.models.register({"id": "me/m:x", "context_tokens": "8192"}),
            lambda: client.models.register({"id": "me/m:x", "context": 8192}),
            lambda: client.models.register(inferd.ModelSchema("me/m:x", tags=(5,))),  # type: ignore[arg-type]
            lambda: client.models.register(5),  # type: ignore[arg-type]
        ):
            with pytest.raises(inferd.InvalidRequest) as refused:
                call()
            assert refused.value.details["field"]


def test_a_client_refuses_a_name_a_path_or_a_patience_that_cannot_be() -> None:
    with pytest.raises(inferd.InvalidRequest, match="app"):
        Client("")
    with pytest.raises(inferd.InvalidRequest, match="socket path"):
        Client(socket="/" + "x" * 200)
    with pytest.raises(inferd.InvalidRequest, match="connect_timeout_s"):
        Client(socket="/x", connect_timeout_s=-1)


def test_more_requests_than_the_daemon_takes_are_refused_with_both_numbers(path: Path) -> None:
    with ScriptedDaemon(path, limits=control.Limits(inflight=2)) as daemon, Client("test", socket=path) as client:
        client.ping()
        held = [client.stream("hi") for _ in range(2)]
        with pytest.raises(inferd.QueueFull) as full:
            client.generate("one too many")
        assert dict(full.value.details) == {"found": 2, "limit": 2}
        daemon.tell(held[0].request_id, FINISHED)
        assert isinstance(next(held[0]), Done)
        assert client.stream("hi").request_id


def test_without_a_daemon_a_call_says_where_it_looked_and_what_to_do(path: Path) -> None:
    with Client("test", socket=path, connect_timeout_s=0.05) as client:
        for call in (lambda: client.generate("hi"), client.ping, client.daemon.status):
            with pytest.raises(inferd.ConnectionLost, match="start it: inferd serve") as lost:
                call()
            assert dict(lost.value.details) == {"started": False, "socket": str(path)}


def test_a_call_waits_for_a_daemon_that_is_only_starting(path: Path) -> None:
    with Client("test", socket=path) as client, ThreadPoolExecutor() as pool:
        asked = pool.submit(client.generate, "hi")
        with ScriptedDaemon(path, script=answering(FINISHED)):
            assert asked.result().model == "m"


def test_a_refusal_of_our_version_is_raised_by_every_call(path: Path) -> None:
    refusal = control.Refused("version_mismatch", "speak version 2")
    with ScriptedDaemon(path, refusal=refusal), Client("test", socket=path) as client:
        for call in (lambda: client.generate("hi"), client.ping):
            with pytest.raises(inferd.VersionMismatch, match="speak version 2"):
                call()


def test_a_daemon_that_says_nothing_after_the_hello_is_told_apart(path: Path) -> None:
    silent = pytest.raises(inferd.ConnectionLost, match="did not answer the hello")
    with ScriptedDaemon(path, mute=True), Client("test", socket=path, connect_timeout_s=0.3) as client, silent:
        client.ping()


def test_a_stream_without_progress_is_cancelled_and_says_what_came_last(path: Path) -> None:
    with ScriptedDaemon(path, script=answering(events.Queued(4))) as daemon, Client("test", socket=path) as client:
        stream = client.stream("hi", timeout_s=0.3)
        assert next(stream) == events.Queued(4)
        with pytest.raises(inferd.DeadlineExceeded, match=r"no progress within 0\.3 s; the latest was queued"):
            next(stream)
        assert daemon.next(control.Cancel).request == stream.request_id


def test_a_gap_in_a_stream_is_an_error_and_cancels_it(path: Path) -> None:
    with ScriptedDaemon(path) as daemon, Client("test", socket=path) as client:
        stream = client.stream("hi")
        request = daemon.request().request.id
        first, _, third = (daemon.numbered(request, TextDelta(text)) for text in "abc")
        daemon.send([first, first, third])
        assert next(stream) == TextDelta("a")
        with pytest.raises(inferd.ProtocolError, match="jumped to event 3; expected 2"):
            next(stream)
        assert daemon.next(control.Cancel).request == request


# --- threads


def test_many_threads_share_one_client(path: Path) -> None:
    def script(daemon: ScriptedDaemon, heard: Heard) -> None:
        operation = heard.request.body["messages"]
        assert isinstance(operation, list)
        word = operation[0]["content"]
        deltas = [TextDelta(f"{word}{at} ") for at in range(20)]
        daemon.tell(heard.request.id, events.Accepted("t"), *deltas[:10], peer=heard.peer)
        daemon.tell(heard.request.id, *deltas[10:], FINISHED, peer=heard.peer)

    together = threading.Barrier(16)

    def ask(word: str) -> list[str]:
        together.wait()
        return [client.generate(word).text for _ in range(10)]

    with ScriptedDaemon(path, script=script) as daemon, Client("test", socket=path) as client:
        with ThreadPoolExecutor(16) as pool:
            words = [f"word{at}-" for at in range(16)]
            for word, replies in zip(words, pool.map(ask, words), strict=True):
                assert replies == ["".join(f"{word}{at} " for at in range(20))] * 10
        asked = [daemon.request().request.id for _ in range(160)]
    assert asked == sorted(set(asked))


# --- duplex


def test_sound_goes_up_in_pieces_inside_the_granted_window_and_comes_back(path: Path) -> None:
    with ScriptedDaemon(path) as daemon, Client("test", socket=path) as client, ThreadPoolExecutor() as pool:
        loop = client.loopback(8_000)
        request = daemon.request().request
        assert request.op == "loopback"
        daemon.tell(request.id, events.Accepted("t"), events.Granted(2, 3_200))
        sound = bytes(range(256)) * 20  # 5,120 bytes: 320 ms at 8 kHz
        sending = pool.submit(loop.send, sound)
        fed = [daemon.next(control.Feed) for _ in range(2)]
        assert client.ping() > 0
        assert daemon.heard_no(control.Feed)  # the window is used up
        daemon.tell(request.id, events.Granted(99, 99_999))
        fed += [daemon.next(control.Feed) for _ in range(2)]
        sending.result()
        assert [(piece.seq, piece.offset, len(piece.data or b"")) for piece in fed] == [
            (1, 0, 1_600),
            (2, 800, 1_600),
            (3, 1_600, 1_600),
            (4, 2_400, 320),
        ]
        assert b"".join(piece.data or b"" for piece in fed) == sound
        loop.pause()
        loop.resume()
        loop.played(0, 100)
        loop.finish()
        assert daemon.next(control.Played) == control.Played(request.id, 0, 100)
        daemon.next(control.Finish)
        chunk = events.AudioChunk(inferd.Blob(sound), 8_000)
        daemon.tell(request.id, chunk, FINISHED)
        assert list(loop) == [chunk]
        with pytest.raises(inferd.InvalidRequest, match="this stream has ended"):
            loop.send(b"\0\0")


def test_a_shut_window_is_back_pressure_with_an_end(path: Path) -> None:
    with ScriptedDaemon(path) as daemon, Client("test", socket=path) as client:
        loop = client.loopback(8_000)
        daemon.tell(daemon.request().request.id, events.Accepted("t"), events.Granted(1, 100_000))
        with pytest.raises(inferd.DeadlineExceeded, match=r"took nothing more within 0\.2 s"):
            loop.send(b"\0\0" * 1_000, timeout_s=0.2)


def test_a_sender_behind_another_one_waits_no_longer_than_it_says(path: Path) -> None:
    with ScriptedDaemon(path) as daemon, Client("test", socket=path) as client, ThreadPoolExecutor() as pool:
        loop = client.loopback(8_000)
        request = daemon.request().request.id
        daemon.tell(request, events.Accepted("t"), events.Granted(1, 100_000))
        first = pool.submit(loop.send, b"\0\0" * 8_000, timeout_s=300)
        daemon.next(control.Feed)
        with pytest.raises(inferd.DeadlineExceeded, match=r"within 0\.1 s"):
            pool.submit(loop.send, b"\0\0", timeout_s=0.1).result(60)
        daemon.tell(request, events.Error("model_failed", "died"))
        with pytest.raises(inferd.ModelFailed):
            first.result()


def test_what_ends_a_duplex_stream_reaches_the_sender(path: Path) -> None:
    with ScriptedDaemon(path) as daemon, Client("test", socket=path) as client, ThreadPoolExecutor() as pool:
        loop = client.loopback()
        sending = pool.submit(loop.send, b"\0\0")
        daemon.tell(daemon.request().request.id, events.Error("model_failed", "died"))
        for _ in range(2):
            with pytest.raises(inferd.ModelFailed):
                sending.result()
            sending = pool.submit(loop.send, b"\0\0")
        with pytest.raises(inferd.ModelFailed):
            next(loop)


@pytest.mark.parametrize("pcm", [b"", b"\0", "sound", [0, 0]])
def test_what_is_no_sound_is_refused(pcm: object, path: Path) -> None:
    with ScriptedDaemon(path), Client("test", socket=path) as client:
        loop = client.loopback()
        with pytest.raises(inferd.InvalidRequest, match=r"^pcm: expected"):
            loop.send(pcm)  # type: ignore[arg-type]
        with pytest.raises(inferd.InvalidRequest, match="played_ms"):
            loop.played(0, -1)


def test_every_operation_of_this_face_exists_on_the_wire() -> None:
    assert {kind.__name__ for kind in operations.OPERATIONS} == {
        "Generate",
        "Transcribe",
        "TranscribeStream",
        "Synthesize",
        "SynthesizeStream",
        "Loopback",
        "Tokenize",
        "Detokenize",
        "EstimateTokens",
        "ListModels",
        "Status",
        "Pull",
        "Unload",
        "Why",
        "Preflight",
        "Hold",
        "RenewHold",
        "ReleaseHold",
        "WarmUp",
        "Pin",
        "Unpin",
        "Health",
        "SetSpeechPolicy",
        "SpeechStatus",
        "Remove",
        "ListSchemas",
        "Register",
        "Unregister",
        "Discover",
        "ListUpgrades",
        "Stop",
    }
