"""Who does the work of a line: threads that wait lead, one after another, and none of them is ever forgotten."""

from __future__ import annotations

import gc
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import pytest
from scripted_daemon import Heard, ScriptedDaemon, answering
from waiting import until

import inferd
from inferd import Client, TextDelta
from inferd.calls import Item, Mailbox
from inferd.drafts import draft
from inferd.intake import Only
from inferd.letterbox import Letterbox
from inferd.line import Line
from inferd.messages import control, events, operations
from inferd.pump import PARK_S
from inferd.streams import Stream

FINISHED = events.Finished("m")
PATIENCE_S = 30.0
AGAIN_S = 0.02
Deliveries = dict[Mailbox, list[Item]]


class Interrupted(BaseException):
    """What breaks into the work of a thread."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


def answer(daemon: ScriptedDaemon, ping: control.Ping) -> None:
    daemon.send_message(control.Pong(ping.nonce, "actor", 1))


# --- leading and following


def test_streams_and_pings_of_many_threads_mix_on_one_line(path: Path) -> None:
    def script(daemon: ScriptedDaemon, heard: Heard) -> None:
        daemon.tell(heard.request.id, events.Accepted("t"), TextDelta("a"), peer=heard.peer)
        for text in "bcdef":
            daemon.tell(heard.request.id, TextDelta(text), peer=heard.peer)
        daemon.tell(heard.request.id, FINISHED, peer=heard.peer)

    together = threading.Barrier(12)

    def ask(number: int) -> list[str | bool]:
        together.wait()
        return [client.generate("hi").text if (number + at) % 2 else client.ping() > 0 for at in range(40)]

    with ThreadPoolExecutor(12) as pool, ScriptedDaemon(path, script=script), Client("test", socket=path) as client:
        said = list(pool.map(ask, range(12)))
    assert said == [["abcdef" if (number + at) % 2 else True for at in range(40)] for number in range(12)]


def test_whoever_is_left_waiting_when_a_leader_leaves_gets_its_answer(path: Path) -> None:
    with ThreadPoolExecutor(3) as pool, ScriptedDaemon(path) as daemon, Client("test", socket=path) as client:
        for at in range(300):
            waiting = {model: pool.submit(client.ping, model) for model in ("a", "b", "c")}
            asked = {ping.model or "": ping for ping in (daemon.next(control.Ping) for _ in waiting)}
            for model in ("abc", "bca", "cab", "acb")[at % 4]:
                answer(daemon, asked[model])
                assert waiting[model].result(PATIENCE_S) > 0


def test_a_follower_that_gives_up_leaves_the_line_in_order(path: Path) -> None:
    with ThreadPoolExecutor(1) as pool, ScriptedDaemon(path) as daemon, Client("test", socket=path) as client:
        leading = pool.submit(client.ping, "m")
        ping = daemon.next(control.Ping)
        loop = client.loopback()
        for _ in range(3):
            with pytest.raises(inferd.DeadlineExceeded, match="took nothing more within"):
                loop.send(b"\0\0", timeout_s=0.01)
        answer(daemon, ping)
        assert leading.result(PATIENCE_S) > 0
        daemon.tell(loop.request_id, events.Accepted("t"), events.Granted(9, 99_999))
        loop.send(b"\0\0")
        assert daemon.next(control.Feed).request == loop.request_id


def test_what_nobody_waits_for_is_done_all_the_same(path: Path) -> None:
    with Client("test", socket=path) as client:
        with ScriptedDaemon(path):
            client.ping()
        with ScriptedDaemon(path, instance="another instance") as second:
            assert second.next(control.Hello).app == "test"  # nobody called since


def test_a_stream_that_is_dropped_while_another_thread_leads_is_cancelled(path: Path) -> None:
    with ThreadPoolExecutor(1) as pool, ScriptedDaemon(path) as daemon, Client("test", socket=path) as client:
        for _ in range(20):
            held = [client.stream("hi")]
            request = daemon.request().request.id
            leading = pool.submit(client.ping, "m")
            ping = daemon.next(control.Ping)
            held.clear()
            gc.collect()
            assert daemon.next(control.Cancel).request == request
            answer(daemon, ping)
            assert leading.result(PATIENCE_S) > 0


# --- the line's own thread at rest


def naps() -> int:
    """Return how often the threads of clients have gone to sleep so far."""
    waits = 0
    for thread in threading.enumerate():
        if thread.name == "inferd-line":
            status = Path(f"/proc/self/task/{thread.native_id}/status").read_text(encoding="ascii")
            waits += int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    return waits


def is_quiet() -> bool:
    before = naps()
    threading.Event().wait(10 * PARK_S)  # not for something to happen: that nothing does is what is looked at
    return naps() == before


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the kernel counts how often a thread sleeps: Linux")
def test_a_line_that_is_idle_or_led_for_long_is_not_woken_by_the_clock(path: Path) -> None:
    with ThreadPoolExecutor(1) as pool, ScriptedDaemon(path) as daemon, Client("test", socket=path) as client:
        client.ping()
        daemon.next(control.Ping)
        until(is_quiet, "an idle client sleeps")
        leading = pool.submit(lambda: (client.ping(), client.ping("m", timeout_s=600)))  # once served, it leads
        daemon.next(control.Ping)
        ping = daemon.next(control.Ping)
        until(is_quiet, "a client whose one call waits sleeps")
        answer(daemon, ping)
        assert min(leading.result(PATIENCE_S)) > 0


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the kernel counts how often a thread sleeps: Linux")
def test_the_lines_own_thread_takes_over_from_a_leader_that_led_for_long(path: Path) -> None:
    with ThreadPoolExecutor(2) as pool, ScriptedDaemon(path) as daemon, Client("test", socket=path) as client:
        leading = pool.submit(lambda: (client.ping(), client.ping("a")))
        daemon.next(control.Ping)
        first = daemon.next(control.Ping)
        until(is_quiet, "the line's own thread leaves the work to the leader")
        following = pool.submit(client.ping, "b")
        second = daemon.next(control.Ping)
        answer(daemon, first)
        assert min(leading.result(PATIENCE_S)) > 0
        answer(daemon, second)
        assert following.result(PATIENCE_S) > 0


# --- interrupts


@contextmanager
def handling(handler: Callable[[], object]) -> Iterator[Callable[[], None]]:
    """Yield what signals the main thread until it has begun to handle that, once.

    Again and again, since a signal that comes on the very way into a system call is seen only after it.
    """
    begun = threading.Event()

    def once(_signal: int, _frame: FrameType | None) -> None:
        if not begun.is_set():
            begun.set()
            handler()

    def send() -> None:
        while not begun.is_set():
            signal.pthread_kill(main, signal.SIGUSR1)
            begun.wait(AGAIN_S)

    before, main = signal.signal(signal.SIGUSR1, once), threading.main_thread().ident or 0
    try:
        yield send
    finally:
        signal.signal(signal.SIGUSR1, before)


def interrupt() -> None:
    raise Interrupted


def test_an_interrupt_of_a_thread_that_waits_harms_no_other_call_or_says_so(path: Path) -> None:
    unharmed = 0
    with ThreadPoolExecutor(1) as pool, ScriptedDaemon(path) as daemon, Client("test", socket=path) as client:

        def disturb() -> None:
            daemon.next(control.Ping)
            client.ping()  # served by the main thread, if that one leads
            daemon.next(control.Ping)
            send()

        for _ in range(20):
            stream = client.stream("hi")
            request = daemon.request().request.id
            with handling(interrupt) as send:
                disturbing = pool.submit(disturb)
                with pytest.raises(Interrupted):
                    client.ping("m")
                disturbing.result(PATIENCE_S)
            daemon.tell(request, events.Accepted("t"), TextDelta("a"), FINISHED)
            with suppress(inferd.ConnectionLost):  # it came outside the poll
                assert stream.reply().text == "a"
                unharmed += 1
    assert unharmed > 0


class Breaking:
    """Carries deliveries across as the client's own does, and is interrupted once, in the main thread."""

    def __init__(self) -> None:
        self.armed = ""
        """Where the interrupt comes: `before` or `after` the deliveries are handed over."""

    def __call__(self, deliveries: Deliveries) -> None:
        armed = self.armed if threading.current_thread() is threading.main_thread() else ""
        if armed:
            self.armed = ""
        if armed == "before":
            raise Interrupted
        for mailbox, items in deliveries.items():
            mailbox.put(items)
        if armed == "after":
            raise Interrupted


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_interrupt_in_the_middle_of_the_work_ends_every_call_and_the_line_is_made_anew(
    moment: str, path: Path
) -> None:
    breaking = Breaking()
    line = Line("test", path, 5.0, breaking)

    def stream() -> Stream[TextDelta]:
        return Stream(line, draft(operations.ListModels(), timeout_s=PATIENCE_S), Only(TextDelta))

    def ping() -> list[Item]:
        mailbox = Letterbox()
        line.connection().probe(None, PATIENCE_S, mailbox)
        return line.connection().take(mailbox)

    with ScriptedDaemon(path) as daemon, ThreadPoolExecutor(2) as pool:
        ping()
        begun, ending = stream(), stream()
        for _ in range(2):
            daemon.tell(daemon.request().request.id, events.Accepted("t"))
        daemon.tell(ending.request_id, TextDelta("a"))
        assert next(ending) == TextDelta("a")
        last = [daemon.numbered(ending.request_id, event) for event in (TextDelta("b"), FINISHED)]
        breaking.armed = moment
        interrupted_in_the_middle(breaking, ping, lambda: daemon.send(last))
        assert [event.text for event in pool.submit(list, ending).result(PATIENCE_S)] == ["b"]
        with pytest.raises(inferd.ConnectionLost, match="an interrupt of this program") as lost:
            next(begun)
        assert lost.value.details["started"] is True
        assert len(ping()) == 1
        first, second = daemon.next(control.Hello), daemon.next(control.Hello)
        assert first.app_session == second.app_session
        assert daemon.next(control.Cancel).request == begun.request_id
    line.close()
    line.join()


def interrupted_in_the_middle(breaking: Breaking, ping: Callable[[], object], send: Callable[[], None]) -> None:
    """Wait in the main thread for pongs until one of its deliveries is interrupted; `send` something to deliver with it."""
    send()
    while breaking.armed:
        try:
            ping()
        except Interrupted:
            return
    raise AssertionError("the interrupt was not raised")


def test_a_client_can_be_closed_by_a_signals_handler_that_finds_its_thread_waiting(path: Path) -> None:
    with ScriptedDaemon(path) as daemon, ThreadPoolExecutor(1) as pool:
        client = Client("test", socket=path)
        client.ping()
        daemon.next(control.Ping)
        with handling(client.close) as send:
            closing = pool.submit(lambda: (daemon.next(control.Ping), send()))
            with pytest.raises(inferd.Cancelled, match="the client was closed"):
                client.ping("m")
            closing.result(PATIENCE_S)
        daemon.next(control.Goodbye)


def test_a_signals_handler_that_asks_within_a_wait_is_answered_or_refused_and_never_hangs(path: Path) -> None:
    said: queue.SimpleQueue[float | RuntimeError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            said.put(client.ping())
        except RuntimeError as refused:
            said.put(refused)

    def disturb() -> None:
        while (ping := daemon.next(control.Ping)).model is None:
            continue
        send()
        said.get(timeout=PATIENCE_S)
        answer(daemon, ping)

    with ScriptedDaemon(path, script=answering(FINISHED)) as daemon, Client("test", socket=path) as client:
        client.generate("hi")
        with ThreadPoolExecutor(1) as pool:
            for _ in range(10):
                with handling(ask) as send:
                    disturbing = pool.submit(disturb)
                    assert client.ping("m") > 0
                    disturbing.result(PATIENCE_S)
