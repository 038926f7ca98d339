"""The schedule's moves carried out in llama.cpp's cache and on the shelf.

Covers: each move, and what is told back when one fails. Belongs to the loop's thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from inferd_actors.engines.llama_cpp.moves import Copy, Discard, Forget, Move, Restore, Save
from inferd_actors.engines.llama_cpp.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inferd_actors.engines.llama_cpp.library import Context
    from inferd_actors.engines.llama_cpp.schedule import Schedule


class Cache:
    """The context's sequences and the host memory beside them."""

    def __init__(self, context: Context, shelf: Shelf, *, can_trim: bool) -> None:
        self._context = context
        self._shelf = shelf
        self._can_trim = can_trim

    def carry_out(self, moves: Iterable[Move], schedule: Schedule) -> None:
        """Make these moves, in order."""
        for move in moves:
            match move:
                case Copy(source, target, count):
                    self._copy(source, target, count)
                case Save(seat, key, is_parked):
                    dropped = self._shelf.put(key, self._context.save(seat, self._shelf.place), is_parked=is_parked)
                    schedule.dropped(dropped)
                case Restore():
                    self._restore(move, schedule)
                case Forget(seat):
                    self._context.forget(seat)
                case Discard(key):
                    self._shelf.drop(key)
                case _:
                    assert_never(move)

    def _copy(self, source: int, target: int, count: int) -> None:
        if self._can_trim:
            self._context.copy(source, target, count)
        else:
            self._context.copy_all(source, target)

    def _restore(self, move: Restore, schedule: Schedule) -> None:
        """Bring a state back; one that does not come back whole, or cannot be cut, is read anew."""
        state = self._shelf.get(move.key)
        is_back = state is not None and self._context.restore(move.seat, state)
        if is_back and self._context.length(move.seat) > move.count:
            is_back = self._context.trim(move.seat, move.count)
        if not is_back or self._context.length(move.seat) != move.count:
            self._context.forget(move.seat)
            schedule.lost(move.seat)
        if move.is_parked:
            self._shelf.drop(move.key)
