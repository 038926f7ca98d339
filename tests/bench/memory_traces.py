"""Who asks for which model when: made-up days of a machine, each from a seed.

Covers: the kinds of traces and the models in them. Does not cover serving them: `memory_replay`. Four kinds, since policies
that are good at one are bad at another: `zipf` (some models are always more popular), `sessions` (apps come, use their few
models again and again, and go), `shift` (who is popular changes by the hour), `scan` (an app that goes through all models
beside the others). Popularity of things that people choose follows Zipf's law with an exponent near 1.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from memory_world import Kind

from inferd_daemon.catalogue.names import ModelId

GB: Final = 10**9
SIZES_GB: Final = (0.3, 0.4, 0.6, 1.0, 1.5, 2.0, 3.0, 4.5, 5.0, 8.0)
"""From an embedder and a voice to an 8B model with a long context."""
START_S: Final = 1.2
READ_BYTES_PER_S: Final = 1.5 * GB
"""A process with its libraries takes 1.2 s; weights come from a page cache or a fast disk."""
KINDS: Final[Mapping[ModelId, Kind]] = {
    ModelId("trace", f"m{size}", "x"): Kind(int(size * GB), START_S + size * GB / READ_BYTES_PER_S) for size in SIZES_GB
}
MODELS: Final = tuple(KINDS)

DAY_S: Final = 24 * 3600.0
BETWEEN_S: Final = 20.0
"""Mean time between two requests of the traces without sessions."""
RUN_S: Final = 3.0
"""Mean time that a request takes."""
HOUR_S: Final = 3600.0

APPS: Final[Sequence[tuple[int, ...]]] = ((1, 4, 2), (7,), (0, 3), (8,), (5, 0), (9,), (6, 1))
"""Models of each app: an assistant with three, a chat, an indexer with two, and so on."""
SESSION_S: Final = 240.0
TURN_S: Final = 15.0
BETWEEN_SESSIONS_S: Final = 120.0


@dataclass(frozen=True)
class Request:
    """One request."""

    at_s: float
    model: ModelId
    rank: int
    run_s: float


Trace = Sequence[Request]


def zipf_weights(n: int, exponent: float = 1.0) -> list[float]:
    """Return the shares of the first, second, … most popular of `n`."""
    return [1.0 / (place + 1) ** exponent for place in range(n)]


def _shuffled(dice: random.Random) -> list[ModelId]:
    return dice.sample(MODELS, len(MODELS))


def _arrivals(dice: random.Random, between_s: float) -> Iterator[float]:
    at_s = dice.expovariate(1 / between_s)
    while at_s < DAY_S:
        yield at_s
        at_s += dice.expovariate(1 / between_s)


def _request(dice: random.Random, at_s: float, model: ModelId, rank: int = 1) -> Request:
    return Request(at_s, model, rank, dice.expovariate(1 / RUN_S))


def zipf(seed: int) -> Trace:
    """Return independent requests; which model is the most popular depends on the seed."""
    dice = random.Random(seed)  # noqa: S311 - a repeatable story, not a secret
    models, weights = _shuffled(dice), zipf_weights(len(MODELS))
    return [_request(dice, at_s, dice.choices(models, weights)[0]) for at_s in _arrivals(dice, BETWEEN_S)]


def sessions(seed: int) -> Trace:
    """Return apps that come, take turns in which each of their models is asked once, and go."""
    dice = random.Random(seed)  # noqa: S311 - a repeatable story, not a secret
    apps, weights = dice.sample(APPS, len(APPS)), zipf_weights(len(APPS))
    requests = [
        _request(dice, at_s + place, MODELS[model], rank=dice.choice((0, 1, 1, 2)))
        for begin_s in _arrivals(dice, BETWEEN_SESSIONS_S)
        for app in dice.choices(apps, weights)
        for at_s in _turns(dice, begin_s)
        for place, model in enumerate(app)
    ]
    return sorted(requests, key=lambda one: one.at_s)


def _turns(dice: random.Random, begin_s: float) -> Iterator[float]:
    at_s, end_s = begin_s, begin_s + dice.expovariate(1 / SESSION_S)
    while at_s <= end_s:
        yield at_s
        at_s += dice.expovariate(1 / TURN_S)


def shift(seed: int) -> Trace:
    """Return independent requests whose popular models change every hour."""
    dice = random.Random(seed)  # noqa: S311 - a repeatable story, not a secret
    orders = [_shuffled(dice) for _ in range(int(DAY_S / HOUR_S) + 1)]
    weights = zipf_weights(len(MODELS), 1.3)
    return [
        _request(dice, at_s, dice.choices(orders[int(at_s / HOUR_S)], weights)[0])
        for at_s in _arrivals(dice, BETWEEN_S)
    ]


def scan(seed: int) -> Trace:
    """Return what `zipf` returns, and an app that asks every model once, every half hour, in the background."""
    dice = random.Random(seed)  # noqa: S311 - a repeatable story, not a secret
    rounds = [
        _request(dice, begin_s + 30.0 * place, model, rank=3)
        for begin_s in (HOUR_S / 2 * number for number in range(1, int(2 * DAY_S / HOUR_S)))
        for place, model in enumerate(_shuffled(dice))
    ]
    return sorted([*zipf(seed), *rounds], key=lambda one: one.at_s)


TRACES: Final[Mapping[str, Callable[[int], Trace]]] = {
    "zipf": zipf,
    "sessions": sessions,
    "shift": shift,
    "scan": scan,
}
