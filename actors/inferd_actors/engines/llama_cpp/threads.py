"""How many threads compute, by what else the machine does.

Covers: the decision. Why: ggml's threads wait for each other after every operation, so one that a neighbour keeps from its core
holds up all: on two cores two threads lose four fifths of their speed beside one busy process, one thread loses nothing. Alone,
one thread is half as fast. Readings: `machine`. Pure.

Prompts are another matter: their operations are long, and two threads read no slower than one beside one busy process (43
tokens in 164 and 180 ms on two cores, alone 89 and 172; beside two 240 and 187). And readings are of the past: in a turn by
voice ear, text and voice compute one after another, so what the ear took is free when the answer's prompt is to be read.
"""

from __future__ import annotations

from typing import Final, NamedTuple

LESS_ABOVE_CORES: Final = 0.5
"""Work of others from which a core is left to them: half a core is what a process gets beside two threads that spin."""
MORE_BELOW_CORES: Final = 0.3
"""Work of others below which a core that was left is taken back: the gap keeps the count from swinging."""


class Reading(NamedTuple):
    """Since some moment in the past, in seconds: on all cores together."""

    at_s: float
    busy_s: float
    """What anybody computed, or a hypervisor withheld."""
    own_s: float
    """What this process computed."""


def for_step(current: int, *, cores: int, reads_voice: bool) -> int:
    """Return the number of threads for a step. `current`: as chosen by readings. `reads_voice`: of a voice request's prompt."""
    return cores if reads_voice else current


def choose(before: Reading, now: Reading, *, cores: int, current: int) -> int:
    """Return the number of threads for the time to come. `cores`: those that this process may use."""
    wall_s = now.at_s - before.at_s
    if wall_s <= 0:
        return current
    others = max(0.0, (now.busy_s - before.busy_s) - (now.own_s - before.own_s)) / wall_s
    at_most, at_least = int(cores - others + LESS_ABOVE_CORES), int(cores - others + MORE_BELOW_CORES)
    if current > at_most:
        return max(1, at_most)
    return max(current, min(cores, at_least))
