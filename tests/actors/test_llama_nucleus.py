"""The sampler with a nucleus of our own chooses what llama.cpp's own chain chooses."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from numpy.typing import NDArray

from inferd_actors import engines
from inferd_actors.engines.llama_cpp.sampling import Bias, Draw, MinP, Nucleus, Penalties, Step, Temperature, TopP

if absent := engines.missing("llama_cpp"):
    pytest.skip(f"not installed: {', '.join(absent)}", allow_module_level=True)

from inferd_actors.engines.llama_cpp.library import Sampler
from inferd_actors.engines.llama_cpp.library import sampler as door
from inferd_actors.engines.llama_cpp.library.binding import lib

VOCABULARY = 5_000
PLANS: list[tuple[Step, ...]] = [
    (Nucleus(0.9), Temperature(1.0), Draw(11)),
    (Nucleus(0.5), MinP(0.05), Temperature(0.7), Draw(12)),
    (Nucleus(0.999), Temperature(1.5), Draw(13)),
    (Bias(((3, 5.0), (4, -100.0))), Penalties(64, 1.3, 0.2, 0.1), Nucleus(0.95), Temperature(1.0), Draw(14)),
]


def plain(steps: tuple[Step, ...], rows: list[NDArray[np.float32]]) -> list[int]:
    """Return what the library's own steps choose, one after the other, from all tokens."""
    own = [TopP(step.p) if isinstance(step, Nucleus) else step for step in steps]
    chain, chosen = door._chain(own, VOCABULARY), []
    for logits in rows:
        everything = door._candidates(np.arange(VOCABULARY, dtype=np.int32), logits)
        array = door._as_array(everything, is_sorted=False)
        lib.llama_sampler_apply(chain, ctypes.byref(array))
        chosen.append(int(array.data[array.selected].id))
        lib.llama_sampler_accept(chain, chosen[-1])
    lib.llama_sampler_free(chain)
    return chosen


@pytest.mark.parametrize("spread", [0.5, 2.0, 6.0])
@pytest.mark.parametrize("steps", PLANS)
def test_our_nucleus_draws_the_library_s_tokens(steps: tuple[Step, ...], spread: float) -> None:
    """The library sums in 32 bits: of thousands of tokens its cut is one or two off, which may move a draw to the next one."""
    numbers = np.random.default_rng(1)
    rows = [(spread * numbers.standard_normal(VOCABULARY)).astype(np.float32) for _ in range(40)]
    sampler = Sampler(steps, VOCABULARY)
    ours = [sampler.choose(None, 0, logits) for logits in rows]
    sampler.close()
    theirs = plain(steps, rows)
    ranks = [np.argsort(np.argsort(-logits, kind="stable")) for logits in rows]
    apart = [abs(int(rank[one] - rank[two])) for rank, one, two in zip(ranks, ours, theirs, strict=True)]
    assert apart.count(0) >= 36
    assert max(apart) <= 1
