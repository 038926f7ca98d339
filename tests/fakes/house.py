"""The daemon without sockets, processes and waiting: its loop's rooms and its switchboard, driven by hand.

Orders and facts lie in two queues, as between the two threads: `wires` carries out the orders, `loop` hears the facts, and
a test decides which comes first. Apps, actors and the keeper are played here; the clock jumps.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any, Literal, Self, cast
from unittest import mock

from inferd import wire
from inferd.errors import LoadFailed, PullFailed
from inferd.messages import control, operations
from inferd.messages.events import Cancelled, Discovered, Finished, Terminal
from inferd.messages.reports import DaemonReport, Problem
from inferd_actors import messages as actors
from inferd_actors.headers.header import Header
from inferd_daemon import config, crossing
from inferd_daemon.attendants import LIVES, Attendants
from inferd_daemon.cards import Cards
from inferd_daemon.catalogue import FileSource, ModelId, Schema, curated
from inferd_daemon.cluster import Cluster
from inferd_daemon.custodian import Custodian
from inferd_daemon.desk import Desk
from inferd_daemon.fleet import KEEPER, Fleet
from inferd_daemon.foresight import Foresight
from inferd_daemon.headers import Headers
from inferd_daemon.ids import Life
from inferd_daemon.ledger import GPU, RAM, Amount, KeepAlive, Ledger, Need, Room, Terms
from inferd_daemon.lifecycle import FilesChanged, Lifecycle
from inferd_daemon.peaks import Peaks, Shape
from inferd_daemon.pins import Pins
from inferd_daemon.pulls import Pulls
from inferd_daemon.read_ahead import ReadAhead
from inferd_daemon.registrar import Registrar
from inferd_daemon.registry import Registry
from inferd_daemon.requests import Requests
from inferd_daemon.session import Peer
from inferd_daemon.speech_desk import SpeechDesk
from inferd_daemon.speech_policy import PolicyFile
from inferd_daemon.standby import Standby
from inferd_daemon.steward import Steward
from inferd_daemon.store import Progress, Store
from inferd_daemon.supervisor import Supervisor
from inferd_daemon.switchboard import Kick, Outgoing, Switchboard
from inferd_daemon.telemetry import Meter

FIRST_LIFE = Life(1_000)
PEER = Peer(1000, 1000, 0)
KEEPER_PEER = b"keeper"
MODELS = ("test/one:echo", "test/two:echo")
ABSENT = "test/absent:file"
FILED = "test/filed:gguf"
"""A model with a tokenizer in its file."""
ROOM = Room(64 * 2**30, 60 * 2**30, 0)
FILE = str(Path(__file__))
"""Its file: any that is there, for nobody reads it."""
HEADER = Header(architecture="llama", context_tokens=4_096, tensor_bytes={"F32": 10**9})
"""What its header says."""
ROWS = {name: {"engine": "echo"} for name in MODELS} | {
    ABSENT: {"engine": "echo", "file": "/nowhere"},
    FILED: {"engine": "llama_cpp", "file": FILE},
}


class FakeCluster:
    """A keeper that is ready once it has said so."""

    keeper_secret = "k" * 32

    def __init__(self) -> None:
        self.state: Literal["starting", "ready", "down"] = "starting"

    def new_secret(self, life: int) -> str:
        """Return what the actor of this life says."""
        return f"{life:032}"

    def heard(self, _ready: actors.KeeperReady) -> None:
        """It is ready."""
        self.state = "ready"

    def lost(self) -> None:
        """It is not."""
        self.state = "starting"


class FakeStore:
    """A store whose pulls end when a test says so."""

    def __init__(self) -> None:
        self.stored = {*MODELS, FILED}
        self.goes_on = Event()
        self.looks = Event()
        self.looks.set()
        self.broken: Exception | None = None
        self.twins: dict[str, tuple[str, ...]] = {}
        """Model → others that have the very same file."""

    def has(self, schema: Schema) -> bool:
        """Tell whether a model is stored. Blocks while a test says so."""
        self.looks.wait()
        return str(schema.id) in self.stored

    def path(self, schema: Schema) -> Path | None:
        """Return the path, which echo models do not have. Raises what a test planted."""
        if self.broken is not None:
            raise self.broken
        if not self.has(schema):
            raise LoadFailed(f"{schema.id} is gone")
        return Path(schema.source.path) if isinstance(schema.source, FileSource) else None

    def size_bytes(self, schema: Schema) -> int:
        """Return 0: nothing is on the disk."""
        return 0

    def pull(
        self, schema: Schema, on_progress: Callable[[Progress], None], stop: Event, others: Iterable[Schema] = ()
    ) -> None:
        """Wait for the test's word. Blocks."""
        on_progress(Progress("downloading", 1, 2))
        while not self.goes_on.wait(0.01):
            if stop.is_set():
                raise PullFailed("stopped")
        self.stored.add(str(schema.id))

    def remove(self, schema: Schema, others: Iterable[Schema] = ()) -> int:
        """Delete a model's file. Raises what a test planted."""
        if self.broken is not None:
            raise self.broken
        was_stored = str(schema.id) in self.stored
        self.stored -= {str(schema.id), *self.twins.get(str(schema.id), ())}
        return 7 if was_stored else 0


class FakePeaks:
    """Peaks that a test plants, and what was learned."""

    def __init__(self) -> None:
        self.known: dict[str, Need] = {}

    def of(self, shape: Shape) -> Need | None:
        """Return what was planted or learned."""
        return self.known.get(shape.model)

    def rose(self, shape: Shape, used: Amount, load_s: float) -> None:
        """Learn."""
        self.known[shape.model] = Need(used.ram_bytes, load_s, used.gpu_bytes)

    ended = rose


class ListTasks:
    """Tasks of the registrar, which write and delete small files and wait for nothing else."""

    def __init__(self) -> None:
        self.running: set[asyncio.Task[Any]] = set()

    def create_task(self, coroutine: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Begin a task."""
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        return task


class Rules(dict[str, config.AppRules]):
    """Rules of apps that cannot be read while a test has planted a bug in them."""

    bug: Exception | None = None

    def get(self, _app: str, default: Any = None) -> Any:  # noqa: ANN401 - as a dict's
        """Return the default. Raises the planted bug."""
        if self.bug is not None:
            raise self.bug
        return default


@dataclass
class Asked:
    """A request as its app sees it."""

    events: list[wire.Arrival] = field(default_factory=list)

    @property
    def ends(self) -> list[Terminal]:
        """Every terminal event; there must be one in the end, and never two."""
        return [one.event for one in self.events if isinstance(one.event, Terminal)]

    @property
    def end(self) -> Terminal:
        """The one end."""
        (end,) = self.ends
        return end


@dataclass
class Process:
    """A process that serves streams, whatever the daemon knows of it."""

    life: int
    name: str
    secret: str
    kind: actors.Kind = "model"
    peer: bytes = b""
    """Empty: no connection."""
    loading: bool = False
    preparing: bool = False
    opens: str = ""
    """The file that it was told to open while it stands by."""
    leaving: bool = False
    deaf: bool = False
    """It hangs: hears everything and does nothing."""
    stuck: bool = False
    """Its engine hangs: it says how many steps it has made, and makes none."""
    waits: bool = False
    """Its streams wait for their apps."""
    steps: int = 0
    asides: list[bool] = field(default_factory=list)
    """What it was told of voice work elsewhere."""
    streams: dict[int, actors.Submit] = field(default_factory=dict)
    requests: dict[int, int] = field(default_factory=dict)
    told_to_end: list[int] = field(default_factory=list)


class House:
    """Everything between an app's frames and an actor's frames."""

    def __init__(
        self,
        clock: list[float],
        budget_bytes: int | None = None,
        pinned: Sequence[ModelId] = (),
        *,
        wants_standby: bool = False,
        gpu_room: Room | None = None,
    ) -> None:
        """`gpu_room`: how full the GPUs are that llama.cpp computes on; None: there are none."""
        self.clock = clock
        self.gpu_room = gpu_room
        self.looks_at_gpus = 0
        self.wants_standby = wants_standby
        self.budget_bytes = budget_bytes
        self.pinned = pinned
        """By the config."""
        self.faults: list[Problem] = []
        self.room = ROOM
        self.folder = TemporaryDirectory(prefix="house-")
        self.rows_file = Path(self.folder.name) / "models.json"
        configured = frozenset(ModelId.parse(name) for name in ROWS)
        self.catalogue = Registry(curated().with_rows(ROWS), self.rows_file, configured)
        self.cluster, self.store, self.attendants = FakeCluster(), FakeStore(), Attendants(FIRST_LIFE)
        self.rules = Rules()
        self.identity_bug: Exception | None = None
        self.corrupt: LoadFailed | None = None
        """What is wrong with every model file."""
        self.header_comes = Event()
        self.header_comes.set()
        self.headers_read = 0
        self.header = HEADER
        self.last_header = 0
        """The header behind which `header_comes` is cleared; 0: none."""
        self.orders: deque[crossing.Order] = deque()
        self.facts: deque[crossing.Fact] = deque()
        self.apps: dict[bytes, dict[int, Asked]] = {}
        self.processes: dict[int, Process] = {}
        self.keeper_connected = False
        self.keeper_hears = True
        self.kicked: list[Kick] = []
        self.list_tasks = ListTasks()
        self.stops_s: list[float] = []
        self.runner = asyncio.Runner()
        self.run(self._build)

    def run(self, act: Callable[[], None]) -> None:
        """Do something in the loop."""

        async def once() -> None:
            act()
            await asyncio.sleep(0)
            while self.list_tasks.running:  # their files take a thread some time, and nothing may depend on how long
                await asyncio.wait(self.list_tasks.running)

        self.runner.run(once())

    def _build(self) -> None:
        welcome = control.Welcome(1, "i" * 32, "test", 1)
        self.board = Switchboard(welcome, lambda name: str(self.catalogue.find(name).id))
        cluster, store = cast("Cluster", self.cluster), cast("Store", self.store)
        self.standby = Standby(is_wanted=self.wants_standby)
        self.supervisor = supervisor = Supervisor(self.catalogue, cluster, self.attendants, self.standby, MODELS[0])
        post = self.orders.extend
        supervisor.connect(post)
        lifecycle = Lifecycle(Life(FIRST_LIFE + LIVES))
        tasks = cast("asyncio.TaskGroup", asyncio.get_running_loop())  # it owns the tasks until the house closes
        headers = Headers(tasks, self._read_header)
        read_ahead = ReadAhead(tasks, lambda: 0)
        supervisor.fleet = self.fleet = Fleet(
            lifecycle, self.catalogue, store, cluster, headers, read_ahead, post, supervisor
        )
        settings = config.Settings.model_construct(apps=self.rules, limits=config.Limits())
        self.ledger = Ledger({RAM: Terms(self.budget_bytes), GPU: Terms()}, KeepAlive())
        cards = Cards(tasks, self._look_at_gpus) if self.gpu_room else None
        self.peaks = FakePeaks()
        supervisor.steward = Steward(
            self.ledger,
            self.catalogue,
            store,
            cast("Peaks", self.peaks),
            Foresight(headers, store, (), cards),
            lambda _pids: {RAM: self.room} | ({GPU: self.gpu_room} if self.gpu_room else {}),
            supervisor,
            _nothing,
        )
        supervisor.requests = self.requests = Requests(settings, self.catalogue, post, supervisor, "trace")
        supervisor.pulls = Pulls(store, tasks, supervisor.pull_moved)
        supervisor.custodian = self.custodian = Custodian(
            catalogue=self.catalogue,
            fleet=self.fleet,
            requests=self.requests,
            steward=supervisor.steward,
            pins=Pins(self.rows_file.with_name("pins.json"), self.pinned),
            tasks=cast("asyncio.TaskGroup", self.list_tasks),
            company=supervisor,
        )
        for model in self.custodian.pins.models:
            supervisor.steward.pin(model, time.monotonic(), is_pinned=True)
        supervisor.speech = SpeechDesk(
            catalogue=self.catalogue,
            fleet=self.fleet,
            requests=self.requests,
            steward=supervisor.steward,
            policy_file=PolicyFile(self.rows_file.with_name("speech.json")),
            tasks=cast("asyncio.TaskGroup", self.list_tasks),
        )
        supervisor.desk = Desk(
            catalogue=self.catalogue,
            fleet=self.fleet,
            requests=self.requests,
            steward=supervisor.steward,
            custodian=self.custodian,
            meter=Meter(lambda: ()),
            tasks=tasks,
            post=post,
            stop=self.stops_s.append,
            identity=self._identity,
            default_model=supervisor.default_model,
            faults=lambda: self.faults,
        )
        supervisor.registrar = Registrar(
            registry=self.catalogue,
            fleet=self.fleet,
            requests=self.requests,
            store=store,
            tasks=cast("asyncio.TaskGroup", self.list_tasks),
            discover=lambda: Discovered((), ()),
            ceiling_bytes=supervisor.steward.ceiling_bytes,
            check_free=self.custodian.check_free,
            cancel_pull=supervisor.pulls.cancel,
            on_seen=supervisor.seen,
        )
        for schema in self.catalogue.schemas:
            self.fleet.step(FilesChanged(schema.id, self.store.has(schema)), time.monotonic())
        post([crossing.Expect(KEEPER, "keeper", self.cluster.keeper_secret)])

    def _identity(self) -> DaemonReport:
        if self.identity_bug is not None:
            raise self.identity_bug
        return DaemonReport(
            version="test",
            instance="i" * 32,
            pid=1,
            uptime_s=0.0,
            socket="/run/test",
            keeper=self.cluster.state,
            draining=False,
            requests_total=self.requests.total,
            events_total=0,
        )

    def _look_at_gpus(self) -> None:
        self.looks_at_gpus += 1

    def _read_header(self, _path: str) -> Header:
        self.header_comes.wait()
        self.headers_read += 1
        if self.headers_read == self.last_header:
            self.header_comes.clear()
        if self.corrupt is not None:
            raise self.corrupt
        return self.header

    def close(self) -> None:
        """End the loop and what is left in it."""
        self.header_comes.set()
        self.supervisor.pulls.stop()
        self.run(self.supervisor.close)
        self.runner.close()
        self.folder.cleanup()

    # --- the two threads

    def wires(self) -> None:
        """Carry out what the loop ordered."""
        while self.orders:
            self.board.obey(self.orders.popleft())
            self._carry_out()
        self._carry_out()

    def loop(self) -> None:
        """Have the loop hear what the wires saw, and ring its due timers."""
        batch, self.facts = tuple(self.facts), deque()
        self.run(lambda: self.supervisor.hear(batch))

    def settle(self) -> None:
        """Let both threads come to rest."""
        self.wires()
        while self.facts or self.orders:
            self.loop()
            self.wires()

    def wait(self, by_s: float) -> None:
        """Let time pass, ring what is due, and come to rest."""
        self.clock[0] += by_s
        self.run(lambda: None)
        self.settle()

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Let the threads that pulls and readings run in get somewhere."""
        for _ in range(10_000):
            self.settle()
            if is_so():
                return
            self.breathe()
        raise AssertionError("it did not come to be")

    def breathe(self) -> None:
        """Give the threads a moment of real time; the house's clock stands still."""

        async def turn() -> None:
            await asyncio.to_thread(Event().wait, 0.001)

        self.runner.run(turn())

    def _carry_out(self) -> None:
        while self.board.sends:
            sends, self.board.sends = self.board.sends, []
            for act in sends:
                match act:
                    case Outgoing(to_app=True, peer_id=peer, frames=frames):
                        self._app_hears(peer, frames)
                    case Outgoing(peer_id=peer, frames=frames):
                        self._actor_hears(peer, frames)
                    case Kick(to_app=True, peer_id=peer):
                        self.kicked.append(act)
                        self.board.app_gone(peer)
                    case Kick(peer_id=peer):
                        self.kicked.append(act)
                        self._unplug(peer)
        self.facts.extend(self.board.facts)
        self.board.facts.clear()

    # --- apps

    def connect(self, peer: bytes = b"app", name: str = "app") -> None:
        """Have an app say hello."""
        self.apps[peer] = {}
        self.says(peer, control.Hello(1, 1, name, secrets.token_hex(16)))

    def says(self, peer: bytes, message: object) -> None:
        """Have an app say something; the loop has not heard of it yet."""
        self._app_said(peer, wire.encode(message))

    def ask(
        self,
        operation: operations.Operation | None = None,
        *,
        peer: bytes = b"app",
        model: str | None = MODELS[0],
        timeout_s: float = 300.0,
        priority: control.Priority = "interactive",
        keep_alive_s: float | None = None,
    ) -> Asked:
        """Have an app ask for something, text if nothing is named; the loop has not heard of it yet."""
        number = len(self.apps[peer]) + 1
        asked = self.apps[peer][number] = Asked()
        wanted = operation or operations.Generate((operations.Message("user", "hello"),))
        window = control.Window(3, 1 << 20)
        request = control.Request(
            number,
            "",
            {},  # type: ignore[arg-type]
            window,
            int(timeout_s * 1000),
            priority=priority,
            model=model if type(wanted) in operations.FOR_MODELS | operations.FOR_VOCABULARIES else None,
            keep_alive_s=keep_alive_s,
        )
        self._app_said(peer, wire.encode_request(request, wanted))
        return asked

    def cancel(self, number: int = 1, peer: bytes = b"app") -> None:
        """Have an app cancel a request; the loop has not heard of it yet."""
        self.says(peer, control.Cancel(number))

    def leave(self, peer: bytes = b"app") -> None:
        """Have an app vanish."""
        self.wires()
        self.board.app_gone(peer)
        self._carry_out()

    def _app_said(self, peer: bytes, frames: Sequence[bytes]) -> None:
        self.wires()
        self.board.app_said(peer, PEER, frames, time.monotonic())
        self._carry_out()

    def _app_hears(self, peer: bytes, frames: Sequence[bytes | memoryview]) -> None:
        header = wire.header_of(frames)
        if header["type"] == wire.EVENTS_TYPE:
            for one in wire.split_events(header, frames[1:]):
                asked = self.apps[peer][one.request]
                assert not asked.ends, f"{one.event} after the end {asked.ends}"
                asked.events.append(one)

    # --- the keeper

    def keeper_comes(self) -> None:
        """Have the keeper say hello and that Ray is up."""
        self.keeper_connected = True
        hello = actors.ActorHello("keeper", KEEPER, 1, self.cluster.keeper_secret, 1)
        self._actor_said(KEEPER_PEER, actors.encode_control(hello))
        held = tuple(actors.HeldLife(one.life, one.kind, one.name, 0, "0" * 64) for one in self.processes.values())
        self.keeper_says(actors.KeeperReady(held, (1, 2)))

    def keeper_says(self, message: object) -> None:
        """Have the keeper tell something, if it can."""
        if self.keeper_connected:
            self._actor_said(KEEPER_PEER, actors.encode_control(message))

    def keeper_falls(self) -> None:
        """End the keeper's process, and with it every other; their connections close later, with `unplug`."""
        self._unplug(KEEPER_PEER)
        for process in tuple(self.processes.values()):
            self.die(process.life)

    def _keeper_hears(self, message: object) -> None:
        match message:
            case actors.Spawn(life, kind, name, secret) if kind in ("model", "vocab") and self.keeper_hears:
                self.processes[life] = Process(life, name, secret, kind)
                self.keeper_says(actors.Spawned(life, 4_000 + life))
            case actors.Assign(life, name) if self.keeper_hears and life in self.processes:
                assert self.processes[life].name in ("", name), "a process was given two models"
                self.processes[life].name = name
            case actors.Kill(life) if self.keeper_hears:
                self.die(life)
                self.keeper_says(actors.Died(life, "killed by order"))
            case _:
                pass

    # --- actors

    def process(self, model: str = MODELS[0]) -> Process:
        """Return the model's living process."""
        (found,) = (one for one in self.processes.values() if one.name == model)
        return found

    def load(self, model: str = MODELS[0], *, slots: int = 1) -> Process:
        """Have the model's process connect and load, once it is there: a file's header is read before."""
        self.wait_until(lambda: any(one.name == model for one in self.processes.values()))
        process = self.process(model)
        self.greet(process)
        self.settle()
        self.loaded(process, slots=slots)
        self.settle()
        return process

    def greet(self, process: Process) -> None:
        """Have a process say hello, on a new connection."""
        process.peer = f"{process.life}-{secrets.token_hex(4)}".encode()
        hello = actors.ActorHello(process.kind, process.life, 1, process.secret, 1, process.name)
        self._actor_said(process.peer, actors.encode_control(hello))

    def loaded(self, process: Process, *, slots: int = 1) -> None:
        """Have a process tell that it is ready."""
        self.tell(process, actors.Loaded(slots, can_park=True, context_tokens=4096, memory_bytes=1, load_s=0.1))

    def tell(self, process: Process, message: object) -> None:
        """Have a process say something about itself."""
        if process.peer:
            self._actor_said(process.peer, actors.encode_control(message))

    def count(self, process: Process) -> None:
        """Have a process tell its counters; an engine that has something to do has made a step since."""
        due = 0 if process.waits else len(process.streams)
        process.steps += bool(due) and not process.stuck
        self.tell(process, actors.Stats({"steps": float(process.steps), "due": float(due)}))

    def finish(self, process: Process, stream: int, event: Terminal | None = None) -> None:
        """Have a process send the end of a stream."""
        submit = process.streams.pop(stream)
        packed = wire.pack_event(process.requests.pop(stream), 1, event or Finished(process.name))
        code = "done" if event is None else "cancelled"
        facts = wire.pack(wire.fields_of(actors.Facts(code, completion_tokens=3)))[0]
        row = actors.Row(stream, 1, 1, packed.size_bytes, is_terminal=True)
        route = actors.pack_route(actors.KIND_EVENTS, submit.session, [row])
        self._actor_said(process.peer, [route, facts, *wire.join_events([packed])])

    def die(self, life: int) -> None:
        """End a process and close its connection; the keeper says nothing of it."""
        process = self.processes.pop(life, None)
        if process is not None and process.peer:
            self._unplug(process.peer)

    def _actor_said(self, peer: bytes, frames: Sequence[bytes]) -> None:
        self.wires()
        self.board.actor_said(peer, PEER, frames, time.monotonic())
        self._carry_out()

    def _actor_hears(self, peer: bytes, frames: Sequence[bytes | memoryview]) -> None:
        message = wire.decode(frames, actors.TO_ACTOR)
        if peer == KEEPER_PEER:
            self._keeper_hears(message)
            return
        process = next((one for one in self.processes.values() if one.peer == peer), None)
        if process is None:
            return
        match message:
            case actors.Prepare():
                process.preparing, process.opens = True, message.path
            case actors.Load():
                process.name = process.name or message.model
                process.loading = True
            case actors.Submit(stream):
                process.streams[stream] = message
                process.requests[stream] = wire.decode(frames[1:], wire.FROM_APP).id
            case actors.End(stream):
                process.told_to_end.append(stream)
            case actors.Forward(stream) if isinstance(wire.decode(frames[1:], wire.FROM_APP), control.Cancel):
                process.told_to_end.append(stream)
            case actors.StepAside(is_aside):
                process.asides.append(is_aside)
            case actors.Leave():
                process.leaving = True
            case actors.AskStats() if not process.deaf:
                self.count(process)
            case _:
                pass

    def obey(self, process: Process) -> None:
        """Have a process do what it was told, unless it hangs."""
        if process.deaf or not process.peer:
            return
        for stream in process.told_to_end:
            if stream in process.streams:
                self.finish(process, stream, Cancelled("app"))
        process.told_to_end.clear()
        if process.leaving:
            for stream in tuple(process.streams):
                self.finish(process, stream, Cancelled("unloaded"))
            self.die(process.life)
            self.keeper_says(actors.Died(process.life, "it left"))

    def _unplug(self, peer: bytes) -> None:
        self.wires_gone(peer)
        if peer == KEEPER_PEER:
            self.keeper_connected = False
        for process in self.processes.values():
            if process.peer == peer:
                process.peer = b""

    def wires_gone(self, peer: bytes) -> None:
        """Have the wires notice that a connection has closed."""
        self.board.actor_gone(peer)
        self.facts.extend(self.board.facts)
        self.board.facts.clear()

    # --- what must hold

    @property
    def asked(self) -> list[Asked]:
        """Return every request of every app."""
        return [one for requests in self.apps.values() for one in requests.values()]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _nothing() -> None:
    """Nobody measures here."""


@contextmanager
def house(
    budget_bytes: int | None = None,
    pinned: Sequence[ModelId] = (),
    *,
    wants_standby: bool = False,
    gpu_room: Room | None = None,
) -> Iterator[House]:
    """Give a house whose clock a test moves; the standard library's clock stands still meanwhile."""
    clock = [time.monotonic()]
    with (
        mock.patch("time.monotonic", side_effect=lambda: clock[0]),
        House(clock, budget_bytes, pinned, wants_standby=wants_standby, gpu_room=gpu_room) as built,
    ):
        yield built
