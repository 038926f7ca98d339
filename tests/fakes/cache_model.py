"""A cache that behaves as llama.cpp's unified one does, and a model of one line in it.

Covers: what `cache.Cache` and a step use of `library.Context`: cells by position, shared by several sequences, decoding that
fails when none is free, copying, cutting, saving and restoring. What a cell holds depends on everything before it, as keys and
values do, and the next token on what the last cell holds: a sequence put together wrongly goes on with other tokens. Verified
against the library by `test_cache_model`.
"""

from __future__ import annotations

import array
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

WORDS: Final = 50_021
"""Tokens of the model; a prime, so that remainders of hashes spread."""
EMPTY: Final = 7
"""What stands before the first token."""


class Piece(NamedTuple):
    """As `library.Row`."""

    seat: int
    start: int
    tokens: Sequence[int]
    wants_logits: bool


def behind(value: int, token: int) -> int:
    """Return what a cell holds that follows on one with `value`."""
    return (value * 1_000_003 + token + 1) % (2**61 - 1)


def chosen(value: int) -> int:
    """Return the token that the model writes behind a cell with `value`."""
    return value % WORDS


def answer(prompt: Sequence[int], n_tokens: int) -> list[int]:
    """Return what the model writes behind a prompt when it is alone."""
    value, written = EMPTY, list[int]()
    for token in prompt:
        value = behind(value, token)
    for _ in range(n_tokens):
        written.append(chosen(value))
        value = behind(value, written[-1])
    return written


class CacheModel:
    """`total` cells for `seats` sequences. `can_trim`: False for a state that can be had only as a whole."""

    def __init__(self, *, total: int, seats: int, can_trim: bool) -> None:
        self.refuses: Callable[[], bool] = lambda: False
        """Whether a state cannot be brought back although there is room."""
        self.total = total
        self.used = 0
        self._can_trim = can_trim
        self._sharers: dict[int, int] = {}
        """Of each used cell."""
        self._numbers = 0
        self._cells: list[list[int]] = [[] for _ in range(seats)]
        """Of each sequence, by position: a number for each cell that was ever used."""
        self._tokens: list[list[int]] = [[] for _ in range(seats)]
        self._values: list[list[int]] = [[] for _ in range(seats)]

    def tokens(self, seat: int) -> list[int]:
        """Return what a sequence holds, by position."""
        return self._tokens[seat]

    def recounted(self) -> int:
        """Return how many cells are used, counted anew."""
        return len({cell for cells in self._cells for cell in cells})

    # --- computing

    def decode(self, rows: Sequence[Piece]) -> list[int]:
        """Take these tokens into their sequences; return for each row that wants logits what the token is chosen by."""
        wanted = []
        n_tokens = sum(len(row.tokens) for row in rows)
        if n_tokens > self.total - self.used:
            raise MemoryError(f"{n_tokens} cells are wanted, {self.total - self.used} of {self.total} are free")
        for seat, start, tokens, wants_logits in rows:
            if start != len(self._cells[seat]):
                raise RuntimeError(f"sequence {seat} ends at {len(self._cells[seat])}, not at {start}")
            self._take(seat, tokens)
            if wants_logits:
                wanted.append(self._values[seat][-1])
        return wanted

    def _take(self, seat: int, tokens: Sequence[int]) -> None:
        values = self._values[seat]
        value = values[-1] if values else EMPTY
        for token in tokens:
            value = behind(value, token)
            values.append(value)
        self._tokens[seat].extend(tokens)
        self._occupy(seat, len(tokens))

    def _occupy(self, seat: int, count: int) -> None:
        fresh = range(self._numbers, self._numbers + count)
        self._numbers += count
        self.used += count
        self._cells[seat].extend(fresh)
        self._sharers.update(dict.fromkeys(fresh, 1))

    # --- sequences

    def length(self, seat: int) -> int:
        return len(self._cells[seat])

    def copy(self, source: int, target: int, count: int) -> None:
        if not self._can_trim:
            raise RuntimeError("a state is copied as a whole or not at all")
        self._share(source, target, count)

    def copy_all(self, source: int, target: int) -> None:
        self._share(source, target, len(self._cells[source]))

    def _share(self, source: int, target: int, count: int) -> None:
        if self._cells[target] or count > len(self._cells[source]):
            raise RuntimeError(
                f"{count} of {len(self._cells[source])} cells are copied over {len(self._cells[target])}"
            )
        for cell in self._cells[source][:count]:
            self._sharers[cell] += 1
        for of_seat in (self._cells, self._tokens, self._values):
            of_seat[target] = of_seat[source][:count]

    def trim(self, seat: int, count: int) -> bool:
        if not self._can_trim and 0 < count < len(self._cells[seat]):
            return False
        for cell in self._cells[seat][count:]:
            self._sharers[cell] -= 1
            if not self._sharers[cell]:
                del self._sharers[cell]
                self.used -= 1
        for of_seat in (self._cells, self._tokens, self._values):
            del of_seat[seat][count:]
        return True

    def forget(self, seat: int) -> None:
        self.trim(seat, 0)

    def save(self, seat: int, place: Callable[[int], memoryview]) -> memoryview:
        kept = array.array("q", [*self._tokens[seat], *self._values[seat]]).tobytes()
        state = place(len(kept))
        state[:] = kept
        return state

    def restore(self, seat: int, state: memoryview) -> bool:
        kept = array.array("q", bytes(state)).tolist()
        count = len(kept) // 2
        if self._cells[seat]:
            raise RuntimeError(f"sequence {seat} is not empty")
        if count > self.total - self.used or self.refuses():
            return False
        self._tokens[seat], self._values[seat] = kept[:count], kept[count:]
        self._occupy(seat, count)
        return True
