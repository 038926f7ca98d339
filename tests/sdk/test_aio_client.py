"""The asyncio client against a daemon that says what a test tells it to, on asyncio's own loop and on uvloop."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from scripted_daemon import Heard, Script, ScriptedDaemon, answering

import inferd
from inferd import AsyncClient, AsyncInferenceHandle, Done, TextDelta
from inferd.aio_streams import AsyncReplyStream
from inferd.messages import control, events, reports

FINISHED = events.Finished("m", usage=events.Usage(3, 2))
SCHEMA = inferd.ModelSchema("me/m:x", engine="echo", cost=inferd.TokenCost(1.0, 2.0))
UPGRADE = inferd.Upgrade("me/old:x", "me/new:x", "newer", 7, fits=None)
Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[None, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Return what runs a test's coroutine to its end."""

    def to_end(test: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(test)

    return to_end


@asynccontextmanager
async def connected(
    tmp_path: Path, script: Script | None = None, limits: control.Limits | None = None
) -> AsyncIterator[tuple[ScriptedDaemon, AsyncClient]]:
    """A daemon and a client of it."""
    with ScriptedDaemon(tmp_path / "s", script=script, limits=limits) as daemon:
        async with AsyncClient("test", socket=tmp_path / "s") as client:
            yield daemon, client


async def heard(daemon: ScriptedDaemon) -> control.Request:
    """Return the next request without holding up the loop."""
    return (await asyncio.to_thread(daemon.request)).request


def test_a_stream_yields_state_deltas_and_done_in_order(run: Run, tmp_path: Path) -> None:
    said = (events.Queued(2), events.ThinkingDelta("hm"), TextDelta("a"), TextDelta("b"))

    async def test() -> None:
        async with connected(tmp_path, answering(*said, FINISHED)) as (_, client):
            shown = [event async for event in client.stream("hi")]
            assert tuple(shown[:-1]) == said
            assert shown[-1] == Done(inferd.accumulate(shown))

    run(test())


def test_generate_and_the_small_calls_return_what_the_daemon_answers(run: Run, tmp_path: Path) -> None:
    model = reports.Model("m", "M", "ready", available=True, weights_ready=True)
    forecast = reports.Preflight("m", "fits", 1, "guess", 0, 2, 2, 3, 4)
    report = reports.DaemonReport("0", "i", 1, 0.0, "s", "ready", draining=False)
    answers: dict[str, tuple[events.Event, ...]] = {
        "generate": (TextDelta("a"), FINISHED),
        "list_models": (events.ModelList((model,)),),
        "status": (events.StatusReport(report),),
        "unload": (events.Unloaded("m"),),
        "why": (events.WhyReport("m", ()),),
        "preflight": (events.PreflightReport(forecast),),
        "pin": (events.Pinned("m", pinned=True),),
        "unpin": (events.Pinned("m", pinned=False),),
        "warm_up": (events.Loading("m", 0.5), events.WarmedUp(())),
        "hold": (events.Loading("m", 0.5), events.Held(7, ("m",), 60.0)),
        "renew_hold": (events.Held(7, ("m",), 90.0),),
        "release_hold": (events.Released(7, was_held=True),),
        "stop": (events.Stopping(),),
        "pull": (events.PullProgress("downloading", 1, 2), events.Pulled("m", 2)),
        "remove": (events.Removed("m", 7),),
        "list_schemas": (events.SchemaList((SCHEMA,)),),
        "register": (events.Registered("me/m:x", "added"),),
        "unregister": (events.Unregistered("me/m:x", restored=False),),
        "discover": (events.Discovered((), (SCHEMA,)),),
        "list_upgrades": (events.UpgradeList((UPGRADE,)),),
    }

    def script(daemon: ScriptedDaemon, asked: Heard) -> None:
        daemon.tell(asked.request.id, events.Accepted("t"), *answers[asked.request.op], peer=asked.peer)

    async def app(handle: AsyncInferenceHandle) -> str:
        return (await handle.generate("hi", max_tokens=5)).text

    async def test() -> None:
        async with connected(tmp_path, script) as (_, client):
            assert await app(client) == "a"
            assert await client.models.list() == (model,)
            assert await client.daemon.status() == report
            await client.models.unload("m")
            assert await client.daemon.why("m") == ()
            assert await client.models.preflight("m") == forecast
            assert await client.models.pin("m") == answers["pin"][0]
            assert await client.models.unpin("m") == answers["unpin"][0]
            progress: list[events.Loading] = []
            assert await client.models.warm_up(["m"], on_progress=progress.append) == ()
            async with client.models.hold(["m"], seconds=60, on_progress=progress.append) as hold:
                assert hold.models == ("m",)
                await hold.renew(90)
                assert hold.seconds == 90.0
            held = await client.models.hold(["m"], 60)
            assert await held.release()
            assert progress == [events.Loading("m", 0.5)] * 2
            with pytest.raises(inferd.InvalidRequest, match="await it first"):
                await client.models.hold(["m"], 60).renew()
            await client.daemon.stop()
            assert tuple([event async for event in client.models.pull("m")]) == answers["pull"]
            assert await client.models.remove("m") == answers["remove"][0]
            assert await client.models.schemas() == (SCHEMA,)
            assert await client.models.register(SCHEMA) == answers["register"][0]
            assert await client.models.unregister("m") == answers["unregister"][0]
            assert await client.models.discover() == answers["discover"][0]
            assert await client.models.upgrades() == (UPGRADE,)
            assert await client.ping() > 0

    run(test())


def test_many_requests_share_one_loop_and_one_line(run: Run, tmp_path: Path) -> None:
    def script(daemon: ScriptedDaemon, asked: Heard) -> None:
        deltas = [TextDelta(f"{asked.request.id}:{at} ") for at in range(40)]
        daemon.tell(asked.request.id, events.Accepted("t"), *deltas, FINISHED, peer=asked.peer)

    async def test() -> None:
        async with connected(tmp_path, script) as (_, client), asyncio.TaskGroup() as group:
            streams = [client.stream("hi") for _ in range(100)]
            replies = [(stream.request_id, group.create_task(stream.reply())) for stream in streams]
        for request, reply in replies:
            assert reply.result().text == "".join(f"{request}:{at} " for at in range(40))

    run(test())


async def leave_by_break(stream: AsyncReplyStream) -> None:
    async for _ in stream:
        break


async def leave_by_error(stream: AsyncReplyStream) -> None:
    async def stumble() -> None:
        async for _ in stream:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await stumble()


async def leave_by_block(stream: AsyncReplyStream) -> None:
    async with stream:
        await anext(stream)


async def leave_by_aclose(stream: AsyncReplyStream) -> None:
    await anext(stream)
    await stream.aclose()
    await stream.aclose()


async def leave_by_cancelled_task(stream: AsyncReplyStream) -> None:
    async def read() -> None:
        async for _ in stream:
            reading.set()

    reading = asyncio.Event()
    task = asyncio.create_task(read())
    await reading.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    "leave", [leave_by_break, leave_by_error, leave_by_block, leave_by_aclose, leave_by_cancelled_task]
)
def test_leaving_cancels_at_once_and_the_stream_says_so_from_then_on(
    leave: Callable[[AsyncReplyStream], Awaitable[None]], run: Run, tmp_path: Path
) -> None:
    async def test() -> None:
        async with connected(tmp_path, answering(TextDelta("a"))) as (daemon, client):
            stream = client.stream("hi")
            await leave(stream)
            cancel = await asyncio.to_thread(daemon.next, control.Cancel)
            assert cancel.request == stream.request_id
            with pytest.raises(inferd.Cancelled):
                await anext(stream)

    run(test())


def test_a_stream_that_nobody_holds_any_more_is_cancelled(run: Run, tmp_path: Path) -> None:
    async def test() -> None:
        async with connected(tmp_path) as (daemon, client):
            held = [client.stream("hi")]
            request = await heard(daemon)
            held.clear()
            gc.collect()
            assert await asyncio.to_thread(daemon.next, control.Cancel) == control.Cancel(request.id)

    run(test())


def test_a_generate_whose_task_is_cancelled_is_cancelled_at_the_daemon(run: Run, tmp_path: Path) -> None:
    async def test() -> None:
        async with connected(tmp_path) as (daemon, client):
            task = asyncio.create_task(client.generate("hi"))
            request = await heard(daemon)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await asyncio.to_thread(daemon.next, control.Cancel)).request == request.id

    run(test())


def test_an_interrupted_wait_loses_no_event(run: Run, tmp_path: Path) -> None:
    async def test() -> None:
        async with connected(tmp_path) as (daemon, client):
            stream = client.stream("hi")
            request = await heard(daemon)
            for text in "abc":
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(stream), 0.01)
                daemon.tell(request.id, TextDelta(text))
                assert await anext(stream) == TextDelta(text)

    run(test())


def test_credit_follows_the_reader(run: Run, tmp_path: Path) -> None:
    async def test() -> None:
        async with connected(tmp_path) as (daemon, client):
            stream = client.stream("hi")
            request = await heard(daemon)
            daemon.tell(request.id, *(TextDelta("x") for _ in range(request.window.limit_seq)))
            await client.ping()
            assert daemon.heard_no(control.Credit)
            for _ in range(request.window.limit_seq // 2):
                await anext(stream)
            credit = await asyncio.to_thread(daemon.next, control.Credit)
            assert credit.limit_seq == request.window.limit_seq * 3 // 2

    run(test())


def test_two_readers_of_one_stream_are_told_so(run: Run, tmp_path: Path) -> None:
    async def test() -> None:
        async with connected(tmp_path) as (daemon, client):
            stream = client.stream("hi")
            first = asyncio.ensure_future(stream.__anext__())
            request = await heard(daemon)
            with pytest.raises(RuntimeError, match="two tasks read one stream"):
                await anext(stream)
            daemon.tell(request.id, TextDelta("a"))
            assert await first == TextDelta("a")

    run(test())


def test_a_client_belongs_to_the_loop_of_its_first_call(run: Run, tmp_path: Path) -> None:
    async def elsewhere(client: AsyncClient) -> None:
        with pytest.raises(RuntimeError, match="belongs to another event loop"):
            await client.ping()

    async def test() -> None:
        async with connected(tmp_path) as (_, client):
            await client.ping()
            await asyncio.to_thread(lambda: asyncio.run(elsewhere(client)))

    run(test())


def test_a_client_that_is_closed_while_tasks_wait_ends_them(run: Run, tmp_path: Path) -> None:
    async def test() -> None:
        async with connected(tmp_path) as (daemon, client):
            waiting = asyncio.create_task(client.generate("hi"))
            await heard(daemon)
            await client.aclose()
            with pytest.raises(inferd.Cancelled, match="the client was closed"):
                await waiting
            with pytest.raises(inferd.ConnectionLost, match="this client is closed"):
                await client.ping()

    run(test())


def test_a_loop_that_ends_before_its_client_harms_nobody(run: Run, tmp_path: Path) -> None:
    with ScriptedDaemon(tmp_path / "s", script=answering(FINISHED)) as daemon:
        kept: list[object] = []

        async def test() -> None:
            client = AsyncClient("test", socket=tmp_path / "s")
            await client.ping()
            kept.append(client.stream("hi"))

        run(test())
        daemon.request()
        kept.clear()
        gc.collect()
        daemon.next(control.Goodbye)


def test_failures_are_the_blocking_clients(run: Run, tmp_path: Path) -> None:
    async def test() -> None:
        async with AsyncClient("test", socket=tmp_path / "s", connect_timeout_s=0.05) as client:
            with pytest.raises(inferd.ConnectionLost, match="start it: inferd serve"):
                await client.generate("hi")
            with pytest.raises(inferd.ConnectionLost, match="start it: inferd serve"):
                await client.ping()
            with pytest.raises(inferd.InvalidRequest, match="temperature"):
                await client.generate("hi", temperature=float("nan"))

    run(test())


def test_sound_goes_up_inside_the_granted_window_and_comes_back(run: Run, tmp_path: Path) -> None:
    async def test() -> None:
        async with connected(tmp_path) as (daemon, client):
            loop = client.loopback(8_000)
            request = await heard(daemon)
            daemon.tell(request.id, events.Accepted("t"), events.Granted(1, 1_600))
            sending = asyncio.create_task(loop.send(b"\1\0" * 1_000))
            first = await asyncio.to_thread(daemon.next, control.Feed)
            await client.ping()
            assert daemon.heard_no(control.Feed)
            with pytest.raises(inferd.DeadlineExceeded, match="took nothing more"):
                await loop.send(b"\0\0", timeout_s=0.05)  # one sender at a time: the other waits for room
            await loop.pause()  # control overtakes it
            await asyncio.to_thread(daemon.next, control.Pause)
            daemon.tell(request.id, events.Granted(9, 99_999))
            second = await asyncio.to_thread(daemon.next, control.Feed)
            await sending
            assert ((first.data or b"") + (second.data or b"")) == b"\1\0" * 1_000
            assert (second.seq, second.offset) == (2, 800)
            await loop.resume()
            await loop.played(0, 5)
            await loop.finish()
            await asyncio.to_thread(daemon.next, control.Finish)
            chunk = events.AudioChunk(inferd.Blob(b"\1\0"), 8_000)
            daemon.tell(request.id, chunk, FINISHED)
            assert [event async for event in loop] == [chunk]
            with pytest.raises(inferd.InvalidRequest, match="this stream has ended"):
                await loop.send(b"\0\0")

    run(test())
