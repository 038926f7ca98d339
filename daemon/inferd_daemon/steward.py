"""Runs the ledger: brings it what happens to models, and carries out what it decides through `fleet`.

Covers: what a load needs (learned, foreseen or guessed), readings of the machine at every decision, questions and answers with
`lifecycle`. Does not cover deciding (`ledger`) nor measuring processes (`gauge`). Runs in the loop; what blocks is a look at
a file's size and at the machine's memory, a tenth of a millisecond.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, Protocol, assert_never

import structlog

from inferd.errors import LoadFailed, ResourceBlocked
from inferd_actors.loading import CAUSES
from inferd_daemon import ledger, lifecycle
from inferd_daemon.catalogue import STANDBY, ModelId
from inferd_daemon.inbox import Inbox
from inferd_daemon.ledger import GPU, RAM
from inferd_daemon.ledger.verdict import Squeezed, TooLarge, decisive
from inferd_daemon.lifecycle import State
from inferd_daemon.peaks import Peaks, Shape, settings_of
from inferd_daemon.refusal import own_fault, refusal
from inferd_daemon.scheduler.line import RANKS
from inferd_daemon.telemetry import report

if TYPE_CHECKING:
    from inferd.messages.events import Error
    from inferd_daemon.catalogue import Models, Schema
    from inferd_daemon.foresight import Foreseen, Foresight, OnAhead
    from inferd_daemon.store.shelf import Store

log = structlog.get_logger()

FIRST_LOAD_S: Final = 5.0
"""What a model that was never loaded here is taken to need; the next decision about it knows better."""

NOTHING: Final = ledger.Amount(0)

Basis = Literal["learned", "header", "guess"]
"""How it is known what a load needs."""


class Surroundings(Protocol):
    """What the steward needs to know of others, now."""

    def asker(self, model: ModelId) -> tuple[str, int]:
        """Return who waits for this model: the app that is first in line, and its class (0 is the most urgent)."""

    def life_step(self, event: lifecycle.Event, now_s: float) -> None:
        """Have `lifecycle` decide on an event."""

    def model_pids(self) -> Mapping[ModelId, int]:
        """Return the models that have a process, and which."""

    def reserved(self, model: ModelId, now_s: float) -> None:
        """A load has its memory: it may begin."""

    def end_standby(self, reason: str, now_s: float) -> None:
        """The memory of the process that stands by is wanted back."""

    def foreseen(self, model: ModelId, shape: Shape, known: Foreseen) -> None:
        """It is known what a load will come to, or that nothing tells: pass it on to `Steward.foreseen`."""

    def hold_granted(self, hold: ledger.HoldNo, now_s: float) -> None:
        """A hold has its memory: its models may load."""

    def hold_refused(self, hold: ledger.HoldNo, error: Error, now_s: float) -> None:
        """A hold cannot be had."""

    def hold_delayed(self, hold: ledger.HoldNo, text: str, now_s: float) -> None:
        """A hold waits, for what `text` says."""


@dataclass(slots=True)
class _Life:
    """The present life of a model, or the one that is to begin."""

    shape: Shape
    load_s: float
    loaded_s: float = ledger.NEVER_S
    peak: ledger.Amount = NOTHING
    """Seen since it was loaded."""


class Steward:
    """The memory's side of the supervisor."""

    def __init__(
        self,
        books: ledger.Ledger,
        catalogue: Models,
        store: Store,
        peaks: Peaks,
        foresight: Foresight,
        rooms: Callable[[Collection[int]], Mapping[ledger.Device, ledger.Room]],
        surroundings: Surroundings,
        wake: Callable[[], None],
    ) -> None:
        """`rooms(pids)`: how full each memory is now, the machine's always. `wake()`: models are to be measured from now on."""
        self.ledger = books
        self._catalogue = catalogue
        self._store = store
        self._peaks = peaks
        self._foresight = foresight
        self._asked: dict[ModelId, Shape] = {}
        """Loads whose need is not known yet."""
        self._rooms = rooms
        self._surroundings = surroundings
        self._wake = wake
        self._lives: dict[ModelId, _Life] = {}
        self._inbox = Inbox(books.step, self._carry_out)

    # --- what happens

    def reserve(self, model: ModelId, now_s: float) -> None:
        """Find memory for a load; answered through `lifecycle`, whatever happens."""
        with self._answered(model, now_s):
            schema = self._catalogue.of(model)
            self._asked[model] = shape = self._shape(schema)
            self._foresight.ask(schema, partial(self._surroundings.foreseen, model, shape))

    def foreseen(self, model: ModelId, shape: Shape, known: Foreseen, now_s: float) -> None:
        """Go on with a load whose need is known now, or as good as nothing tells; nothing if it was given up meanwhile.

        A load that is known to fail fails here: nobody leaves for it, and no process begins.
        """
        if self._asked.get(model) is not shape:
            return
        del self._asked[model]
        with self._answered(model, now_s):
            if isinstance(known, LoadFailed):
                cause = CAUSES.get(known.details.get("cause"), "engine")
                self._surroundings.life_step(lifecycle.LoadRefused(model, cause, known.message), now_s)
                return
            need, _ = self._expected(self._catalogue.of(model), shape, known)
            self._ask(model, shape, need, now_s)

    @contextmanager
    def _answered(self, model: ModelId, now_s: float) -> Iterator[None]:
        """Refuse a load in whose favour a bug in the block keeps us from deciding: it would wait for ever."""
        try:
            yield
        except Exception as bug:  # noqa: BLE001 - a bug may be anything
            report(bug, "a reservation")
            self._surroundings.life_step(lifecycle.MemoryRefused(model, own_fault(bug)), now_s)

    def _ask(self, model: ModelId, shape: Shape, need: ledger.Need, now_s: float) -> None:
        self._lives[model] = _Life(shape, need.load_s)
        app, rank = self._surroundings.asker(model)
        self._step(ledger.Asked(model, need.peak_bytes, app, rank, need.load_s, need.gpu_bytes), now_s, look=True)

    def joined(self, model: ModelId, now_s: float) -> None:
        """Somebody else wants it: tell the ledger, if its load waits for memory there."""
        waiting = self.ledger.accounts.waiting.get(model)
        if waiting is not None:
            app, rank = self._surroundings.asker(model)
            need = waiting.needs[model]
            asked = ledger.Asked(model, need.peak_bytes, app, rank, need.load_s, need.gpu_bytes)
            self._step(asked, now_s, look=True)

    def release(self, model: ModelId, now_s: float) -> None:
        """Its process is gone, or it waits no more."""
        self._asked.pop(model, None)
        life = self._lives.pop(model, None)
        if life is not None and life.peak.ram_bytes:
            self._peaks.ended(life.shape, life.peak, life.load_s)
        self._step(ledger.Released(model), now_s, look=True)

    def announced(self, view: lifecycle.View, now_s: float) -> None:
        """Take note of a model's new state."""
        if view.state is State.READY and view.capacity is not None:
            self._loaded(view, view.capacity.load_s, now_s)
        elif view.state is not State.LOADING and view.life:
            self._step(ledger.Left(view.model), now_s)

    def failed(self, model: ModelId, what: str, then: str, now_s: float) -> None:
        """Remember that its load came to nothing, or its process did."""
        log.warning("failed", model=str(model), what=what, then=then)
        self._step(ledger.Failed(model, what, then), now_s)

    def _loaded(self, view: lifecycle.View, load_s: float, now_s: float) -> None:
        self._wake()  # it may have looked between the grant and the process, and found nobody
        life = self._lives.get(view.model)
        if life is not None and life.loaded_s == ledger.NEVER_S:
            life.load_s, life.loaded_s = load_s, now_s
        self._step(ledger.Loaded(view.model, load_s, view.phases), now_s)

    # --- holds, pins and wishes

    async def needs(self, models: Sequence[ModelId]) -> dict[ModelId, ledger.Need]:
        """Return what loads of these would take; waits for their files' headers. Raises LoadFailed: one of them would fail."""
        foreseen = await asyncio.gather(*(self.foresee(self._catalogue.of(model)) for model in models))
        return {model: need for model, (need, _) in zip(models, foreseen, strict=True)}

    def hold(
        self, hold: ledger.HoldNo, needs: Mapping[ModelId, ledger.Need], app: str, rank: int, now_s: float
    ) -> None:
        """Reserve memory for these models together; answered by `hold_granted` or `hold_refused`."""
        self._step(ledger.HoldAsked(hold, needs, app, rank), now_s, look=True)

    def let_go(self, hold: ledger.HoldNo, now_s: float) -> None:
        """A hold is over, or wanted no more."""
        self._step(ledger.HoldEnded(hold), now_s, look=bool(self.ledger.accounts.waiting))

    def pin(self, model: ModelId, now_s: float, *, is_pinned: bool) -> None:
        """Have a model never leave by the ledger's decision, or let it."""
        self._step(ledger.Pinned(model, is_pinned=is_pinned), now_s)

    def keep(self, model: ModelId, keep_s: float | None, now_s: float) -> None:
        """Somebody wants it to stay for so long from now; None: as configured."""
        self._step(ledger.Kept(model, keep_s), now_s)

    def used(self, model: ModelId, now_s: float) -> None:
        """A request was given to it."""
        self._step(ledger.Used(model), now_s)

    def rested(self, model: ModelId, now_s: float) -> None:
        """Nothing runs on it and nothing waits for it."""
        self._step(ledger.Rested(model), now_s, look=bool(self.ledger.accounts.waiting))

    def measured(self, used: Mapping[ModelId, ledger.Amount], began_s: float, now_s: float) -> None:
        """Take note of what models use. `began_s`: before the first of them was looked at.

        Learned is only what was seen of a model that had been loaded by then: in the midst of a load it is less.
        """
        for model, one in used.items():
            life = self._lives.get(model)
            if life is not None and life.loaded_s <= began_s:
                life.peak = ledger.Amount(*map(max, life.peak, one))
                self._peaks.rose(life.shape, one, life.load_s)
            self._step(ledger.Measured(model, one.ram_bytes, one.gpu_bytes), now_s)
        self._step(ledger.Ticked(), now_s, look=True)

    def ticked(self, now_s: float, *, look: bool = False) -> None:
        """Time passed. `look`: at the machine, although nothing waits."""
        self._step(ledger.Ticked(), now_s, look=look or bool(self.ledger.accounts.waiting))

    def next_timer_s(self) -> float | None:
        """Return when `ticked` is due."""
        return self.ledger.next_timer_s()

    def idle_s(self, model: ModelId, now_s: float) -> float:
        """Return for how long a model has been idle; 0 for one that is not."""
        holding = self.ledger.accounts.holdings.get(model)
        return now_s - holding.idle_since_s if holding and holding.phase is ledger.Phase.IDLE else 0.0

    def ceiling_bytes(self) -> int:
        """Return how much memory models may have at the best of times. Reads a file or two of the system."""
        return self.ledger.accounts.terms[RAM].ceiling_bytes(self._rooms(())[RAM])

    # --- the process without a model

    def would_fit(self, schema: Schema, now_s: float) -> bool:
        """Tell whether a load could have its memory now, by what was learned or the listed size of its files.

        No file is looked at: this is asked of every model that a request could go to. True while the machine's memory was
        never read: then nothing is known against it.
        """
        if RAM not in self.ledger.accounts.rooms:
            return True
        file_bytes = schema.file_bytes
        learned = self._peaks.of(self._shape_of(schema, file_bytes))
        need = learned or ledger.Need(_guessed_bytes(schema, file_bytes), FIRST_LOAD_S)
        if GPU not in self.ledger.accounts.rooms:
            need = replace(need, gpu_bytes=0)
        judgements = self.ledger.preview(schema.id, need, now_s)
        return not isinstance(decisive(judgements).verdict, (TooLarge, Squeezed))

    def ahead(self, schema: Schema, then: OnAhead) -> None:
        """Have `then` told what opening this model's file before its load comes to."""
        self._foresight.ask_ahead(schema, then)

    def has_spare(self, need_bytes: int, now_s: float) -> bool:
        """Tell whether so much more could be held without anybody having to leave. Looks at the machine's memory."""
        self._step(ledger.Ticked(), now_s, look=True)
        return self.ledger.has_spare(need_bytes)

    def stand_by(self, engine: str, opened_bytes: int, now_s: float) -> bool:
        """Reserve what a process takes that has an engine's libraries, an open file perhaps, and no model.

        False: somebody would have to leave.
        """
        self._step(ledger.Ticked(), now_s, look=True)
        need_bytes = ledger.prepared_bytes(engine) + opened_bytes
        if STANDBY in self.ledger.accounts.holdings or not self.ledger.has_spare(need_bytes):
            return False
        self._step(ledger.Asked(STANDBY, need_bytes, "", RANKS["background"], 0.0), now_s)
        self._step(ledger.Loaded(STANDBY, 0.0), now_s)
        self._step(ledger.Rested(STANDBY), now_s)
        return True

    def standby_gone(self, now_s: float) -> None:
        """That process is gone, or has become a model's."""
        self._step(ledger.Released(STANDBY), now_s, look=True)

    # --- what a load needs

    async def foresee(self, schema: Schema) -> tuple[ledger.Need, Basis]:
        """Return what a load of this schema would need, and how that is known; waits for its file's header.

        Raises LoadFailed: the file is corrupt, or a setting is wrong. The header is read also where a peak was learned: a
        file can be damaged and keep its size.
        """
        told: asyncio.Future[Foreseen] = asyncio.get_running_loop().create_future()
        self._foresight.ask(schema, lambda known: None if told.done() else told.set_result(known))
        known = await told
        if not isinstance(known, LoadFailed):
            return self._expected(schema, self._shape(schema), known)
        if known.details.get("cause") == "file_missing":  # it is to be fetched first: no header tells anything
            return self._expected(schema, self._shape(schema), None)
        raise known

    def _expected(self, schema: Schema, shape: Shape, foreseen: ledger.Amount | None) -> tuple[ledger.Need, Basis]:
        learned = self._peaks.of(shape)
        if learned is not None:  # a GPU may not tell whose its memory is: what was foreseen stands then
            return replace(learned, gpu_bytes=learned.gpu_bytes or (foreseen.gpu_bytes if foreseen else 0)), "learned"
        if foreseen is not None:
            return ledger.Need(foreseen.ram_bytes, FIRST_LOAD_S, foreseen.gpu_bytes), "header"
        return ledger.Need(_guessed_bytes(schema, self._file_bytes(schema)), FIRST_LOAD_S), "guess"

    def _shape(self, schema: Schema) -> Shape:
        return self._shape_of(schema, self._file_bytes(schema))

    def _shape_of(self, schema: Schema, file_bytes: int) -> Shape:
        has_gpu = self._foresight.has_gpu
        settings = settings_of(schema.engine_options, schema.context_tokens, file_bytes, has_gpu=has_gpu)
        return Shape(str(schema.id), schema.engine, settings)

    def _file_bytes(self, schema: Schema) -> int:
        """Return the size of a model's files, of those that are not here as recorded; 0 if it is not known, or for none."""
        with suppress(OSError):
            if self._store.has(schema):
                return self._store.size_bytes(schema)
        return schema.file_bytes

    # --- deciding

    def _step(self, event: ledger.Event, now_s: float, *, look: bool = False) -> None:
        """Have the ledger decide; events that come of carrying that out follow after. `look`: at the machine, before."""
        rooms = self._rooms(tuple(self._surroundings.model_pids().values())) if look else {}
        seen = [ledger.RoomRead(device, room) for device, room in rooms.items()]
        self._inbox.put(*seen, event, now_s=now_s)

    def _carry_out(self, command: ledger.Command, now_s: float) -> None:
        match command:
            case ledger.Grant(model):
                self._wake()
                if model != STANDBY:
                    self._surroundings.reserved(model, now_s)
            case ledger.GrantHold(hold):
                self._wake()
                self._surroundings.hold_granted(hold, now_s)
            case ledger.Evict(model) if model == STANDBY:
                self._surroundings.end_standby(self.ledger.story.of(model)[-1].rule, now_s)
            case ledger.Evict(model):
                log.info("evicting", model=str(model), why=self.ledger.story.of(model)[-1].rule)
                self._surroundings.life_step(lifecycle.Evicted(model), now_s)
            case ledger.Refuse(key, message, device, numbers, retry_after_s):
                can_help = retry_after_s is not None
                error = refusal(
                    ResourceBlocked,
                    message,
                    retryable=can_help,
                    retry_after_s=retry_after_s,
                    memory=device,
                    **numbers,
                )
                if isinstance(key, ModelId):
                    self._surroundings.life_step(lifecycle.MemoryRefused(key, error), now_s)
                else:
                    self._surroundings.hold_refused(key, error, now_s)
            case ledger.ShowWait(key, text):
                if isinstance(key, ModelId):
                    self._surroundings.life_step(lifecycle.Delayed(key, text), now_s)
                else:
                    self._surroundings.hold_delayed(key, text, now_s)
            case _:
                assert_never(command)


def _guessed_bytes(schema: Schema, file_bytes: int) -> int:
    return ledger.first_estimate_bytes(schema.engine, file_bytes, schema.engine_options, schema.context_tokens)
