"""The model of the cache does what llama.cpp's own cache does, as far as the schedule relies on it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from cache_model import CacheModel, Piece

from inferd_actors import engines

if absent := engines.missing("llama_cpp"):
    pytest.skip(f"not installed: {', '.join(absent)}", allow_module_level=True)

from inferd_actors.engines.llama_cpp import library
from inferd_actors.engines.llama_cpp.shelf import Shelf

CELLS = 256
"""llama.cpp rounds smaller caches up to this."""
SEATS = 4
CLOSE = 0.5
"""Between logits: see `test_llama_batches`; those of another text are further away."""


@pytest.fixture(scope="module", params=["chat", "recurrent", "windowed"])
def model(request: pytest.FixtureRequest, tiny_models: Mapping[str, Path]) -> Iterator[library.Model]:
    library.open_library()
    model = library.Model(str(tiny_models[request.param]), gpu_layers=0, on_progress=lambda done: True)
    yield model
    model.close()


def open_context(model: library.Model) -> library.Context:
    return library.Context(model, cells=CELLS, seats=SEATS, batch_tokens=CELLS, threads=1)


class Pair:
    """Both caches, told the same."""

    def __init__(self, model: library.Model) -> None:
        self.can_trim = model.can_trim
        self.true = open_context(model)
        self.fake = CacheModel(total=CELLS, seats=SEATS, can_trim=model.can_trim)
        self.states: list[tuple[memoryview, memoryview]] = []

    def decode(self, seat: int, tokens: list[int]) -> np.ndarray[tuple[int], np.dtype[np.float32]] | None:
        start = self.fake.length(seat)
        try:
            self.fake.decode([Piece(seat, start, tokens, wants_logits=True)])
        except MemoryError:
            if self.can_trim:  # the others' cells are not counted by tokens
                with pytest.raises(MemoryError):
                    self.true.decode([library.Row(seat, start, tokens, wants_logits=True)])
            return None
        (at,) = self.true.decode([library.Row(seat, start, tokens, wants_logits=True)])
        return self.true.logits(at).copy()

    def disturb(self, chance: random.Random) -> None:
        """Do something with a sequence, in both."""
        seat, other = chance.sample(range(SEATS), 2)
        length = self.fake.length(seat)
        match chance.choice(["copy", "trim", "forget", "save", "restore"]):
            case "copy" if length and not self.fake.length(other):
                if self.can_trim:
                    count = chance.randint(1, length)
                    self.fake.copy(seat, other, count)
                    self.true.copy(seat, other, count)
                else:
                    self.fake.copy_all(seat, other)
                    self.true.copy_all(seat, other)
            case "trim" if length and self.can_trim:
                count = chance.randint(1, length)
                assert self.fake.trim(seat, count)
                assert self.true.trim(seat, count)
            case "forget":
                self.fake.forget(seat)
                self.true.forget(seat)
            case "save" if length:
                self.states.append((self.fake.save(seat, Shelf(0).place), self.true.save(seat, Shelf(0).place)))
            case "restore" if self.states and not length:
                fake, true = chance.choice(self.states)
                is_back = self.fake.restore(seat, fake)
                if is_back or self.can_trim:
                    assert self.true.restore(seat, true) is is_back


@pytest.mark.parametrize("seed", range(12))
def test_both_caches_hold_the_same_whatever_is_done_to_them(model: library.Model, seed: int) -> None:
    chance, pair, fresh = random.Random(seed), Pair(model), open_context(model)  # noqa: S311 - a game, not a secret
    for _ in range(30):
        pair.disturb(chance)
        seat = chance.randrange(SEATS)
        logits = pair.decode(seat, [chance.randrange(33, 127) for _ in range(chance.choice((1, 9, 60)))])
        assert [pair.true.length(one) for one in range(SEATS)] == [pair.fake.length(one) for one in range(SEATS)]
        if logits is not None:
            (at,) = fresh.decode([library.Row(0, 0, pair.fake.tokens(seat), wants_logits=True)])
            assert float(np.abs(fresh.logits(at) - logits).max()) < CLOSE
            fresh.forget(0)
    pair.true.close()
    fresh.close()


def test_only_a_cache_that_can_be_cut_says_that_it_was(model: library.Model) -> None:
    pair = Pair(model)
    pair.decode(0, list(range(40, 80)))
    assert pair.fake.trim(0, 20) is model.can_trim
    if model.can_trim:
        assert pair.true.trim(0, 20)
        assert pair.true.length(0) == 20
    pair.true.close()
