"""Models that are kept for whoever asked: holds, warm-ups, pins and wishes, in the loop.

The budget holds two echo models at a time; each is taken to need 96 MiB before it was ever loaded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from house import ABSENT, FILED, MODELS, Asked, House, Process, house

from inferd.errors import LoadFailed
from inferd.messages import operations as ops
from inferd.messages.events import (
    Cancelled,
    Error,
    Finished,
    HealthReport,
    Held,
    Loading,
    ModelList,
    Pinned,
    Released,
    Unloaded,
    WarmedUp,
)
from inferd.messages.operations import Operation
from inferd.messages.reports import Health, Model, Problem
from inferd_actors import messages as actors
from inferd_daemon.catalogue import ModelId
from inferd_daemon.ledger import KEEP_ALIVE_S, RAM, Need
from inferd_daemon.ledger.estimate import PROCESS_BYTES
from inferd_daemon.lifecycle.setbacks import DEATH_DELAY_S, MAX_DEATHS

ONE, TWO = MODELS
BUDGET = PROCESS_BYTES * 5 // 2


@pytest.fixture
def home() -> Iterator[House]:
    with house(BUDGET) as built:
        built.connect()
        built.keeper_comes()
        built.settle()
        yield built


def ask(home: House, operation: Operation | None = None, *, model: str = ONE, peer: bytes = b"app") -> Asked:
    asked = home.ask(operation, model=model, peer=peer)
    home.run(lambda: None)
    home.settle()
    return asked


def hold(home: House, *names: str, seconds: float = 60.0, peer: bytes = b"app") -> Asked:
    return ask(home, ops.Hold(names, seconds), peer=peer)


def held(home: House, *names: str, seconds: float = 60.0, peer: bytes = b"app") -> Held:
    """Have models held that load, if they are not there."""
    asked = hold(home, *names, seconds=seconds, peer=peer)
    for name in names:
        if not any(one.name == name and one.peer for one in home.processes.values()):
            home.load(name, slots=4)
    assert isinstance(asked.end, Held), asked.end
    return asked.end


def serve(home: House, model: str) -> None:
    asked = ask(home, model=model)
    if not any(one.name == model and one.peer for one in home.processes.values()):
        home.load(model, slots=4)
    home.finish(process := home.process(model), next(iter(process.streams)))
    home.settle()
    assert isinstance(asked.end, Finished)


def living(home: House) -> set[str]:
    return {one.name for one in home.processes.values()}


def gone(home: House, process: Process) -> None:
    home.obey(process)
    home.settle()


def row(home: House, model: str) -> Model:
    asked = home.ask(ops.ListModels())
    home.wait_until(lambda: bool(asked.ends))
    assert isinstance(asked.end, ModelList)
    return next(one for one in asked.end.models if one.id == model)


def refused(asked: Asked, code: str, *words: str) -> Error:
    end = asked.end
    assert isinstance(end, Error), end
    assert end.code == code
    for word in words:
        assert word in end.message
    return end


# --- holds


def test_a_hold_loads_its_models_tells_how_far_they_are_and_is_answered_once_all_are_ready(home: House) -> None:
    asked = hold(home, ONE, "two")
    home.load(ONE)
    assert not asked.ends
    assert any(isinstance(one.event, Loading) and one.event.model == ONE for one in asked.events)
    home.load(TWO)
    assert isinstance(asked.end, Held)
    assert (asked.end.models, asked.end.seconds) == ((ONE, TWO), 60.0)
    assert row(home, ONE).held_s == pytest.approx(60.0)


def test_a_held_model_stays_although_it_is_idle_and_another_needs_its_memory(home: House) -> None:
    held(home, ONE, TWO, seconds=3_600.0)
    home.peaks.known[FILED] = Need(PROCESS_BYTES, 1.0)
    waiting = ask(home, model=FILED)
    home.wait(KEEP_ALIVE_S + 1.0)
    assert living(home) == {ONE, TWO}
    assert not any(one.leaving for one in home.processes.values())
    assert not isinstance(waiting.events[-1].event, Finished)


def test_a_hold_that_does_not_fit_holds_nothing_loads_nothing_and_has_the_numbers(home: House) -> None:
    home.peaks.known[TWO] = Need(PROCESS_BYTES * 2, 1.0)
    end = refused(hold(home, ONE, TWO), "resource_blocked", "together")
    assert end.details is not None
    assert (end.details["need_bytes"], end.details["limit_bytes"]) == (PROCESS_BYTES * 3, BUDGET)
    assert living(home) == set()
    assert home.ledger.accounts.held_bytes(RAM) == 0


@pytest.mark.parametrize(
    ("names", "code"),
    [((ONE, "nobody"), "model_not_found"), ((ONE, ABSENT), "load_failed"), ((ONE, FILED), "load_failed")],
)
def test_a_hold_with_one_model_that_cannot_load_evicts_nobody_and_loads_nothing(
    home: House, names: tuple[str, ...], code: str
) -> None:
    home.corrupt = LoadFailed("cut off", details={"cause": "file_corrupt"})
    asked = home.ask(ops.Hold(names, 60.0))
    home.wait_until(lambda: bool(asked.ends))
    refused(asked, code)
    assert living(home) == set()
    assert home.ledger.accounts.held_bytes(RAM) == 0


def test_a_hold_one_of_whose_loads_fails_lets_go_of_all(home: House) -> None:
    asked = hold(home, ONE, TWO)
    home.load(ONE)
    home.greet(home.process(TWO))
    home.tell(home.process(TWO), actors.LoadFailed("engine", "it does not start"))
    home.settle()
    refused(asked, "load_failed", "it does not start")
    assert not home.ledger.accounts.held
    assert row(home, ONE).held_s == 0.0


def test_a_hold_ends_with_its_time_and_renewing_begins_it_anew(home: House) -> None:
    one = held(home, ONE, seconds=60.0)
    home.wait(50.0)
    again = ask(home, ops.RenewHold(one.hold, 30.0)).end
    assert isinstance(again, Held)
    assert again.seconds == 30.0
    home.wait(29.0)
    assert home.ledger.accounts.held
    home.wait(1.1)
    assert not home.ledger.accounts.held
    refused(ask(home, ops.RenewHold(one.hold, 30.0)), "invalid_request", "hold its models again")


def test_a_hold_ends_when_it_is_released_and_releasing_it_again_is_no_error(home: House) -> None:
    one = held(home, ONE)
    for was_held in (True, False):
        end = ask(home, ops.ReleaseHold(one.hold)).end
        assert end == Released(one.hold, was_held)
    assert not home.ledger.accounts.held


def test_a_hold_ends_when_its_app_goes_and_nobody_else_can_end_it(home: House) -> None:
    home.connect(b"voice", "voice")
    one = held(home, ONE, peer=b"voice")
    assert ask(home, ops.ReleaseHold(one.hold)).end == Released(one.hold, was_held=False)
    refused(ask(home, ops.RenewHold(one.hold, 1.0)), "invalid_request")
    refused(ask(home, ops.Unload(ONE)), "resource_blocked", "held by voice")
    home.leave(b"voice")
    home.settle()
    assert not home.ledger.accounts.held
    unload = ask(home, ops.Unload(ONE))
    gone(home, home.process(ONE))
    assert unload.end == Unloaded(ONE)


def test_a_hold_that_is_given_up_while_it_waits_takes_nobodys_memory(home: House) -> None:
    ask(home, model=ONE)
    home.load(ONE)
    home.peaks.known[TWO] = Need(PROCESS_BYTES * 2, 1.0)
    asked = hold(home, TWO)
    assert not asked.ends
    home.cancel(2)
    home.settle()
    assert asked.end == Cancelled("app")
    home.finish(process := home.process(ONE), next(iter(process.streams)))
    home.settle()
    assert not home.process(ONE).leaving
    assert not home.ledger.accounts.waiting


def test_a_held_model_that_falls_is_loaded_again_into_the_memory_that_it_had(home: House) -> None:
    held(home, ONE, TWO, seconds=3_600.0)
    home.peaks.known[FILED] = Need(PROCESS_BYTES, 1.0)
    ask(home, model=FILED)
    fallen = home.process(ONE)
    home.die(fallen.life)
    home.keeper_says(actors.Died(fallen.life, "killed by signal 9"))
    home.settle()
    assert living(home) == {ONE, TWO}
    assert home.load(ONE).life != fallen.life


def test_a_held_model_that_failed_for_good_is_let_go_on_by_an_unload(home: House) -> None:
    held(home, ONE, seconds=3_600.0)
    for deaths in range(1, MAX_DEATHS + 1):
        life = home.process(ONE).life
        home.die(life)
        home.keeper_says(actors.Died(life, "killed by signal 9"))
        home.settle()
        home.wait(DEATH_DELAY_S * 2**deaths)
        if deaths < MAX_DEATHS:
            home.load(ONE)
    assert row(home, ONE).state == "failed"
    assert isinstance(ask(home, ops.Unload(ONE)).end, Unloaded)
    assert home.load(ONE).life, "its holder wants it still"


def test_two_holds_share_their_models(home: House) -> None:
    home.connect(b"voice", "voice")
    one = held(home, ONE, TWO)
    held(home, TWO, peer=b"voice", seconds=600.0)
    ask(home, ops.ReleaseHold(one.hold))
    assert home.ledger.accounts.leased == {ModelId.parse(TWO)}


# --- warm-ups


def test_a_warm_up_has_one_result_per_name_and_tells_how_far_loads_are(home: House) -> None:
    serve(home, ONE)
    asked = ask(home, ops.WarmUp((ONE, "two", "nobody", ABSENT)))
    home.load(TWO)
    end = asked.end
    assert isinstance(end, WarmedUp)
    assert [(one.name, one.model, one.ready, one.code) for one in end.results] == [
        (ONE, ONE, True, ""),
        ("two", TWO, True, ""),
        ("nobody", "", False, "model_not_found"),
        (ABSENT, ABSENT, False, "load_failed"),
    ]
    assert "inferd pull" in end.results[3].message
    assert any(isinstance(one.event, Loading) and one.event.model == TWO for one in asked.events)


def test_a_warm_up_keeps_a_load_that_its_last_request_leaves(home: House) -> None:
    busy = ask(home, model=ONE)
    home.load(ONE)
    home.peaks.known[TWO] = Need(PROCESS_BYTES * 2, 1.0)
    ask(home, model=TWO)
    asked = ask(home, ops.WarmUp((TWO,)))
    home.cancel(2)
    home.settle()
    home.finish(process := home.process(ONE), next(iter(process.streams)))
    home.settle()
    assert isinstance(busy.end, Finished)
    gone(home, home.process(ONE))
    home.load(TWO)
    assert isinstance(asked.end, WarmedUp)


def test_a_warm_up_that_is_cancelled_drops_a_load_that_nobody_else_waits_for(home: House) -> None:
    ask(home, model=ONE)
    home.load(ONE)
    home.peaks.known[TWO] = Need(PROCESS_BYTES * 2, 1.0)
    ask(home, ops.WarmUp((TWO,)))
    home.cancel(2)
    home.settle()
    assert not home.ledger.accounts.waiting


def test_a_warm_up_of_a_model_that_is_leaving_waits_for_its_next_life(home: House) -> None:
    serve(home, ONE)
    ask(home, ops.Unload(ONE))
    asked = ask(home, ops.WarmUp((ONE,)))
    gone(home, home.process(ONE))
    home.load(ONE)
    assert isinstance(asked.end, WarmedUp)
    assert asked.end.results[0].ready


def test_nothing_is_loaded_for_claims_once_the_daemon_ends(home: House) -> None:
    held(home, ONE)
    home.run(lambda: home.supervisor.end_all(home.clock[0]))
    home.settle()
    gone(home, home.process(ONE))
    home.wait(1.0)
    assert living(home) == set()


# --- pins


def test_a_pin_lasts_until_it_is_taken_back_and_is_in_the_state_directory(home: House) -> None:
    serve(home, ONE)
    asked = home.ask(ops.Pin("one"))
    home.wait_until(lambda: bool(asked.ends))
    assert asked.end == Pinned(ONE, pinned=True)
    assert json.loads(home.rows_file.with_name("pins.json").read_text()) == {"pinned": [ONE]}
    assert row(home, ONE).pinned
    home.wait(KEEP_ALIVE_S * 2)
    assert not home.process(ONE).leaving
    asked = home.ask(ops.Unpin(ONE))
    home.wait_until(lambda: bool(asked.ends))
    assert asked.end == Pinned(ONE, pinned=False)
    home.wait(1.0)
    assert home.process(ONE).leaving
    assert json.loads(home.rows_file.with_name("pins.json").read_text()) == {"pinned": []}


def test_a_pin_of_the_config_cannot_be_taken_back_and_says_where_it_stands() -> None:
    with house(pinned=(ModelId.parse(ONE),)) as home:
        home.connect()
        home.keeper_comes()
        home.settle()
        serve(home, ONE)
        asked = home.ask(ops.Unpin(ONE))
        home.wait_until(lambda: bool(asked.ends))
        refused(asked, "invalid_request", "memory.pinned")
        home.wait(KEEP_ALIVE_S * 2)
        assert not home.process(ONE).leaving


# --- how long requests wish a model to stay


def test_a_request_may_say_how_long_its_model_is_to_stay_after_it(home: House) -> None:
    home.ask(keep_alive_s=5.0)
    home.settle()
    process = home.load(ONE)
    home.finish(process, next(iter(process.streams)))
    home.settle()
    home.wait(4.9)
    assert not process.leaving
    home.wait(0.2)
    assert process.leaving


def test_a_model_that_nobody_wishes_to_stay_is_unloaded_once_it_is_idle(home: House) -> None:
    home.ask(keep_alive_s=0.0)
    home.ask(keep_alive_s=0.0)
    home.settle()
    process = home.load(ONE)
    for _ in range(2):
        assert not process.leaving
        home.finish(process, next(iter(process.streams)))
        home.settle()
    assert process.leaving


def test_a_wish_of_what_loads_no_model_is_refused(home: House) -> None:
    for operation in (ops.ListModels(), ops.Tokenize("x")):
        asked = home.ask(operation, keep_alive_s=1.0, model=FILED)
        home.settle()
        refused(asked, "invalid_request", "keep_alive_s")


# --- health


def health(home: House) -> Health:
    asked = ask(home, ops.Health())
    home.wait_until(lambda: bool(asked.ends))
    assert isinstance(asked.end, HealthReport)
    return asked.end.health


def test_health_tells_who_serves_what_and_that_nothing_is_broken(home: House) -> None:
    serve(home, ONE)
    found = health(home)
    assert (found.healthy, found.keeper, found.default_model, found.models_ready) == (True, "ready", ONE, 1)
    (generate,) = (one for one in found.coverage if one.capability == "generate")
    assert {ONE, TWO, ABSENT} <= set(generate.available)
    assert ABSENT not in generate.weights_ready
    assert found.memory_held_bytes == PROCESS_BYTES
    assert found.providers == ()


def test_health_tells_what_is_broken_first_and_what_to_do_about_it(home: House) -> None:
    home.faults.append(Problem("memory.pinned", "no model is called x", "correct it", broken=False))
    home.corrupt = LoadFailed("cut off", details={"cause": "file_corrupt"})
    asked = home.ask(model=FILED)
    home.wait_until(lambda: bool(asked.ends))
    found = health(home)
    assert not found.healthy
    assert found.problems[0].about == FILED
    assert "cut off" in found.problems[0].what
    assert "inferd pull" in found.problems[0].next
    assert [one.about for one in found.problems if not one.broken][-1] == "memory.pinned"
    assert [(one.model, one.state) for one in found.troubles] == [(FILED, "failed")]


def test_health_tells_that_the_keeper_is_away(home: House) -> None:
    home.keeper_falls()
    home.settle()
    home.cluster.state = "down"
    found = health(home)
    assert (found.healthy, found.problems[0].about) == (False, "keeper")
