"""How a load that waits is judged by every memory that it needs.

Covers: the verdicts, one per memory. Does not cover the decision itself (`verdict`) nor carrying it out (`machine`). Reads the
accounts and changes nothing. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.ledger.accounts import Accounts
from inferd_daemon.ledger.holding import Waiting
from inferd_daemon.ledger.leaving import Leaving
from inferd_daemon.ledger.room import Device
from inferd_daemon.ledger.verdict import Books, Fits, FitsAfter, Judgement, Verdict, judge


class Judging:
    """Judges loads by the accounts as they are."""

    def __init__(self, accounts: Accounts, leaving: Leaving) -> None:
        self._accounts = accounts
        self._leaving = leaving

    def judge(
        self, load: Waiting, ahead: Sequence[Waiting], now_s: float, *, may_yield: bool = True
    ) -> list[Judgement]:
        """Return a load's verdict in each memory that it needs, behind the loads `ahead`; at least the machine's.

        Who leaves for it in one memory is counted on in the next. `may_yield`: models in use do, after their turn.
        """
        missing = self._accounts.missing(load)
        is_ending = bool(self._accounts.holdings.keys() & set(missing))
        chosen: set[ModelId] = set()
        judgements = []
        for device in load.missing:
            books = self._accounts.books(load, device, ahead, now_s, chosen)
            verdict = self._verdict(load, device, books, chosen, now_s, may_yield=may_yield) if missing else Fits()
            if isinstance(verdict, Fits) and is_ending:
                verdict = FitsAfter(())  # a life of one of them has not ended
            if isinstance(verdict, FitsAfter):
                chosen |= {one.model for one in verdict.victims}
            judgements.append(Judgement(device, books, verdict))
        return judgements

    def _verdict(
        self, load: Waiting, device: Device, books: Books, chosen: Collection[ModelId], now_s: float, *, may_yield: bool
    ) -> Verdict:
        idle = self._leaving.idle(load, device, now_s)
        yielding = self._leaving.yielding(load, device, now_s) if may_yield else []
        return judge(
            load.need_on(device),
            books,
            [one for one in idle if one.model not in chosen],
            [one for one in yielding if one.model not in chosen],
        )
