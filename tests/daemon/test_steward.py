"""Memory in the daemon's loop: loads wait for it, models leave for it, and everybody hears why.

The budget holds one echo model at a time; each is taken to need 96 MiB before it was ever loaded.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from unittest import mock

import pytest
from house import MODELS, Asked, House, Process, house

from inferd.messages import operations
from inferd.messages.events import Cancelled, Error, Finished, Loading, PreflightReport, WhyReport
from inferd.messages.reports import Preflight
from inferd_actors import messages as actors
from inferd_daemon.ledger import KEEP_ALIVE_S, RAM, Amount, Need, Room
from inferd_daemon.ledger.estimate import PROCESS_BYTES

ONE, TWO = MODELS
BUDGET = PROCESS_BYTES * 3 // 2
GIB = 2**30
ROOMY = Room(64 * GIB, 60 * GIB, 0)
TIGHT = Room(64 * GIB, int(6.45 * GIB), 0)
"""Other programs leave 51 MiB above the tenth that is kept free."""


@pytest.fixture
def home() -> Iterator[House]:
    with house(BUDGET) as built:
        built.connect()
        built.keeper_comes()
        built.settle()
        yield built


def ask(home: House, model: str) -> Asked:
    asked = home.ask(model=model)
    home.settle()
    return asked


def serve(home: House, model: str) -> Asked:
    """Have a model loaded, and its request answered."""
    asked = ask(home, model)
    process = home.load(model)
    home.finish(process, next(iter(process.streams)))
    home.settle()
    assert isinstance(asked.end, Finished)
    return asked


def ends(home: House, process: Process) -> None:
    home.obey(process)
    home.settle()


def leaves(home: House, model: str) -> bool:
    return home.process(model).leaving


def measure(home: House, model: str, used_bytes: int) -> None:
    home.run(lambda: home.supervisor.measured({home.catalogue.find(model).id: Amount(used_bytes)}, home.clock[0]))


def living(home: House) -> list[str]:
    return [one.name for one in home.processes.values()]


def why(home: House, model: str) -> WhyReport:
    asked = home.ask(operations.Why(model))
    home.settle()
    assert isinstance(asked.end, WhyReport)
    return asked.end


def preflight(home: House, model: str, context_tokens: int | None = None) -> Preflight:
    asked = home.ask(operations.Preflight(model, context_tokens))
    home.settle()
    assert isinstance(asked.end, PreflightReport)
    return asked.end.preflight


def test_preflight_tells_how_a_load_would_be_judged_and_changes_nothing(home: House) -> None:
    fits = preflight(home, ONE)
    assert (fits.verdict, fits.basis, fits.estimate_bytes) == ("fits", "guess", PROCESS_BYTES)
    assert (fits.resident_bytes, fits.limit_bytes, fits.free_bytes) == (0, BUDGET, BUDGET)
    serve(home, ONE)
    after = preflight(home, TWO)
    assert (after.verdict, after.evicted) == ("fits_after_eviction", (ONE,))
    assert after.resident_bytes == PROCESS_BYTES
    assert preflight(home, ONE).verdict == "resident"
    ask(home, ONE)
    assert preflight(home, TWO).verdict == "waits"
    home.peaks.known[TWO] = Need(2 * BUDGET, 1.0)
    large = preflight(home, TWO)
    assert (large.verdict, large.basis, large.estimate_bytes) == ("too_large", "learned", 2 * BUDGET)
    assert living(home) == [ONE]


def shown(asked: Asked) -> list[str]:
    return [one.event.phase for one in asked.events if isinstance(one.event, Loading)]


def test_a_load_begins_once_the_idle_model_that_leaves_for_it_is_gone(home: House) -> None:
    serve(home, ONE)
    asked = ask(home, TWO)
    assert living(home) == [ONE]
    assert leaves(home, ONE)
    assert any("leaves for it" in text for text in shown(asked))
    ends(home, home.process(ONE))
    assert living(home) == [TWO]
    home.load(TWO)
    assert home.process(TWO).streams


def test_a_model_in_use_stays_and_goes_on_serving_while_another_waits_for_its_memory(home: House) -> None:
    first = ask(home, ONE)
    process = home.load(ONE, slots=4)
    waiting = ask(home, TWO)
    second = ask(home, ONE)
    assert len(process.streams) == 2
    assert not process.leaving
    assert any("are in use" in text for text in shown(waiting))
    for stream in tuple(process.streams):
        home.finish(process, stream)
    home.settle()
    assert [type(one.end) for one in (first, second)] == [Finished, Finished]
    ends(home, process)
    assert living(home) == [TWO]


def test_a_load_that_nobody_waits_for_any_more_takes_nobodys_memory(home: House) -> None:
    ask(home, ONE)
    process = home.load(ONE)
    waiting = ask(home, TWO)
    home.cancel(2)
    home.settle()
    assert isinstance(waiting.end, Cancelled)
    home.finish(process, next(iter(process.streams)))
    home.settle()
    assert not process.leaving
    assert living(home) == [ONE]


def test_what_never_fits_is_refused_with_the_numbers_and_what_would_help() -> None:
    with house(PROCESS_BYTES // 2) as home:
        home.connect()
        home.keeper_comes()
        end = ask(home, ONE).end
        assert isinstance(end, Error)
        assert (end.code, end.retryable) == ("resource_blocked", False)
        assert end.details is not None
        assert (end.details["need_bytes"], end.details["limit_bytes"]) == (PROCESS_BYTES, PROCESS_BYTES // 2)
        assert "memory.budget_bytes" in end.message
        (refusal,) = why(home, ONE).decisions
        assert (refusal.kind, refusal.app, refusal.limit_bytes) == ("refusal", "app", PROCESS_BYTES // 2)


def test_memory_that_other_programs_hold_is_waited_for_and_then_refused_for_now(home: House) -> None:
    home.room = TIGHT
    asked = ask(home, ONE)
    assert any("other programs" in text for text in shown(asked))
    home.wait(11.0)
    assert isinstance(asked.end, Error)
    assert (asked.end.code, asked.end.retryable) == ("resource_blocked", True)
    home.room = ROOMY
    serve(home, ONE)


def test_memory_that_comes_back_in_time_is_used(home: House) -> None:
    home.room = TIGHT
    ask(home, ONE)
    home.room = ROOMY
    home.wait(5.0)
    assert living(home) == [ONE]


def test_idle_models_leave_when_other_programs_need_the_memory(home: House) -> None:
    serve(home, ONE)
    home.room = TIGHT
    home.run(lambda: home.supervisor.measured({}, home.clock[0]))
    home.settle()
    assert leaves(home, ONE)
    assert why(home, ONE).decisions[-1].kind == "eviction"


def test_an_idle_model_leaves_after_its_keep_alive_and_not_before(home: House) -> None:
    serve(home, ONE)
    home.wait(KEEP_ALIVE_S - 1.0)
    assert not leaves(home, ONE)
    home.wait(1.1)
    assert leaves(home, ONE)
    assert "keep-alive" in why(home, ONE).decisions[-1].rule


def test_what_was_learned_of_a_model_counts_more_than_the_estimate(home: House) -> None:
    home.peaks.known[TWO] = Need(PROCESS_BYTES // 4, 0.1)
    serve(home, ONE)
    ask(home, TWO)
    assert sorted(living(home)) == [ONE, TWO]
    assert not leaves(home, ONE)


def test_a_measured_use_is_learned(home: House) -> None:
    serve(home, ONE)
    measure(home, ONE, PROCESS_BYTES + 5)
    assert home.peaks.known[ONE].peak_bytes == PROCESS_BYTES + 5
    assert home.ledger.accounts.held_bytes(RAM) == PROCESS_BYTES + 5


def test_what_is_seen_in_the_midst_of_a_load_is_not_learned(home: House) -> None:
    """It would be too little, and the next load would begin beside others without there being room for it."""
    ask(home, ONE)
    began_s = home.clock[0]
    home.clock[0] += 1.0
    process = home.load(ONE)
    home.run(lambda: home.supervisor.measured({home.catalogue.find(ONE).id: Amount(5)}, began_s))
    home.finish(process, next(iter(process.streams)))
    home.ask(operations.Unload(ONE))
    home.settle()
    ends(home, process)
    assert home.peaks.known == {}


def test_a_model_that_dies_gives_its_memory_to_who_waits(home: House) -> None:
    ask(home, ONE)
    process = home.load(ONE)
    ask(home, TWO)
    home.die(process.life)
    home.keeper_says(actors.Died(process.life, "killed by signal 9"))
    home.settle()
    assert living(home) == [TWO]


def test_a_model_in_use_yields_after_its_turn_and_its_requests_wait_for_its_next_life(home: House) -> None:
    ask(home, ONE)
    process = home.load(ONE, slots=4)
    waiting = ask(home, TWO)
    home.wait(120.0)
    late = ask(home, ONE)
    assert len(process.streams) == 1, "a request was given to a model that leaves"
    assert not process.leaving
    home.finish(process, next(iter(process.streams)))
    home.settle()
    ends(home, process)
    other = home.load(TWO)
    home.finish(other, next(iter(other.streams)))
    home.settle()
    assert isinstance(waiting.end, Finished)
    ends(home, other)
    process = home.load(ONE)
    home.finish(process, next(iter(process.streams)))
    home.settle()
    assert isinstance(late.end, Finished)


def test_a_batch_of_facts_has_one_clock(home: House) -> None:
    """Else a later fact of the batch would come before an earlier one, for the ledger and the lives of models."""
    home.peaks.known[ONE] = Need(2 * BUDGET, 1.0)
    home.ask(model=ONE)
    home.wires()
    report = home.ask(operations.Why(ONE))
    home.wires()
    ticks = itertools.count(int(home.clock[0]) + 1)
    with mock.patch("time.monotonic", side_effect=lambda: float(next(ticks))):
        home.loop()
    home.settle()
    assert isinstance(report.end, WhyReport)
    assert [one.age_s for one in report.end.decisions] == [0.0]


@pytest.mark.parametrize(("engine", "fits"), [("llama_cpp", True), ("faster_whisper", False), ("piper", False)])
def test_a_process_without_a_model_reserves_what_its_engines_libraries_take(engine: str, *, fits: bool) -> None:
    with house(PROCESS_BYTES) as home:
        begins = [False]
        home.run(lambda: begins.append(home.supervisor.steward.stand_by(engine, 0, home.clock[0])))
        assert begins[-1] == fits
        assert home.ledger.accounts.held_bytes(RAM) == (PROCESS_BYTES if fits else 0)


def test_why_of_an_unknown_model_says_which_are_near(home: House) -> None:
    asked = home.ask(operations.Why("test/onee:echo"))
    home.settle()
    assert isinstance(asked.end, Error)
    assert asked.end.code == "model_not_found"
