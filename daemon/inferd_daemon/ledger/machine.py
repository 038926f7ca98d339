"""The decisions about memory: one event in, commands out.

Covers: what each event does to the books, and carrying out verdicts. Does not cover one load's verdict (`judging`), who could
leave (`leaving`), choosing among them (`victims`) nor processes (`lifecycle`). Pure.

Rules it keeps:
1. A load is granted only if all that is held and its own need stay within the limit. What is held counts from the grant until
   the process is known to be gone.
2. Only idle models are told to leave; a model in use yields after its turn, and ends once what runs on it has ended.
3. Loads go in order of class, then arrival; waiting makes a load more urgent. One may pass another only while both could be
   there together and the first is still patient.
4. If no set of models frees enough, nobody leaves. A load that fails costs nobody anything.
5. Every decision has a record.
6. A hold has the memory of all its models at one moment, or of none. Until it ends none of them leaves, and what one of them
   held stays promised to its next life.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, assert_never

from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.ledger import commands, events, words
from inferd_daemon.ledger.accounts import Accounts
from inferd_daemon.ledger.holding import AGING_S, NEVER_S, Holding, HoldNo, Need, Phase, Waiting
from inferd_daemon.ledger.judging import Judging
from inferd_daemon.ledger.leaving import Farewell, KeepAlive, Leaving
from inferd_daemon.ledger.room import RAM, Device, Terms
from inferd_daemon.ledger.story import Decision, Kind, Story
from inferd_daemon.ledger.verdict import (
    Fits,
    FitsAfter,
    Judgement,
    Squeezed,
    TooLarge,
    Waits,
    decisive,
)

SQUEEZED_S: Final = 10.0
"""How long a load waits for other programs to give memory back before it is refused: peaks of theirs often end in that time."""
LOOK_S: Final = 0.5
"""Between two looks at the machine meanwhile: nobody tells when another program has given memory back."""

FREES_NOTHING: Final = (events.Loaded, events.Used, events.Kept, events.Left, events.Failed, events.Measured)
"""Events after which no more fits than before."""


class Ledger:
    """All memories. `step` is the only way to change anything; one caller, never at the same time."""

    def __init__(self, terms: Mapping[Device, Terms], keep: KeepAlive) -> None:
        self._count = 0
        self._now_s = self._settled_s = 0.0
        self._commands: list[commands.Command] = []
        self.accounts = Accounts(terms)
        self._leaving = Leaving(self.accounts, keep)
        self._judging = Judging(self.accounts, self._leaving)
        self.story = Story()

    def step(self, event: events.Event, now_s: float) -> list[commands.Command]:
        """Return what is to be done about `event`, in order."""
        self._now_s = now_s
        self._commands = []
        if not self._take(event):  # told at every dispatch: nothing is decided in the midst of serving
            return self._commands
        self._settled_s = now_s
        self._evict_all(self._leaving.expired(now_s))
        self._settle()
        return self._commands

    def preview(self, model: ModelId, need: Need, now_s: float) -> list[Judgement]:
        """Return how a load that came now would be judged by each memory that it needs, though the model may be there.

        Changes nothing. The memories it needs must have been read.
        """
        load = Waiting(model, {model: need}, "", 0, 0.0, asked_s=now_s, number=self._count + 1)
        load.missing = self.accounts.missing_bytes(load)
        ahead = [one for one in self.accounts.line(now_s) if one.key != model]
        return self._judging.judge(load, ahead, now_s, may_yield=False)

    def holds(self, model: ModelId) -> bool:
        """Tell whether a model holds memory and is not about to leave."""
        holding = self.accounts.holdings.get(model)
        return holding is not None and holding.phase is not Phase.LEAVING

    def has_spare(self, need_bytes: int) -> bool:
        """Tell whether so much more of the machine's memory could be held without anybody being told to leave."""
        return self._leaving.has_spare(need_bytes)

    def next_timer_s(self) -> float | None:
        """Return when `Ticked` is due; None: nothing waits for time to pass."""
        holdings = self.accounts.holdings.values()
        due = [self._leaving.idle_until_s(one) for one in holdings]
        for load in self.accounts.waiting.values():
            aged_s = load.asked_s + AGING_S * (int((self._settled_s - load.asked_s) / AGING_S) + 1)
            due += [load.patient_until_s, load.asked_s + SQUEEZED_S, aged_s]
            due += [self._settled_s + LOOK_S] if load.squeezed else []
            due += [one.turn_ends_s(load.load_s) for one in holdings]
        due_s = min((one for one in due if one > self._settled_s), default=NEVER_S)
        return None if due_s == NEVER_S else due_s

    # --- events

    def _take(self, event: events.Event) -> bool:
        """Book an event; return whether more may fit, or another load be the first, than before."""
        accounts = self.accounts
        match event:
            case events.RoomRead(device, room):
                accounts.rooms[device] = room
                self._evict_all(self._leaving.over_limit(device, self._now_s))
                if device == RAM:  # a GPU has nothing to hold more ready for: one model may fill it
                    self._evict_all(self._leaving.over_soft_mark(device, self._now_s))
            case events.Asked():
                return self._asked(event)
            case events.HoldAsked():
                load_s = max(need.load_s for need in event.needs.values())
                self._wait_for(event.hold, event.needs, event.app, event.rank, load_s)
            case events.HoldEnded(hold):
                self._hold_ended(hold)
            case events.Released(model):
                self._released(model)
            case events.Pinned(model, is_pinned):
                (accounts.pinned.add if is_pinned else accounts.pinned.discard)(model)
            case events.Failed(model, what, then):
                self._failed(model, what, then)
            case events.Loaded() | events.Used() | events.Kept() | events.Rested() | events.Left() | events.Measured():
                holding = accounts.holdings.get(event.model)
                if holding is not None:
                    self._about(holding, event)
            case events.Ticked():
                pass
            case _:
                assert_never(event)
        return not isinstance(event, FREES_NOTHING)

    def _asked(self, event: events.Asked) -> bool:
        holding, load = self.accounts.holdings.get(event.model), self.accounts.waiting.get(event.model)
        if holding is not None:
            if holding.promised:
                holding.promised = False
                self._commands.append(commands.Grant(event.model))
            return False
        if load is not None and load.rank <= event.rank:
            return False
        if load is not None:
            load.rank = event.rank
            return True
        need = Need(event.need_bytes, event.load_s, event.gpu_bytes)
        self._wait_for(event.model, {event.model: need}, event.app, event.rank, event.load_s)
        return True

    def _wait_for(
        self, key: ModelId | HoldNo, needs: Mapping[ModelId, Need], app: str, rank: int, load_s: float
    ) -> None:
        if key not in self.accounts.waiting:
            self._count += 1
            self.accounts.waiting[key] = Waiting(key, needs, app, rank, load_s, asked_s=self._now_s, number=self._count)

    def _released(self, model: ModelId) -> None:
        gone = self.accounts.holdings.pop(model, None)
        self.accounts.waiting.pop(model, None)
        if gone is not None and model in self.accounts.leased:
            self._reserve(model, Need(gone.held_bytes, gone.load_s, gone.held_gpu_bytes), promised=True)

    def _hold_ended(self, hold: HoldNo) -> None:
        self.accounts.waiting.pop(hold, None)
        for model in self.accounts.held.pop(hold, frozenset()):
            holding = self.accounts.holdings.get(model)
            if holding is None or model in self.accounts.leased:
                continue
            self._leaving.keep(holding, None, self._now_s)
            if holding.promised:
                del self.accounts.holdings[model]

    def _reserve(self, model: ModelId, need: Need, *, promised: bool) -> None:
        self.accounts.holdings[model] = Holding(
            model,
            need.peak_bytes,
            began_s=self._now_s,
            load_s=need.load_s,
            promised=promised,
            reserved_gpu_bytes=need.gpu_bytes,
        )

    def _about(self, holding: Holding, event: events.AboutHolding) -> None:
        match event:
            case events.Loaded(_, load_s, phases):
                if holding.phase is Phase.LOADING:
                    holding.load_s, holding.phase = load_s, Phase.BUSY
                    if phases:
                        held_bytes, rule = self.accounts.held_bytes(RAM), words.ready(phases)
                        self._note("ready", [holding.model], RAM, "", holding.held_bytes, held_bytes, rule)
            case events.Used(model):
                self._leaving.used(model, self._now_s)
                if holding.phase is not Phase.LEAVING:
                    holding.phase, holding.idle_since_s = Phase.BUSY, NEVER_S
            case events.Kept(_, keep_s):
                self._leaving.keep(holding, keep_s, self._now_s)
            case events.Rested():
                if holding.phase is Phase.BUSY:
                    holding.phase, holding.idle_since_s = Phase.IDLE, self._now_s
            case events.Left():
                holding.phase, holding.idle_since_s = Phase.LEAVING, NEVER_S
            case events.Measured(_, used_bytes, gpu_bytes):
                holding.measured_bytes, holding.measured_gpu_bytes = used_bytes, gpu_bytes
            case _:
                assert_never(event)

    def _failed(self, model: ModelId, what: str, then: str) -> None:
        holding = self.accounts.holdings.get(model)
        own_bytes = holding.held_bytes if holding else 0
        self._note("failure", [model], RAM, "", own_bytes, self.accounts.held_bytes(RAM) - own_bytes, what, then)

    # --- who leaves

    def _evict_all(self, farewells: Sequence[Farewell]) -> None:
        for one in farewells:
            self._evict(one.holding, one.device, one.rule)

    def _evict(self, holding: Holding, device: Device, rule: str, app: str = "") -> None:
        own_bytes = holding.held_on(device)
        after_bytes = self.accounts.held_bytes(device) - own_bytes
        self._note("eviction", [holding.model], device, app, own_bytes, after_bytes, rule)
        holding.phase, holding.idle_since_s = Phase.LEAVING, NEVER_S
        self._commands.append(commands.Evict(holding.model))

    # --- waiting loads

    def _settle(self) -> None:
        """Go through the waiting loads in their order, each with what those before it leave."""
        ahead: list[Waiting] = []
        for load in self.accounts.line(self._now_s):
            if load.key not in self.accounts.waiting:
                continue  # a hold has had its memory
            load.missing = self.accounts.missing_bytes(load)
            if load.missing.keys() <= self.accounts.rooms.keys() and not self._decide(load, ahead):
                ahead.append(load)

    def _decide(self, load: Waiting, ahead: list[Waiting]) -> bool:
        """Carry out a load's verdict; return whether it waits no more."""
        judgements = self._judging.judge(load, ahead, self._now_s)
        judged = decisive(judgements)
        load.squeezed = isinstance(judged.verdict, Squeezed)
        match judged.verdict:
            case Fits():
                self._grant(load, judgements)
                for one in ahead:
                    one.passed.update(load.missing)
                return True
            case TooLarge():
                self._refuse(load, judged, judged.verdict)
                return True
            case Squeezed() if self._now_s - load.asked_s >= SQUEEZED_S:
                self._refuse(load, judged, judged.verdict)
                return True
            case FitsAfter():
                self._make_room(load, judgements, judged)
            case Squeezed() | Waits():
                used = {one.model for one in self.accounts.on(judged.device, Phase.BUSY, Phase.LOADING)}
                stay = sorted(used | (self.accounts.leased & self.accounts.holdings.keys()) - load.needs.keys())
                self._wait(load, judged.device, words.waits(load, stay, judged, judged.verdict))
        return False

    def _grant(self, load: Waiting, judgements: Sequence[Judgement]) -> None:
        missing = self.accounts.missing(load)
        for one in judgements:
            need_bytes = load.need_on(one.device)
            after_bytes, rule = self.accounts.held_bytes(one.device) + need_bytes, words.fits(load, one)
            self._note("load", missing, one.device, load.app, need_bytes, after_bytes, rule)
        del self.accounts.waiting[load.key]
        for model in missing:
            is_asked = model == load.key or self.accounts.waiting.pop(model, None) is not None
            self._reserve(model, load.needs[model], promised=not is_asked)
            self._commands += [commands.Grant(model)] if is_asked else []
        if not isinstance(load.key, ModelId):
            self.accounts.held[load.key] = frozenset(load.needs)
            self._commands.append(commands.GrantHold(load.key))

    def _refuse(self, load: Waiting, judged: Judgement, verdict: TooLarge | Squeezed) -> None:
        device, books, need_bytes = judged.device, judged.books, load.need_on(judged.device)
        room, held_bytes = self.accounts.rooms[device], self.accounts.held_bytes(device)
        rule, help_ = words.refused(load, judged, verdict, room)
        self._note("refusal", sorted(load.needs), device, load.app, need_bytes, held_bytes, rule, help_)
        del self.accounts.waiting[load.key]
        limit_bytes = books.ceiling_bytes if isinstance(verdict, TooLarge) else books.limit_bytes
        parts = (
            {f"need_bytes of {model}": need.on(device) for model, need in load.needs.items()} if load.is_hold else {}
        )
        numbers = {
            "need_bytes": need_bytes + books.own_bytes,
            **parts,
            "held_bytes": held_bytes,
            "limit_bytes": limit_bytes + books.own_bytes,
            "pinned_bytes": books.pinned_bytes,
            "leased_bytes": books.leased_bytes,
            "available_bytes": room.available_bytes,
            "reserve_bytes": self.accounts.terms[device].reserve_of(room),
        }
        can_help = isinstance(verdict, Squeezed) or (
            books.leased_bytes > 0 and need_bytes <= books.ceiling_bytes - books.pinned_bytes
        )
        retry_after_s = SQUEEZED_S if can_help else None
        self._commands.append(commands.Refuse(load.key, f"{rule}: {help_}", device, numbers, retry_after_s))

    def _make_room(self, load: Waiting, judgements: Sequence[Judgement], judged: Judgement) -> None:
        for one in judgements:
            victims = one.verdict.victims if isinstance(one.verdict, FitsAfter) else ()
            for victim in victims:
                holding = self.accounts.holdings[victim.model]
                rule = words.victim(load, victims, one, in_use=holding.phase is Phase.BUSY)
                self._evict(holding, one.device, rule, load.app)
        leaving = self.accounts.on(judged.device, Phase.LEAVING)
        text = words.waits_for_end(load, judged.device, sorted(one.model for one in leaving))
        self._wait(load, judged.device, text)

    def _wait(self, load: Waiting, device: Device, text: str) -> None:
        if load.shown != text:
            load.shown = text
            held_bytes, need_bytes = self.accounts.held_bytes(device), load.need_on(device)
            models = sorted(load.needs)
            self._note("wait", models, device, load.app, need_bytes, held_bytes, text, words.WAIT_HELP)
            self._commands.append(commands.ShowWait(load.key, text))

    def _note(
        self,
        kind: Kind,
        models: Sequence[ModelId],
        device: Device,
        app: str,
        need_bytes: int,
        after_bytes: int,
        rule: str,
        help_: str = "",
    ) -> None:
        held_bytes, limit_bytes = self.accounts.held_bytes(device), self.accounts.limit_bytes(device)
        for model in models:
            decision = Decision(
                self._now_s, kind, model, app, device, need_bytes, held_bytes, after_bytes, limit_bytes, rule, help_
            )
            self.story.note(decision)
