"""How the next token is chosen: the plan of a sampler chain, made from a request and the model's defaults.

Covers: which steps, in which order, with which numbers. Does not cover building them: that is `library`. Pure.
The order is llama.cpp's own: bias, penalties, top_k, top_p, min_p, temperature, draw. top_k stands early because it leaves
40 candidates of a whole vocabulary to the later steps, which sort.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from inferd.errors import InvalidRequest
from inferd.messages.operations import Generate

PENALTY_WINDOW_TOKENS: Final = 64
"""How many of the answer's latest tokens the three penalties look at: llama.cpp's `repeat_last_n`."""
DIGITS: Final = 10
"""No vocabulary has a token number of more."""
GREEDY_BELOW: Final = 1e-6
"""Lower temperatures mean the likeliest token; dividing by them would pass the range of a 32-bit float."""
RANDOM_SEED: Final = 2**32 - 1
"""llama.cpp takes this seed for "choose one"; asked for by an app it must mean one fixed text like any other."""


@dataclass(frozen=True, slots=True)
class Penalties:
    """Make tokens of the latest `window_tokens` less likely."""

    window_tokens: int
    repeat: float
    frequency: float
    presence: float


@dataclass(frozen=True, slots=True)
class Bias:
    """Add to the logits of these tokens."""

    of_tokens: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class TopK:
    """Keep the k likeliest."""

    k: int


@dataclass(frozen=True, slots=True)
class TopP:
    """Keep the likeliest that together reach probability p."""

    p: float


@dataclass(frozen=True, slots=True)
class Nucleus:
    """`TopP` of the whole vocabulary: found by partial selection, since sorting 49,000 tokens takes 2 to 5 ms (measured)."""

    p: float


@dataclass(frozen=True, slots=True)
class MinP:
    """Keep those at least p times as likely as the likeliest."""

    p: float


@dataclass(frozen=True, slots=True)
class Temperature:
    """Sharpen (below 1) or flatten (above 1)."""

    temperature: float


@dataclass(frozen=True, slots=True)
class Draw:
    """Choose by chance, the same chance for the same seed."""

    seed: int


@dataclass(frozen=True, slots=True)
class Greedy:
    """Choose the likeliest."""


Step = Bias | Penalties | TopK | TopP | Nucleus | MinP | Temperature | Draw | Greedy


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds where a request says nothing; the figures are llama.cpp's (`common_params_sampling`)."""

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05


def defaults_of(metadata: Callable[[str], str | None]) -> Defaults:
    """Return the defaults that the model's file recommends in `general.sampling.*`, llama.cpp's where it is silent.

    A recommendation outside what a request may ask is ignored.
    """
    silent = Defaults()
    return Defaults(
        temperature=_recommended(metadata("general.sampling.temp"), 10.0, silent.temperature),
        top_k=int(_recommended(metadata("general.sampling.top_k"), 10_000_000, silent.top_k)),
        top_p=_recommended(metadata("general.sampling.top_p"), 1.0, silent.top_p),
        min_p=_recommended(metadata("general.sampling.min_p"), 1.0, silent.min_p),
    )


def _recommended(text: str | None, high: float, otherwise: float) -> float:
    try:
        value = float(text) if text is not None else otherwise
    except ValueError:
        return otherwise
    return value if 0 <= value <= high else otherwise


def plan(asked: Generate, defaults: Defaults, *, chance: int, vocabulary_size: int) -> tuple[Step, ...]:
    """Return the steps of the chain, the last one choosing. `chance`: the seed when the request names none.

    Raises InvalidRequest for a bias of something that is no token.
    """
    temperature = defaults.temperature if asked.temperature is None else asked.temperature
    penalties = (*_bias(asked, vocabulary_size), *_penalties(asked))
    if temperature < GREEDY_BELOW:
        return (*penalties, Greedy())
    seed = min(chance if asked.seed is None else asked.seed, RANDOM_SEED - 1)
    return (*penalties, *_cuts(asked, defaults), Temperature(temperature), Draw(seed))


def _bias(asked: Generate, vocabulary_size: int) -> tuple[Step, ...]:
    of_tokens = []
    for key, bias in (asked.logit_bias or {}).items():
        if not (key.isascii() and key.isdecimal() and int(key[:DIGITS]) < vocabulary_size and len(key) <= DIGITS):
            raise InvalidRequest(
                f"logit_bias: {key[:32]!r} is no token of this model, which has 0 to {vocabulary_size - 1:,}",
                details={"field": "body.logit_bias"},
            )
        of_tokens.append((int(key), bias))
    return (Bias(tuple(of_tokens)),) if of_tokens else ()


def _penalties(asked: Generate) -> tuple[Step, ...]:
    repeat, frequency, presence = asked.repeat_penalty, asked.frequency_penalty, asked.presence_penalty
    if (repeat, frequency, presence) == (1.0, 0.0, 0.0):
        return ()
    return (Penalties(PENALTY_WINDOW_TOKENS, repeat, frequency, presence),)


def _cuts(asked: Generate, defaults: Defaults) -> tuple[Step, ...]:
    top_k = defaults.top_k if asked.top_k is None else asked.top_k
    top_p = defaults.top_p if asked.top_p is None else asked.top_p
    min_p = defaults.min_p if asked.min_p is None else asked.min_p
    steps: list[Step] = []
    if top_k > 0:
        steps.append(TopK(top_k))
    if top_p < 1.0:
        steps.append(TopP(top_p) if top_k > 0 else Nucleus(top_p))
    if min_p > 0.0:
        steps.append(MinP(min_p))
    return tuple(steps)
