"""The daemon as a whole: takes its place, puts the rooms together, runs, drains, leaves. The owner of every task.

Covers: the composition root, signals, the drain, words to the service manager. `serve` is three plain steps: open (the
socket answers at once), run (the keeper starts beside it: Ray takes seconds, a hello must not), close.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog

from inferd import address
from inferd.errors import ModelNotFound
from inferd.messages import control
from inferd.messages.reports import DaemonReport, Problem
from inferd.version import __version__
from inferd_actors.engines import processor
from inferd_actors.engines.llama_cpp.offloading import is_built_for_cuda
from inferd_actors.engines.llama_cpp.reordering import reordered_types
from inferd_actors.headers.reader import read_header
from inferd_actors.slices import quicken
from inferd_daemon import config, discovery, notify, rows_file
from inferd_daemon.attendants import LIVES, Attendants
from inferd_daemon.cards import Cards
from inferd_daemon.catalogue import STANDBY, Catalogue, ModelId, Models
from inferd_daemon.cluster import Cluster
from inferd_daemon.crossing import Expect, Fact, Farewell
from inferd_daemon.custodian import Custodian
from inferd_daemon.desk import Desk
from inferd_daemon.fleet import KEEPER, Fleet
from inferd_daemon.foresight import Foresight
from inferd_daemon.gauge import Gauge
from inferd_daemon.headers import Headers
from inferd_daemon.health import unknown_names
from inferd_daemon.ids import Life
from inferd_daemon.ledger import GPU, RAM, KeepAlive, Ledger, Pinned, Terms
from inferd_daemon.lifecycle import FilesChanged, Lifecycle
from inferd_daemon.memory import Machine
from inferd_daemon.peaks import Peaks
from inferd_daemon.pins import NAME as PINS_NAME
from inferd_daemon.pins import Pins
from inferd_daemon.pulls import Pulls
from inferd_daemon.read_ahead import ReadAhead
from inferd_daemon.registrar import Registrar
from inferd_daemon.registry import Registry
from inferd_daemon.requests import BACK_IN_S, Requests
from inferd_daemon.runtime import taken
from inferd_daemon.speech_desk import SpeechDesk
from inferd_daemon.speech_policy import NAME as POLICY_NAME
from inferd_daemon.speech_policy import PolicyFile
from inferd_daemon.standby import Standby
from inferd_daemon.steward import Steward
from inferd_daemon.store import Store
from inferd_daemon.supervisor import Supervisor
from inferd_daemon.switchboard import Switchboard
from inferd_daemon.telemetry import Meter
from inferd_daemon.wires import Wires

log = structlog.get_logger()

CAPABILITIES: Final = ("uplink",)
"""What an app may require of this daemon beyond the protocol's version."""
LIVES_PER_SECOND: Final = 1_000
"""Lives begin at the wall clock's seconds times this, so no daemon of this machine reuses one that an earlier daemon gave:
it would have had to spawn a thousand processes a second."""
LAST_WORDS_S: Final = 5.0
"""For actors to end their streams once the drain is over; after it their streams are ended for them."""


PEAKS_NAME: Final = "memory.sqlite3"
"""In the state directory: what models were seen to take."""


def ledger_of(settings: config.Settings, catalogue: Models, pins: Pins) -> Ledger:
    """Return an empty ledger on the configured terms, with these pins. A keep-alive of no model on the list has no effect."""
    memory = settings.memory
    keep = {model: keep_s for name, keep_s in memory.keep_alive.items() if (model := _meant(catalogue, name))}
    terms = {
        RAM: Terms(memory.budget_bytes, memory.reserve_bytes),
        GPU: Terms(memory.gpu_budget_bytes, memory.gpu_reserve_bytes),
    }
    ledger = Ledger(terms, KeepAlive(memory.keep_alive_s, keep))
    for model in pins.models:
        ledger.step(Pinned(model, is_pinned=True), time.monotonic())
    return ledger


def pins_of(settings: config.Settings, catalogue: Models, file: Path) -> Pins:
    """Return the pins of the config and of `file`; a name of no model on the list has no effect. Reads a small file."""
    meant = (_meant(catalogue, name) for name in settings.memory.pinned)
    return Pins(file, (model for model in meant if model is not None))


def _meant(catalogue: Models, name: str) -> ModelId | None:
    """Return the model that a setting names; None for one on no list: it may have been unregistered, and come back."""
    with contextlib.suppress(ModelNotFound):
        return catalogue.find(name).id
    with contextlib.suppress(ValueError):
        return ModelId.parse(name.lower())
    return None


async def serve(settings: config.Settings, catalogue: Catalogue) -> None:
    """Run the daemon until SIGTERM, SIGINT or a `stop` request.

    Raises Occupied when another daemon holds the place, Wrong or InferenceError when it cannot be used, RuntimeError when
    the I/O thread broke; whatever it raises, running requests had their time to end before.
    """
    try:
        with taken(_socket(settings)) as socket:
            await _serve_at(socket, settings, catalogue)
    except ExceptionGroup as broken:
        raise broken.exceptions[0] from broken  # what ended it; the others are its consequences


def _socket(settings: config.Settings) -> Path:
    """Return the path of the apps' socket, in a directory that is there and ours alone."""
    socket = settings.socket or address.runtime_dir(create=True) / address.SOCKET_NAME
    with config.usable(socket.parent):
        socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return address.check_length(address.check_directory(socket.parent) / socket.name)


def _places(settings: config.Settings) -> discovery.Places:
    ports = settings.discover
    return discovery.Places(
        ports=(
            ("ollama", ports.ollama_port),
            ("lm_studio", ports.lm_studio_port),
            ("llama_cpp", ports.llama_cpp_port),
            ("vllm_mlx", ports.vllm_mlx_port),
        ),
        files=config.others(settings),
    )


async def _serve_at(socket: Path, settings: config.Settings, catalogue: Catalogue) -> None:
    async with asyncio.TaskGroup() as tasks:
        daemon = Daemon(settings, catalogue, socket, tasks)
        await daemon.open()
        try:
            async with daemon.running():
                await daemon.wait()
        finally:
            await daemon.close()


class Daemon:
    """One run of the daemon. Methods in the order of their calls."""

    def __init__(self, settings: config.Settings, catalogue: Catalogue, socket: Path, tasks: asyncio.TaskGroup) -> None:
        self._settings = settings
        self._base = catalogue
        self._socket = socket
        self._tasks = tasks
        self._instance = secrets.token_hex(16)
        self._started_s = time.monotonic()
        self._stop = asyncio.Event()
        """Somebody wants the daemon to end, or to end sooner than before."""
        self._reads_end = threading.Event()
        """Headers that are being read are not waited for."""
        self._drain_until_s = float("inf")
        self._loop = asyncio.get_running_loop()

    async def open(self) -> None:
        """Put the rooms together and let apps in. Reading the store takes milliseconds, in a worker thread."""
        models_dir, state_dir = config.models_dir(self._settings), config.state_dir(self._settings)
        with config.usable(models_dir):
            store = await asyncio.to_thread(Store, models_dir, config.others(self._settings))
        with config.usable(state_dir):
            self._peaks = peaks = await asyncio.to_thread(Peaks, state_dir / PEAKS_NAME)
        configured = frozenset(ModelId.parse(name) for name in self._settings.models)
        self._catalogue = await asyncio.to_thread(Registry, self._base, state_dir / rows_file.NAME, configured)
        first_life = Life(int(time.time()) * LIVES_PER_SECOND)
        self._cluster = Cluster(self._socket.parent, state_dir, self._settings.keeper)
        self._attendants = Attendants(first_life)
        standby = Standby(is_wanted=self._settings.memory.standby > 0)
        self._supervisor = supervisor = Supervisor(
            self._catalogue, self._cluster, self._attendants, standby, self._settings.default_model
        )
        self._wires = self._make_wires(supervisor)
        lifecycle = Lifecycle(Life(first_life + LIVES))
        post = self._wires.post
        supervisor.connect(post)
        headers = Headers(self._tasks, partial(read_header, stop=self._reads_end))
        machine = Machine()
        read_ahead = ReadAhead(self._tasks, lambda: machine.room(()).available_bytes)
        supervisor.fleet = Fleet(
            lifecycle, self._catalogue, store, self._cluster, headers, read_ahead, post, supervisor
        )
        self._pins = pins_of(self._settings, self._catalogue, state_dir / PINS_NAME)
        self._policy_file = await asyncio.to_thread(PolicyFile, state_dir / POLICY_NAME)
        for fault in self._faults():
            log.warning("check the settings", about=fault.about, problem=fault.what)
        self._gauge = Gauge(supervisor.model_pids, machine.measure, supervisor.measured, peaks.save)
        supervisor.steward = Steward(
            ledger_of(self._settings, self._catalogue, self._pins),
            self._catalogue,
            store,
            peaks,
            Foresight(
                headers,
                store,
                reordered_types(processor.features()),
                await self._cards(machine),
                has_mkl=processor.is_intel(),
            ),
            machine.rooms,
            supervisor,
            self._gauge.wake,
        )
        supervisor.requests = Requests(self._settings, self._catalogue, post, supervisor, self._instance[:12])
        supervisor.pulls = Pulls(store, self._tasks, supervisor.pull_moved)
        self._open_desks(supervisor, store)
        await self._take_stock(store)
        self._wires.start()
        quicken()  # every request passes here, beside models that compute
        post([Expect(KEEPER, "keeper", self._cluster.keeper_secret)])

    async def _cards(self, machine: Machine) -> Cards | None:
        """Return what looks at GPUs with memory of their own, if llama.cpp computes on such; None: it does not."""
        if not await asyncio.to_thread(lambda: is_built_for_cuda() and machine.look_at_gpus()):
            return None
        return Cards(self._tasks, machine.look_at_gpus)

    def _open_desks(self, supervisor: Supervisor, store: Store) -> None:
        """Have somebody answer what no model serves."""
        supervisor.custodian = Custodian(
            catalogue=self._catalogue,
            fleet=supervisor.fleet,
            requests=supervisor.requests,
            steward=supervisor.steward,
            pins=self._pins,
            tasks=self._tasks,
            company=supervisor,
        )
        supervisor.speech = SpeechDesk(
            catalogue=self._catalogue,
            fleet=supervisor.fleet,
            requests=supervisor.requests,
            steward=supervisor.steward,
            policy_file=self._policy_file,
            tasks=self._tasks,
        )
        supervisor.desk = Desk(
            catalogue=self._catalogue,
            fleet=supervisor.fleet,
            requests=supervisor.requests,
            steward=supervisor.steward,
            custodian=supervisor.custodian,
            meter=Meter(self._known_processes),
            tasks=self._tasks,
            post=self._wires.post,
            stop=self.stop,
            identity=self._identity,
            default_model=supervisor.default_model,
            faults=self._faults,
        )
        supervisor.registrar = Registrar(
            registry=self._catalogue,
            fleet=supervisor.fleet,
            requests=supervisor.requests,
            store=store,
            tasks=self._tasks,
            discover=lambda: discovery.look(_places(self._settings)),
            ceiling_bytes=supervisor.steward.ceiling_bytes,
            check_free=supervisor.custodian.check_free,
            cancel_pull=supervisor.pulls.cancel,
            on_seen=supervisor.seen,
        )

    def _make_wires(self, supervisor: Supervisor) -> Wires:
        limits = control.Limits(inflight=self._settings.limits.inflight_per_app)
        welcome = control.Welcome(
            control.PROTOCOL_VERSION, self._instance, __version__, os.getpid(), limits, CAPABILITIES
        )
        self._board = Switchboard(welcome, lambda name: str(self._catalogue.find(name).id))

        def deliver(facts: Sequence[Fact]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended; nobody is left to be told
                self._loop.call_soon_threadsafe(supervisor.hear, facts)

        actors_socket = address.actors_path(self._socket.parent)
        actors_socket.unlink(missing_ok=True)  # ours alone: the lock on the apps' socket covers it
        return Wires(self._board, f"ipc://{self._socket}", f"ipc://{actors_socket}", deliver, uid=os.getuid())

    async def _take_stock(self, store: Store) -> None:
        for schema in self._catalogue.schemas:
            stored = await asyncio.to_thread(store.has, schema)
            self._supervisor.fleet.step(FilesChanged(schema.id, stored), time.monotonic())

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Have the keeper there, the signals heard and the service manager told for the length of the block."""
        for one in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(one, self.stop, None)
        keeper = self._tasks.create_task(self._cluster.run(), name="keeper")
        watchdog = self._tasks.create_task(self._feed_watchdog(), name="watchdog")
        gauge = self._tasks.create_task(self._gauge.run(), name="gauge")
        log.info("listening", socket=str(self._socket), pid=os.getpid())
        notify.tell("READY=1", f"STATUS=listening on {self._socket}")
        try:
            yield
        finally:
            notify.tell("STOPPING=1")
            watchdog.cancel()
            await self._drain()
            gauge.cancel()
            await asyncio.to_thread(self._peaks.save)  # of the lives that have just ended
            keeper.cancel()

    async def _feed_watchdog(self) -> None:
        """Tell the manager that this loop goes round; a loop that hangs stops telling."""
        period_s = notify.watchdog_s()
        while period_s is not None:
            notify.tell("WATCHDOG=1")
            await asyncio.sleep(period_s)

    async def wait(self) -> None:
        """Return when the daemon is to stop. Raises RuntimeError when it cannot go on."""
        await self._first(self._stop.wait(), limit_s=None)
        if self._supervisor.failure.done():
            self._supervisor.failure.result()

    def stop(self, grace_s: float | None) -> None:
        """Begin to end: nothing new is taken, what runs may go on for `grace_s` (None: as configured).

        Told again, it can only bring the end forward.
        """
        limit_s = self._settings.drain_s if grace_s is None else grace_s
        self._drain_until_s = min(self._drain_until_s, time.monotonic() + limit_s)
        self._supervisor.requests.is_draining = True
        self._wires.post([Farewell("the daemon is stopping", int(BACK_IN_S * 1000))])
        self._stop.set()

    async def _drain(self) -> None:
        if not self._stop.is_set():  # it ends because something broke
            self.stop(None)
        supervisor = self._supervisor
        supervisor.pulls.stop()
        while (left_s := self._drain_until_s - time.monotonic()) > 0 and not self._is_idle:
            log.info("draining", unfinished=len(supervisor.requests.work), left_s=round(left_s, 1))
            self._stop.clear()
            await self._first(supervisor.requests.idle(), self._stop.wait(), limit_s=left_s)
        supervisor.end_all(time.monotonic())
        if not self._is_idle:
            await self._first(supervisor.requests.idle(), limit_s=LAST_WORDS_S)
        supervisor.cut_off()
        self._reads_end.set()
        await self._cluster.leave()

    @property
    def _is_idle(self) -> bool:
        """Whether there is no request whose end could be waited for."""
        return not len(self._supervisor.requests.work) or self._supervisor.failure.done()

    async def _first(self, *events: Coroutine[None, None, object], limit_s: float | None) -> None:
        """Return when one of these has come, when the wires broke, or after `limit_s`."""
        waits = [self._loop.create_task(event) for event in events]
        try:
            ends: list[asyncio.Future[Any]] = [*waits, self._supervisor.failure]
            await asyncio.wait(ends, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def close(self) -> None:
        """Hear nothing more, and close the wires."""
        self._supervisor.close()
        await asyncio.to_thread(self._wires.stop)
        log.info("stopped")

    # --- what the desk tells

    def _known_processes(self) -> Iterable[tuple[int, str, str]]:
        yield os.getpid(), "daemon", "inferd"
        yield from self._cluster.processes()
        yield from ((pid, kind, kind) for pid, kind in self._attendants.processes())
        yield from ((pid, "standby", engine) for pid, engine in self._supervisor.standby_processes())
        pids = self._supervisor.model_pids()
        yield from ((pid, "model", str(model)) for model, pid in pids.items() if model != STANDBY)

    def _faults(self) -> list[Problem]:
        """Return what is wrong with settings and files of the daemon's own."""
        own = (
            ("registered models", rows_file.NAME, "`inferd unregister` the model", self._catalogue.problems),
            ("pins", PINS_NAME, "remove it", (self._pins.problem,)),
            ("speech policy", POLICY_NAME, "remove it", (self._policy_file.problem,)),
        )
        broken = [
            Problem(about, problem[:4096], f"correct {name} in the state directory, or {otherwise}", broken=True)
            for about, name, otherwise, problems in own
            for problem in problems
            if problem
        ]
        return [*broken, *unknown_names(self._settings.memory, self._catalogue.find)]

    def _identity(self) -> DaemonReport:
        return DaemonReport(
            version=__version__,
            instance=self._instance,
            pid=os.getpid(),
            uptime_s=time.monotonic() - self._started_s,
            socket=str(self._socket),
            keeper=self._cluster.state,
            draining=self._supervisor.requests.is_draining,
            requests_total=self._supervisor.requests.total,
            events_total=self._board.events_total,
        )
