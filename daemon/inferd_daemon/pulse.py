"""Whether processes that have work get on with it: when one is suspected, asked, and given up. Pure; time comes in.

Covers: any hang, whether the engine's loop goes round or not. Sockets and life signs prove a process, steps prove an engine: a
thread that waits for ever for a GPU, or a loop that has lost a request, gives signs all the same. Does not cover loads
(`lifecycle` has a clock for their progress) nor requests that one stream lost while others get on: their deadlines end those.

1. An engine's counter of steps stands still while its process has requests: for longer than its own slowest step lets expect,
   it is suspected.
2. A suspect is asked for its counters (`ask_stats`). A step made since clears it; so does `due` = 0, for what it has waits
   for apps: windows are full, streams are paused, nothing was fed. One that does not answer is no better than one that stands.
3. `STRIKES` in a row that clear nothing, and it is given up. Each costs `PROBE_S` of this clock, so a daemon that was itself
   held up accuses nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from inferd_daemon.ids import Life

QUIET_S: Final = 10.0
"""No step for so long is suspicious of any engine that has shown to be quick: ten life signs."""
FIRST_QUIET_S: Final = 30.0
"""The same before the first step of a life, when nothing is known: a chunk of 256 tokens takes 26 s at 10 tokens/s, what a
large model reads on a slow machine."""
LONGEST_QUIET_S: Final = 60.0
"""Of any engine, however slow it was once: one bad minute of the machine must not make a hang invisible."""
SLOWER: Final = 4.0
"""Times its slowest step: neighbours took three quarters of the speed of two threads that spin (`threads`)."""
PROBE_S: Final = 5.0
"""Between two questions. With three strikes 25 s pass until a quick engine is given up: longer than the 22 s that a prompt may
take whose chat template's process is started anew on the way (`template`)."""
STRIKES: Final = 3


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask this process for its counters; answered by `Pulses.answered`, or not at all."""

    life: Life


@dataclass(frozen=True, slots=True)
class GiveUp:
    """This process has work and does not do it."""

    life: Life
    reason: str


Verdict = Ask | GiveUp


@dataclass(slots=True)
class _Pulse:
    """What is known of one process."""

    moved_s: float
    """When its steps last moved, or its work began."""
    due_s: float
    """When it is suspected, or asked again."""
    steps: int = 0
    slowest_s: float = 0.0
    """Longest that its steps took while it had work; 0: it has made none."""
    strikes: int = 0
    silences: int = 0
    """Strikes that were no answer."""
    is_asked: bool = False

    @property
    def patience_s(self) -> float:
        if not self.slowest_s:
            return FIRST_QUIET_S
        return min(LONGEST_QUIET_S, max(QUIET_S, SLOWER * self.slowest_s))

    def clear(self, now_s: float) -> None:
        """Begin to wait anew."""
        self.moved_s = now_s
        self.due_s = now_s + self.patience_s
        self.strikes = self.silences = 0
        self.is_asked = False


class Pulses:
    """All processes that serve requests. `inflight(life)`: how many one has; without any it is not looked at."""

    def __init__(self, inflight: Callable[[Life], int]) -> None:
        self._inflight = inflight
        self._pulses: dict[Life, _Pulse] = {}

    def came(self, life: Life, now_s: float) -> None:
        """Know a process, on each connection anew."""
        self._pulses.setdefault(life, _Pulse(now_s, now_s + FIRST_QUIET_S))

    def gone(self, life: Life) -> None:
        """Forget a process."""
        self._pulses.pop(life, None)

    def began(self, life: Life, now_s: float) -> None:
        """It had nothing to do, and now it has."""
        pulse = self._pulses.get(life)
        if pulse is not None:
            pulse.clear(now_s)

    def moved(self, life: Life, steps: int, now_s: float) -> None:
        """It told how many steps it has made."""
        pulse = self._pulses.get(life)
        if pulse is None or pulse.steps == steps:
            return
        pulse.steps = steps
        if self._inflight(life):
            pulse.slowest_s = max(pulse.slowest_s, now_s - pulse.moved_s)
        pulse.clear(now_s)

    def answered(self, life: Life, steps: int, due: int, now_s: float) -> None:
        """It told its counters. `due`: requests that wait for nothing but its engine."""
        self.moved(life, steps, now_s)
        pulse = self._pulses.get(life)
        if pulse is None or not pulse.is_asked:
            return
        if not due:
            pulse.clear(now_s)
            return
        pulse.is_asked = False
        pulse.strikes += 1

    def patience_s(self, life: Life) -> float:
        """Return how long a step of it may take before that is suspicious."""
        pulse = self._pulses.get(life)
        return pulse.patience_s if pulse else FIRST_QUIET_S

    def look(self, now_s: float) -> list[Verdict]:
        """Return what is due: whom to ask, and whom to give up."""
        due = [(life, pulse) for life, pulse in self._pulses.items() if now_s >= pulse.due_s and self._inflight(life)]
        return [self._judged(life, pulse, now_s) for life, pulse in due]

    def _judged(self, life: Life, pulse: _Pulse, now_s: float) -> Verdict:
        if pulse.is_asked:
            pulse.strikes += 1
            pulse.silences += 1
        if pulse.strikes >= STRIKES:
            reason = _reason(pulse, self._inflight(life), now_s)
            pulse.clear(now_s)
            return GiveUp(life, reason)
        pulse.is_asked, pulse.due_s = True, now_s + PROBE_S
        return Ask(life)

    def next_timer_s(self) -> float | None:
        """Return when `look` is due; None: nobody works."""
        return min((pulse.due_s for life, pulse in self._pulses.items() if self._inflight(life)), default=None)


def _reason(pulse: _Pulse, inflight: int, now_s: float) -> str:
    answers = (
        f"asked {STRIKES} times, and it did not answer {pulse.silences} of them"
        if pulse.silences
        else (f"asked {STRIKES} times, and it answered that they wait for nothing but its engine")
    )
    requests = "a request" if inflight == 1 else f"{inflight} requests"
    return f"no step for {now_s - pulse.moved_s:.0f} s with {requests} in flight; {answers}"
