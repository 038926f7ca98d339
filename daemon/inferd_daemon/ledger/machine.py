"""The decisions about memory: one event in, commands out.

Covers: what each event does to the books, and carrying out verdicts. Does not cover one load's verdict (`verdict`), who could
leave (`leaving`), choosing among them (`victims`) nor processes (`lifecycle`). Pure.

Rules it keeps:
1. A load is granted only if all that is held and its own need stay within the limit. What is held counts from the grant until
   the process is known to be gone.
2. Only idle models are told to leave; a model in use yields after its turn, and ends once what runs on it has ended.
3. Loads go in order of class, then arrival; waiting makes a load more urgent. One may pass another only while both could be
   there together and the first is still patient.
4. If no set of models frees enough, nobody leaves. A load that fails costs nobody anything.
5. Every decision has a record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, assert_never

from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.ledger import commands, events, words
from inferd_daemon.ledger.accounts import Accounts
from inferd_daemon.ledger.holding import AGING_S, NEVER_S, Holding, Phase, Waiting
from inferd_daemon.ledger.leaving import Cost, Farewell, KeepAlive, Leaving
from inferd_daemon.ledger.room import RAM, Device, Terms
from inferd_daemon.ledger.story import Decision, Kind, Story
from inferd_daemon.ledger.verdict import Books, Fits, FitsAfter, Squeezed, TooLarge, Verdict, judge
from inferd_daemon.ledger.victims import Candidate

SQUEEZED_S: Final = 10.0
"""How long a load waits for other programs to give memory back before it is refused: peaks of theirs often end in that time."""


FREES_NOTHING: Final = (events.Loaded, events.Used, events.Left, events.Failed, events.Measured)
"""Events after which no more fits than before."""
AboutHolding = events.Loaded | events.Used | events.Rested | events.Left | events.Measured


class Ledger:
    """All memories. `step` is the only way to change anything; one caller, never at the same time."""

    def __init__(self, terms: Mapping[Device, Terms], keep: KeepAlive, *, cost: Cost | None = None) -> None:
        """`cost`: see `Leaving`; another than the usual one is for comparisons."""
        self._count = 0
        self._now_s = self._settled_s = 0.0
        self._commands: list[commands.Command] = []
        self.accounts = Accounts(terms)
        self._leaving = Leaving(self.accounts, keep, cost)
        self.story = Story()

    def step(self, event: events.Event, now_s: float) -> list[commands.Command]:
        """Return what is to be done about `event`, in order."""
        self._now_s = now_s
        self._commands = []
        self._take(event)
        if isinstance(event, FREES_NOTHING):  # told at every dispatch: nothing is decided in the midst of serving
            return self._commands
        self._settled_s = now_s
        self._evict_all(self._leaving.expired(now_s))
        for device in sorted({load.device for load in self.accounts.waiting.values()} & self.accounts.rooms.keys()):
            self._settle(device)
        return self._commands

    def preview(
        self, model: ModelId, need_bytes: int, now_s: float, device: Device = RAM
    ) -> tuple[Books, Verdict | None]:
        """Return how a load that came now would be judged; None: the model holds memory already. Changes nothing."""
        load = Waiting(model, device, need_bytes, "", 0, 0.0, asked_s=now_s, number=self._count + 1)
        ahead = [one for one in self.accounts.line(device, now_s) if one.model != model]
        books = self.accounts.books(load, ahead, now_s)
        holding = self.accounts.holdings.get(model)
        if holding is not None and holding.phase is not Phase.LEAVING:
            return books, None
        return books, judge(need_bytes, books, self._leaving.idle(device, now_s), [])

    def has_spare(self, need_bytes: int, device: Device = RAM) -> bool:
        """Tell whether so much more could be held without anybody being told to leave."""
        return self._leaving.has_spare(need_bytes, device)

    def next_timer_s(self) -> float | None:
        """Return when `Ticked` is due; None: nothing waits for time to pass."""
        holdings = self.accounts.holdings.values()
        due = [self._leaving.idle_until_s(one) for one in holdings]
        for load in self.accounts.waiting.values():
            aged_s = load.asked_s + AGING_S * (int((self._settled_s - load.asked_s) / AGING_S) + 1)
            due += [load.patient_until_s, load.asked_s + SQUEEZED_S, aged_s]
            due += [one.turn_ends_s(load.load_s) for one in holdings]
        due_s = min((one for one in due if one > self._settled_s), default=NEVER_S)
        return None if due_s == NEVER_S else due_s

    # --- events

    def _take(self, event: events.Event) -> None:
        accounts = self.accounts
        match event:
            case events.RoomRead(device, room):
                accounts.rooms[device] = room
                self._evict_all(self._leaving.over_limit(device, self._now_s))
                self._evict_all(self._leaving.over_soft_mark(device, self._now_s))
            case events.Asked():
                self._asked(event)
            case events.Released(model):
                accounts.holdings.pop(model, None)
                accounts.waiting.pop(model, None)
            case events.Pinned(model, is_pinned):
                (accounts.pinned.add if is_pinned else accounts.pinned.discard)(model)
            case events.Failed(model, what, then):
                self._failed(model, what, then)
            case events.Loaded() | events.Used() | events.Rested() | events.Left() | events.Measured():
                holding = accounts.holdings.get(event.model)
                if holding is not None:
                    self._about(holding, event)
            case events.Ticked():
                pass
            case _:
                assert_never(event)

    def _asked(self, event: events.Asked) -> None:
        if event.model in self.accounts.holdings:
            return
        known = self.accounts.waiting.get(event.model)
        if known is not None:
            known.rank = min(known.rank, event.rank)
            return
        self._count += 1
        self.accounts.waiting[event.model] = Waiting(
            event.model,
            event.device,
            event.need_bytes,
            event.app,
            event.rank,
            event.load_s,
            asked_s=self._now_s,
            number=self._count,
        )

    def _about(self, holding: Holding, event: AboutHolding) -> None:
        match event:
            case events.Loaded(_, load_s, phases):
                if holding.phase is Phase.LOADING:
                    holding.load_s, holding.phase = load_s, Phase.BUSY
                    if phases:
                        held_bytes = self.accounts.held_bytes(holding.device)
                        self._note("ready", holding, "", holding.held_bytes, held_bytes, words.ready(phases))
            case events.Used(model):
                self._leaving.used(model, self._now_s)
                if holding.phase is not Phase.LEAVING:
                    holding.phase, holding.idle_since_s = Phase.BUSY, NEVER_S
            case events.Rested():
                if holding.phase is Phase.BUSY:
                    holding.phase, holding.idle_since_s = Phase.IDLE, self._now_s
            case events.Left():
                holding.phase, holding.idle_since_s = Phase.LEAVING, NEVER_S
            case events.Measured(_, used_bytes):
                holding.measured_bytes = used_bytes
            case _:
                assert_never(event)

    def _failed(self, model: ModelId, what: str, then: str) -> None:
        holding = self.accounts.holdings.get(model)
        device, own_bytes = (holding.device, holding.held_bytes) if holding else (RAM, 0)
        held_bytes, limit_bytes = self.accounts.held_bytes(device), self.accounts.limit_bytes(device)
        after_bytes = held_bytes - own_bytes
        self.story.note(
            Decision(self._now_s, "failure", model, "", own_bytes, held_bytes, after_bytes, limit_bytes, what, then)
        )

    # --- who leaves

    def _evict_all(self, farewells: Sequence[Farewell]) -> None:
        for one in farewells:
            self._evict(one.holding, one.rule)

    def _evict(self, holding: Holding, rule: str, app: str = "") -> None:
        held_bytes = self.accounts.held_bytes(holding.device)
        self._note("eviction", holding, app, holding.held_bytes, held_bytes - holding.held_bytes, rule)
        holding.phase, holding.idle_since_s = Phase.LEAVING, NEVER_S
        self._commands.append(commands.Evict(holding.model))

    # --- waiting loads

    def _settle(self, device: Device) -> None:
        """Go through the waiting loads in their order, each with what those before it leave."""
        ahead: list[Waiting] = []
        for load in self.accounts.line(device, self._now_s):
            if not self._decide(load, ahead):
                ahead.append(load)

    def _decide(self, load: Waiting, ahead: list[Waiting]) -> bool:
        """Carry out a load's verdict; return whether it waits no more."""
        books = self.accounts.books(load, ahead, self._now_s)
        verdict = judge(
            load.need_bytes,
            books,
            self._leaving.idle(load.device, self._now_s),
            self._leaving.yielding(load, self._now_s),
        )
        match verdict:
            case Fits():
                self._grant(load, books)
                for one in ahead:
                    one.passed_bytes += load.need_bytes
                return True
            case TooLarge():
                self._refuse(load, verdict, books)
                return True
            case Squeezed() if self._now_s - load.asked_s >= SQUEEZED_S:
                self._refuse(load, verdict, books)
                return True
            case FitsAfter(victims):
                self._make_room(load, victims, books)
            case _:
                in_use = self.accounts.on(load.device, Phase.BUSY, Phase.LOADING)
                self._wait(load, words.waits(load, sorted(one.model for one in in_use), verdict, books))
        return False

    def _grant(self, load: Waiting, books: Books) -> None:
        held_bytes = self.accounts.held_bytes(load.device)
        self._note("load", load, load.app, load.need_bytes, held_bytes + load.need_bytes, words.fits(load, books))
        del self.accounts.waiting[load.model]
        self.accounts.holdings[load.model] = Holding(
            load.model, load.device, load.need_bytes, began_s=self._now_s, load_s=load.load_s
        )
        self._commands.append(commands.Grant(load.model))

    def _refuse(self, load: Waiting, verdict: TooLarge | Squeezed, books: Books) -> None:
        room, held_bytes = self.accounts.rooms[load.device], self.accounts.held_bytes(load.device)
        rule, help_ = words.refused(load, verdict, books, room)
        self._note("refusal", load, load.app, load.need_bytes, held_bytes, rule, help_)
        del self.accounts.waiting[load.model]
        numbers = {
            "need_bytes": load.need_bytes,
            "held_bytes": held_bytes,
            "limit_bytes": books.ceiling_bytes if isinstance(verdict, TooLarge) else books.limit_bytes,
            "pinned_bytes": books.pinned_bytes,
            "available_bytes": room.available_bytes,
            "reserve_bytes": self.accounts.terms[load.device].reserve_of(room),
        }
        retry_after_s = SQUEEZED_S if isinstance(verdict, Squeezed) else None
        self._commands.append(commands.Refuse(load.model, f"{rule}: {help_}", numbers, retry_after_s))

    def _make_room(self, load: Waiting, victims: tuple[Candidate, ...], books: Books) -> None:
        for one in victims:
            holding = self.accounts.holdings[one.model]
            self._evict(holding, words.victim(load, victims, books, in_use=holding.phase is Phase.BUSY), load.app)
        leaving = self.accounts.on(load.device, Phase.LEAVING)
        self._wait(load, words.waits_for_end(load, sorted(one.model for one in leaving)))

    def _wait(self, load: Waiting, text: str) -> None:
        if load.shown != text:
            load.shown = text
            held_bytes = self.accounts.held_bytes(load.device)
            self._note("wait", load, load.app, load.need_bytes, held_bytes, text, words.WAIT_HELP)
            self._commands.append(commands.ShowWait(load.model, text))

    def _note(
        self,
        kind: Kind,
        row: Holding | Waiting,
        app: str,
        need_bytes: int,
        after_bytes: int,
        rule: str,
        help_: str = "",
    ) -> None:
        held_bytes, limit_bytes = self.accounts.held_bytes(row.device), self.accounts.limit_bytes(row.device)
        decision = Decision(
            self._now_s, kind, row.model, app, need_bytes, held_bytes, after_bytes, limit_bytes, rule, help_
        )
        self.story.note(decision)
