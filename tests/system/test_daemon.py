"""The whole service, driven as a subprocess by real clients: what an app may rely on."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from ipaddress import ip_address

import psutil
import pytest
from daemon_process import DaemonProcess, running
from waiting import until

import inferd
from inferd import Client, Done, TextDelta

ECHO = "inferd/echo:default"
SLOW = "test/slow:echo"
PAIR = "test/pair:echo"
CONFIG = """
[models."test/slow:echo"]
engine = "echo"
engine_options = { tokens_per_s = 20, slots = 64 }

[models."test/single:echo"]
engine = "echo"
engine_options = { tokens_per_s = 50, slots = 1 }

[models."test/pair:echo"]
engine = "echo"
engine_options = { slots = 2 }

[models."test/broken:echo"]
engine = "echo"
engine_options = { load_fails = "no_memory" }

[models."test/lazy:echo"]
engine = "echo"
engine_options = { load_s = 1.0 }

[apps.indexer]
max_class = "batch"
"""
PLANTED = "an obvious fake: plant-4711"
WORDS = " ".join(f"word{number}" for number in range(400))

READER = """
import sys, inferd
with inferd.Client("victim", socket=sys.argv[1]) as client:
    with client.stream(sys.argv[2], model=sys.argv[3]) as events:
        for event in events:
            if isinstance(event, inferd.TextDelta):
                print("streaming", flush=True)
"""


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    with running(CONFIG, environment={"PLANTED": PLANTED}) as process:
        yield process


@pytest.fixture
def client(daemon: DaemonProcess) -> Iterator[Client]:
    with daemon.client() as made:
        yield made


def _warm(client: Client, model: str) -> None:
    assert client.generate("ready", model=model).text.strip() == "ready"


def _start_reader(daemon: DaemonProcess, model: str) -> subprocess.Popen[str]:
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(daemon.socket), WORDS, model], stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "streaming\n"
    return reader


def test_an_answer_arrives_token_by_token_and_says_where_it_came_from(client: Client) -> None:
    with client.stream("one two three", model="echo") as stream:
        events = list(stream)
    texts = [event.text for event in events if isinstance(event, TextDelta)]
    done = events[-1]
    assert isinstance(done, Done)
    assert len(texts) == 3
    assert "".join(texts) == done.reply.text
    assert done.reply.text.split() == ["one", "two", "three"]
    assert done.reply.model == ECHO
    assert done.reply.trace_id
    assert done.reply.usage.completion_tokens == 3


def test_two_apps_stream_at_once_and_leaving_one_does_not_touch_the_other(daemon: DaemonProcess) -> None:
    with daemon.client("leaver") as leaver, daemon.client("stayer") as stayer:
        _warm(leaver, SLOW)
        with stayer.stream(" ".join(["stay"] * 40), model=SLOW) as kept:
            texts = iter(kept)
            assert isinstance(_first_text(texts), TextDelta)
            with leaver.stream(WORDS, model=SLOW) as left:
                leaving = iter(left)
                _first_text(leaving)
                assert daemon.model(SLOW).busy == 2
            until(lambda: daemon.model(SLOW).busy == 1, "the left stream frees its slot", within_s=1.0)
            rest = [event.text for event in texts if isinstance(event, TextDelta)]
    assert len(rest) == 39


def _first_text(events: Iterator[object]) -> object:
    return next(event for event in events if isinstance(event, TextDelta))


def test_a_killed_actor_fails_its_streams_and_the_next_request_gets_a_new_life(
    daemon: DaemonProcess, client: Client
) -> None:
    _warm(client, SLOW)
    before = daemon.model(SLOW)
    with client.stream(WORDS, model=SLOW) as stream:
        events = iter(stream)
        _first_text(events)
        os.kill(before.pid, signal.SIGKILL)
        killed_s = time.monotonic()
        with pytest.raises(inferd.ModelFailed) as failed:
            list(events)
    assert time.monotonic() - killed_s < 2.0
    assert failed.value.retryable
    _warm(client, SLOW)
    assert daemon.model(SLOW).life > before.life


def test_a_killed_client_stops_costing_within_a_second(daemon: DaemonProcess, client: Client) -> None:
    _warm(client, SLOW)
    reader = _start_reader(daemon, SLOW)
    assert daemon.model(SLOW).busy == 1
    reader.kill()
    until(lambda: daemon.model(SLOW).busy == 0, "the killed client's slot is free", within_s=1.0)
    reader.communicate()


def test_a_stopped_client_is_let_go_by_its_missing_heartbeat(daemon: DaemonProcess, client: Client) -> None:
    _warm(client, SLOW)
    reader = _start_reader(daemon, SLOW)
    os.kill(reader.pid, signal.SIGSTOP)
    until(lambda: daemon.model(SLOW).busy == 0, "the stopped client's slot is free", within_s=9.0)
    reader.kill()
    reader.communicate()


def test_a_client_that_stops_reading_loses_its_slot_and_nobody_else_notices(daemon: DaemonProcess) -> None:
    with daemon.client("sleeper") as sleeper, daemon.client("worker") as worker:
        _warm(worker, SLOW)
        with sleeper.stream("x " * 40_000, model=ECHO) as unread:
            events = iter(unread)
            _first_text(events)
            rss_bytes = psutil.Process(daemon.pid).memory_info().rss
            began_s = time.monotonic()
            answers = 0
            while daemon.model(ECHO).busy:
                assert worker.generate("still here", model=SLOW).text.split() == ["still", "here"]
                answers += 1
                assert time.monotonic() - began_s < 25.0
            with pytest.raises(inferd.Cancelled) as cancelled:
                list(events)
    assert cancelled.value.details["reason"] == "slow_reader"
    assert answers > 20
    assert psutil.Process(daemon.pid).memory_info().rss - rss_bytes < 16 * 2**20


def test_many_apps_and_streams_lose_double_and_reorder_nothing(daemon: DaemonProcess) -> None:
    def crowd(number: int) -> None:
        with daemon.client(f"crowd-{number}") as one:
            streams = [one.stream(_nonce(number, stream), model=ECHO) for stream in range(10)]
            for stream, events in enumerate(streams):
                collected = list(events)
                assert isinstance(collected[-1], Done)
                assert collected[-1].reply.text.split() == _nonce(number, stream).split()
                done.append((number, stream))

    done: list[tuple[int, int]] = []
    threads = [threading.Thread(target=crowd, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == len(set(done)) == 200
    until(lambda: daemon.model(ECHO).busy == 0, "every slot is free again")


def _nonce(app: int, stream: int) -> str:
    return " ".join(f"{app}.{stream}.{word}" for word in range(50))


def test_a_single_slot_serves_the_urgent_first_and_shows_the_others_their_place(daemon: DaemonProcess) -> None:
    with daemon.client("hasty") as hasty, daemon.client("patient") as patient:
        _warm(hasty, "test/single:echo")
        order: list[str] = []

        def ask(client: Client, priority: str, queued: threading.Event) -> None:
            with client.stream("a b", model="test/single:echo", priority=priority) as stream:  # type: ignore[arg-type]
                for event in stream:
                    if isinstance(event, inferd.Queued):
                        queued.set()
                    if isinstance(event, Done):
                        order.append(priority)

        with hasty.stream("x " * 50, model="test/single:echo") as running_one:
            events = iter(running_one)
            _first_text(events)
            threads = []
            for client, priority in ((patient, "background"), (patient, "batch"), (hasty, "voice")):
                queued = threading.Event()
                threads.append(threading.Thread(target=ask, args=(client, priority, queued)))
                threads[-1].start()
                assert queued.wait(10)
            list(events)
        for thread in threads:
            thread.join()
    assert order == ["voice", "batch", "background"]


def test_what_is_fed_comes_back_in_order(client: Client) -> None:
    pieces = [bytes([number]) * 640 for number in range(200)]
    with client.loopback(16_000, model="echo") as sound:
        heard: list[bytes] = []
        reader = threading.Thread(
            target=lambda: heard.extend(event.pcm for event in sound if isinstance(event, inferd.AudioChunk))
        )
        reader.start()
        for piece in pieces:
            sound.send(piece)
        sound.finish()
        reader.join()
    assert b"".join(heard) == b"".join(pieces)


def test_a_microphone_that_stops_loses_its_slot_and_nobody_else_notices(daemon: DaemonProcess) -> None:
    answers: list[str] = []
    with (
        daemon.client("muted") as muted,
        daemon.client("speaker") as speaker,
        daemon.client("waiter") as waiter,
        muted.loopback(16_000, model=PAIR) as silent,
        speaker.loopback(16_000, model=PAIR) as spoken,
    ):
        unheard, heard = _sounds(silent), _sounds(spoken)
        silent.send(bytes(640))
        assert next(unheard) == bytes(640)
        spoken.send(bytes(640))
        assert next(heard) == bytes(640)
        waiting = threading.Thread(target=lambda: answers.append(waiter.generate("my turn", model=PAIR).text))
        waiting.start()
        number = 0
        while waiting.is_alive():  # both slots are taken until one of the two has lost its own
            number += 1
            spoken.send(number.to_bytes(2) * 320)
            assert next(heard) == number.to_bytes(2) * 320
            waiting.join(0.1)
        with pytest.raises(inferd.Cancelled, match="also while nobody speaks") as cancelled:
            list(unheard)
        with pytest.raises(inferd.Cancelled):
            silent.send(bytes(640))
        spoken.finish()
        assert list(heard) == []
    assert [text.split() for text in answers] == [["my", "turn"]]
    assert cancelled.value.details["reason"] == "starved_feed"
    assert not cancelled.value.retryable
    until(lambda: daemon.model(PAIR).busy == 0, "every slot is free again")


def _sounds(stream: Iterable[object]) -> Iterator[bytes]:
    return (event.pcm for event in stream if isinstance(event, inferd.AudioChunk))


def test_loading_is_shown_and_a_ping_reaches_the_actor(client: Client) -> None:
    with client.stream("hello", model="test/lazy:echo") as stream:
        events = list(stream)
    phases = [event.progress for event in events if isinstance(event, inferd.Loading)]
    assert phases == sorted(phases)
    assert phases
    assert client.ping("test/lazy:echo") < 5.0


def test_errors_name_what_was_asked_and_the_next_step(client: Client) -> None:
    with pytest.raises(inferd.ModelNotFound) as unknown:
        client.generate("hello", model="ecko")
    assert ECHO in str(unknown.value.details["near"])
    with pytest.raises(inferd.LoadFailed) as broken:
        client.generate("hello", model="test/broken:echo")
    assert broken.value.details["cause"] == "no_memory"
    with pytest.raises(inferd.LoadFailed) as again:
        client.generate("hello", model="test/broken:echo")
    assert again.value.retry_after_s is not None
    with pytest.raises(inferd.UnsupportedMode):
        client.generate("hello", model="echo", response_format={"type": "json_object"})


def test_a_class_above_the_configured_one_is_refused_by_name(daemon: DaemonProcess) -> None:
    with daemon.client("indexer") as indexer:
        assert indexer.generate("hello", model="echo", priority="batch").text.split() == ["hello"]
        with pytest.raises(inferd.PermissionDenied) as denied:
            indexer.generate("hello", model="echo", priority="voice")
    assert denied.value.details["setting"] == "apps.indexer.max_class"


def test_a_request_that_waits_too_long_ends_at_its_deadline(client: Client) -> None:
    _warm(client, "test/single:echo")
    with client.stream(WORDS, model="test/single:echo") as busy:
        events = iter(busy)
        _first_text(events)
        with pytest.raises(inferd.DeadlineExceeded):
            client.generate("hello", model="test/single:echo", timeout_s=0.5)


def test_nothing_of_the_service_listens_beyond_this_machine(daemon: DaemonProcess, client: Client) -> None:
    _warm(client, "echo")
    listeners = [
        (process.pid, connection.laddr)
        for process in daemon.tree()
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listeners, "Ray listens somewhere; seeing nothing means looking in the wrong place"
    for pid, where in listeners:
        host = ip_address(where.ip)
        mapped = getattr(host, "ipv4_mapped", None) or host
        assert mapped.is_loopback, (pid, where)


def test_files_and_environment_are_private(daemon: DaemonProcess, client: Client) -> None:
    _warm(client, "echo")
    folder = daemon.socket.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        if path.is_dir():
            continue
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert PLANTED in psutil.Process(daemon.pid).environ().values()
    actor = psutil.Process(daemon.model(ECHO).pid)
    assert PLANTED not in actor.environ().values()
    assert PLANTED.encode() not in b"".join(path.encode() for path in actor.environ())
    assert actor.nice() == psutil.Process(daemon.pid).nice()


def test_status_tells_processes_and_apps(daemon: DaemonProcess, client: Client) -> None:
    _warm(client, "echo")
    report = client.daemon.status()
    kinds = {process.kind for process in report.processes}
    assert {"daemon", "keeper", "model", "router", "tracker", "ray"} <= kinds
    assert all(process.pss_bytes > 0 for process in report.processes)
    assert report.pid == daemon.pid
    assert any(app.app == "test" for app in report.apps)
    assert next(row for row in report.models if row.id == ECHO).memory_bytes > 0


def test_unloading_ends_the_process_and_the_next_request_loads_again(daemon: DaemonProcess, client: Client) -> None:
    _warm(client, "echo")
    before = daemon.model(ECHO)
    client.models.unload("echo")
    assert not psutil.pid_exists(before.pid)
    assert daemon.model(ECHO).state == "stored"
    _warm(client, "echo")
    assert daemon.model(ECHO).life > before.life


def test_a_second_daemon_names_the_first_and_leaves_with_its_own_code(daemon: DaemonProcess, client: Client) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "inferd_daemon"],
        env={**os.environ, "INFERD_SOCKET": str(daemon.socket)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 3
    assert str(daemon.pid) in second.stderr
    _warm(client, "echo")
