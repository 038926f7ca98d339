"""When a process that has work is suspected, asked and given up: nobody who gets on with it, everybody who does not."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd_daemon.ids import Life
from inferd_daemon.pulse import (
    FIRST_QUIET_S,
    LONGEST_QUIET_S,
    PROBE_S,
    QUIET_S,
    SLOWER,
    STRIKES,
    Ask,
    GiveUp,
    Pulses,
    Verdict,
)

LIFE = Life(1)
SIGN_S = 1.0


@dataclass
class Engine:
    """A process under watch: its clock moves from one moment that matters to the next."""

    step_s: float = float("inf")
    """Between two steps; infinite: it hangs."""
    due: int = 1
    answers: bool = True
    signs: bool = True
    now_s: float = 0.0
    inflight: int = 1
    asked: int = 0
    begun_s: float = 0.0
    """Since when it works at this pace."""
    made: int = 0
    """Steps before that."""
    given_up: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pulses = Pulses(lambda _life: self.inflight)
        self.pulses.came(LIFE, self.now_s)
        self.pulses.began(LIFE, self.now_s)

    @property
    def steps(self) -> int:
        return self.made + int((self.now_s - self.begun_s) / self.step_s)

    def goes_on(self, *, step_s: float) -> None:
        """Work at another pace from now on."""
        self.made, self.begun_s, self.step_s = self.steps, self.now_s, step_s

    def live(self, for_s: float) -> None:
        """Let so much time pass, or less if it is given up."""
        end_s = self.now_s + for_s
        while self.now_s < end_s and not self.given_up:
            due_s = self.pulses.next_timer_s() or end_s
            self.now_s = min(end_s, self.now_s + SIGN_S, max(self.now_s, due_s))
            if self.signs:
                self.pulses.moved(LIFE, self.steps, self.now_s)
            for verdict in self.pulses.look(self.now_s):
                self._take(verdict)

    def _take(self, verdict: Verdict) -> None:
        match verdict:
            case Ask():
                self.asked += 1
                if self.answers:
                    self.pulses.answered(LIFE, self.steps, self.due, self.now_s)
            case GiveUp(_, reason):
                self.given_up.append(reason)


@given(step_s=st.floats(0.01, FIRST_QUIET_S + (STRIKES - 1) * PROBE_S), signs=st.booleans())
def test_an_engine_that_makes_steps_is_never_given_up(step_s: float, *, signs: bool) -> None:
    engine = Engine(step_s, signs=signs)
    engine.live(300.0)
    assert engine.given_up == []


@given(answers=st.booleans(), signs=st.booleans(), step_s=st.floats(0.01, 5.0), worked_s=st.floats(0.0, 60.0))
def test_an_engine_that_stops_is_given_up_in_time(
    step_s: float, worked_s: float, *, answers: bool, signs: bool
) -> None:
    engine = Engine(step_s, signs=signs, answers=answers)
    engine.live(worked_s)
    engine.goes_on(step_s=float("inf"))
    stopped_s = engine.now_s
    engine.live(10_000.0)
    assert len(engine.given_up) == 1
    late_s = 0.0 if signs else LONGEST_QUIET_S  # without signs its last steps are heard of when it is next asked
    assert engine.now_s - stopped_s <= late_s + LONGEST_QUIET_S + STRIKES * PROBE_S + SIGN_S
    assert "did not answer" in engine.given_up[0] or answers


def test_a_quick_engine_is_given_up_sooner_than_one_whose_pace_is_not_known() -> None:
    quick, unknown = Engine(0.1), Engine()
    quick.live(20.0)
    quick.goes_on(step_s=float("inf"))
    for engine, quiet_s in ((quick, QUIET_S), (unknown, FIRST_QUIET_S)):
        began_s = engine.now_s
        engine.live(1_000.0)
        assert engine.now_s - began_s == pytest.approx(quiet_s + STRIKES * PROBE_S, abs=SIGN_S)


def test_a_slow_engine_is_not_even_asked_while_it_keeps_its_pace() -> None:
    engine = Engine(12.0)
    engine.live(13.0)
    asked = engine.asked
    engine.live(500.0)
    assert engine.asked == asked
    assert SLOWER * 12.0 < LONGEST_QUIET_S


def test_streams_that_wait_for_their_apps_are_no_hang() -> None:
    engine = Engine(due=0)
    engine.live(1_000.0)
    assert engine.given_up == []
    assert engine.asked > 10


def test_who_has_nothing_to_do_is_left_alone_and_begins_with_full_patience() -> None:
    engine = Engine(inflight=0)
    engine.live(1_000.0)
    assert (engine.asked, engine.pulses.next_timer_s()) == (0, None)
    engine.inflight = 1
    engine.pulses.began(LIFE, engine.now_s)
    engine.live(FIRST_QUIET_S - 1.0)
    assert engine.asked == 0


def test_a_clock_that_jumps_gives_nobody_up() -> None:
    engine = Engine(0.1)
    engine.live(5.0)
    engine.now_s += 10_000.0
    engine.live(100.0)
    assert engine.given_up == []


def test_a_process_that_is_gone_is_forgotten() -> None:
    engine = Engine()
    engine.pulses.gone(LIFE)
    engine.live(1_000.0)
    assert engine.asked == 0
