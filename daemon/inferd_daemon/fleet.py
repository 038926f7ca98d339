"""The models' side of the supervisor: carries out what `lifecycle` decides, and feeds it what actors and keeper say.

Covers: spawning, loading, fencing, ending of model actors. Does not cover requests (`desk`, `requests`) nor decisions
(`lifecycle`). Runs in the loop; nothing here blocks but a look at a file's size and time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, assert_never

import structlog

from inferd.errors import LoadFailed
from inferd_actors import messages as actors
from inferd_actors.loading import CAUSES
from inferd_daemon import lifecycle as life_of
from inferd_daemon.catalogue import ModelId
from inferd_daemon.crossing import Expect, Fence, Order, Serve, ToActor
from inferd_daemon.headers import headed_file
from inferd_daemon.ids import Life
from inferd_daemon.inbox import Inbox
from inferd_daemon.lifecycle import State

if TYPE_CHECKING:
    from inferd.messages.events import Error
    from inferd_daemon.catalogue import Models, Schema
    from inferd_daemon.cluster import Cluster
    from inferd_daemon.headers import Answer, Headers
    from inferd_daemon.read_ahead import ReadAhead
    from inferd_daemon.store.shelf import Store

log = structlog.get_logger()


class Audience(Protocol):
    """Who hears what became of models: the supervisor's other rooms."""

    def announced(self, view: life_of.View, now_s: float) -> None:
        """The state of a model changed."""

    def load_moved(self, model: ModelId, progress: float, phase: str, now_s: float) -> None:
        """A load moved."""

    def failed(self, model: ModelId, what: str, then: str, now_s: float) -> None:
        """A load of this model came to nothing, or its process did; `then`: what comes next."""

    def waiters_failed(self, model: ModelId, error: Error, now_s: float) -> None:
        """Whoever waits for this model waits in vain."""

    def life_ended(self, life: Life, now_s: float) -> None:
        """Nothing more will come of this life."""

    def pull(self, schema: Schema) -> None:
        """Fetch a model's files."""

    def reserve(self, model: ModelId, now_s: float) -> None:
        """Find memory for a load."""

    def release(self, model: ModelId, now_s: float) -> None:
        """A model holds no memory any more, and waits for none."""

    def took_standby(self, life: Life, now_s: float) -> None:
        """A process that had no model has one."""

    def header_read(self, life: Life, path: Path, answer: Answer) -> None:
        """It is known what a file says that a life is to load: pass it on to `Fleet.header_read`."""


class Fleet:
    """Every model's process, through `lifecycle`."""

    def __init__(
        self,
        lifecycle: life_of.Lifecycle,
        catalogue: Models,
        store: Store,
        cluster: Cluster,
        headers: Headers,
        read_ahead: ReadAhead,
        post: Callable[[Sequence[Order]], None],
        audience: Audience,
    ) -> None:
        self.lifecycle = lifecycle
        self._catalogue = catalogue
        self._store = store
        self._cluster = cluster
        self._headers = headers
        self._read_ahead = read_ahead
        self._post = post
        self._audience = audience
        self._inbox = Inbox(lifecycle.step, self._carry_out)

    def step(self, event: life_of.Event, now_s: float) -> None:
        """Have `lifecycle` decide on an event and carry out the commands; events that come of that follow after."""
        self._inbox.put(event, now_s=now_s)

    def give_up(self, life: Life, reason: str, now_s: float) -> None:
        """End a process that cannot be spoken to, and its streams at once; it is killed until it is known to be gone."""
        self.step(life_of.Hung(life, reason), now_s)
        self.fence(life, now_s)

    def fence(self, life: Life, now_s: float) -> None:
        """Have nothing of this life count any more, and end its streams. Harmless when repeated."""
        self._post([Fence(life), ToActor(KEEPER, actors.Kill(life))])
        self._audience.life_ended(life, now_s)

    def file_bytes(self, schema: Schema) -> int:
        """Return the size of a model's file on this disk, 0 if it is not here."""
        return self._store.size_bytes(schema)

    def file_of(self, schema: Schema, now_s: float) -> actors.ModelFile:
        """Return a model's file, for those who read it without loading the model. Looks at its size and time.

        Raises LoadFailed: it is not stored, or cannot be looked at.
        """
        try:
            path = self._store.path(schema)
        except LoadFailed:
            text = f"{schema.id} is not stored here, and its tokenizer is in its file: `inferd pull {schema.id}` fetches it"
            raise LoadFailed(text, details={"model": str(schema.id), "cause": "file_missing"}) from None
        except OSError as failed:
            raise LoadFailed(
                f"{schema.id}: its file cannot be looked at: {failed}", details={"cause": "engine"}
            ) from None
        return actors.ModelFile(str(schema.id), str(path or ""), self.context_tokens(schema, now_s))

    def context_tokens(self, schema: Schema, now_s: float) -> int:
        """Return how many tokens prompt and answer may have together: as loaded, else as configured, else 0."""
        capacity = self.lifecycle.view(schema.id, now_s).capacity
        configured = schema.engine_options.get("context_tokens")
        return capacity.context_tokens if capacity else configured if type(configured) is int and configured > 0 else 0

    def heard(self, life: int, message: object, now_s: float) -> None:
        """Take what an actor, or the keeper, said about a life."""
        event = _event_of(Life(life), message)
        if event is not None:
            self.step(event, now_s)

    def _carry_out(self, command: life_of.Command, now_s: float) -> None:
        match command:
            case life_of.StartPull(model):
                self._audience.pull(self._catalogue.of(model))
            case life_of.Reserve(model):
                self._audience.reserve(model, now_s)
            case life_of.Release(model):
                self._audience.release(model, now_s)
            case life_of.Spawn(model, life):
                log.info("spawning", model=str(model), life=life)
                self._look_ahead(model, life)
                self._post(spawn_orders(self._cluster, life, "model", str(model)))
            case life_of.Take(model, life):
                log.info("taking the standby", model=str(model), life=life)
                self._post([ToActor(KEEPER, actors.Assign(life, str(model)))])
                self._audience.took_standby(life, now_s)
            case life_of.OrderLoad(life):
                self._order_load(life, now_s)
            case life_of.OrderLeave(life, grace_s):
                self._post([ToActor(life, actors.Leave(grace_s))])
            case life_of.OrderKill(life):
                self._post([ToActor(KEEPER, actors.Kill(life))])
            case life_of.Fence(life):
                self.fence(life, now_s)
            case life_of.Announce(view):
                self._announce(view, now_s)
            case life_of.ShowProgress(model, progress, phase):
                self._audience.load_moved(model, progress, phase, now_s)
            case life_of.NoteFailure(model, what, then):
                self._audience.failed(model, what, then, now_s)
            case life_of.FailWaiters(model, error):
                log.warning("failed", model=str(model), code=error.code, reason=error.message)
                self._audience.waiters_failed(model, error, now_s)
            case _:
                assert_never(command)

    def _announce(self, view: life_of.View, now_s: float) -> None:
        log.info(str(view.state), model=str(view.model), life=view.life or None, reason=view.reason or None)
        self._post([Serve(str(view.model), view.life if view.state is State.READY else 0)])
        self._audience.announced(view, now_s)

    def _order_load(self, life: Life, now_s: float) -> None:
        model = self.lifecycle.model_of(life)
        if model is None:
            return
        schema = self._catalogue.of(model)
        try:
            path = self._store.path(schema)
        except LoadFailed as failed:
            self.step(life_of.LoadFailed(life, "file_missing", failed.message), now_s)
            return
        except OSError as failed:
            self.step(life_of.LoadFailed(life, "engine", f"its file cannot be looked at: {failed}"), now_s)
            return
        headed = headed_file(schema.engine, path)
        if headed is not None and path is not None:
            self._headers.ask(headed, partial(self._audience.header_read, life, path))
        else:
            self._load(life, schema, path)

    def header_read(self, life: Life, path: Path, answer: Answer, now_s: float) -> None:
        """Have the file loaded, or end the load if the file cannot be a model; nothing for a life that loads no more."""
        model = self.lifecycle.model_of(life)
        if model is None or self.lifecycle.view(model, now_s).state is not State.LOADING:
            return
        if isinstance(answer, LoadFailed):
            cause = CAUSES.get(answer.details.get("cause"), "engine")
            self.step(life_of.LoadFailed(life, cause, answer.message), now_s)
        else:
            self._load(life, self._catalogue.of(model), path)

    def _load(self, life: Life, schema: Schema, path: Path | None) -> None:
        load = actors.Load(str(schema.id), schema.engine, str(path or ""), dict(schema.engine_options))
        self._post([ToActor(life, load)])

    def _look_ahead(self, model: ModelId, life: Life) -> None:
        """Have the file read while the process starts, its header too; what is wrong is said when the load is ordered."""
        schema = self._catalogue.of(model)
        path = self._path(schema)
        headed = headed_file(schema.engine, path)
        if headed is not None:
            self._read_ahead.begin(headed, lambda: self.lifecycle.model_of(life) == model)
            self._headers.ask(headed, lambda _answer: None)

    def know_headers(self, engine: str, go_on: Callable[[], bool]) -> None:
        """Have the headers of stored models read that no load has needed yet, one after the other while `go_on()`."""
        schemas = (schema for schema in self._catalogue.schemas if schema.engine == engine)
        paths = deque(islice((path for one in schemas if (path := headed_file(engine, self._path(one)))), AHEAD))

        def next_one(_answer: Answer | None = None) -> None:
            if paths and go_on():
                self._headers.ask(paths.popleft(), next_one)

        next_one()

    def _path(self, schema: Schema) -> Path | None:
        """Return where a model's file is; None: there is none, or it cannot be looked at."""
        with suppress(LoadFailed, OSError):
            return self._store.path(schema)
        return None


MAX_PHASES: Final = 16
PHASE_CHARS: Final = 40
"""Of a load that are told of: a process that is hostile does not fill everybody's lists."""
AHEAD: Final = 16
"""Headers that are read before anybody needs them, a tenth of a second each."""
KEEPER = Life(0)
"""Address of the keeper among lives."""


def spawn_orders(cluster: Cluster, life: Life, kind: actors.Kind, name: str) -> list[Order]:
    """Return the orders that have the keeper start a process and let it in when it says hello."""
    secret = cluster.new_secret(life)
    return [Expect(life, kind, secret), ToActor(KEEPER, actors.Spawn(life, kind, name, secret))]


def _event_of(life: Life, message: object) -> life_of.Event | None:
    """Return what a message means for a model's life, None if nothing."""
    match message:
        case actors.Spawned():
            return life_of.Spawned(Life(message.life), message.pid)
        case actors.Died():
            return life_of.Gone(Life(message.life), message.reason)
        case actors.LoadProgress():
            return life_of.Progressed(life, message.progress, message.phase)
        case actors.Loaded():
            return life_of.Loaded(
                life,
                slots=message.slots,
                can_park=message.can_park,
                context_tokens=message.context_tokens,
                memory_bytes=message.memory_bytes,
                load_s=message.load_s,
                phases={name[:PHASE_CHARS]: took_s for name, took_s in islice(message.phases.items(), MAX_PHASES)},
            )
        case actors.LoadFailed():
            return life_of.LoadFailed(life, message.cause, message.message)
        case _:
            return None
