"""The process that stands by, in the daemon's loop: begun when it is quiet, given to the next load, first to leave."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from unittest import mock

import pytest
from house import FILE, FILED, HEADER, MODELS, Asked, House, Process, house

from inferd.messages import operations
from inferd.messages.events import Cancelled, Error, Finished, WarmedUp
from inferd.messages.schemas import ModelSchema
from inferd_actors import messages as actors
from inferd_actors.engines import missing
from inferd_actors.engines.llama_cpp.prediction import predict
from inferd_daemon.catalogue import STANDBY
from inferd_daemon.ledger import PROCESS_BYTES, Room
from inferd_daemon.orphans import PATIENCE_S
from inferd_daemon.pulse import LONGEST_QUIET_S
from inferd_daemon.standby import FIRST_PAUSE_S, QUIET_S, SPARE_TIMES, START_LIMIT_S

pytestmark = pytest.mark.skipif(bool(missing("llama_cpp")), reason="nothing to import, so nothing stands by")
GIB = 2**30
TIGHT = Room(64 * GIB, int(6.45 * GIB), 0)
"""Other programs leave 51 MiB above the tenth that is kept free."""


@pytest.fixture
def home() -> Iterator[House]:
    with house(wants_standby=True) as built:
        built.connect()
        built.keeper_comes()
        built.settle()
        yield built


def standbys(home: House) -> list[Process]:
    """Return the processes that have no model."""
    return [one for one in home.processes.values() if one.kind == "model" and not one.name]


def stands_by(home: House) -> Process:
    """Have one stand by."""
    home.wait(QUIET_S)
    (process,) = standbys(home)
    home.greet(process)
    home.settle()
    assert process.preparing
    home.tell(process, actors.Prepared())
    home.settle()
    return process


def _has_ended(one: Asked) -> bool:
    return bool(one.ends)


def held_bytes(home: House) -> int:
    return sum(one.held_bytes for one in home.ledger.accounts.holdings.values() if one.model == STANDBY)


def test_a_load_takes_the_process_that_stands_by_and_the_keeper_knows(home: House) -> None:
    process = stands_by(home)
    assert held_bytes(home) == PROCESS_BYTES
    asked = home.ask(model=FILED)
    home.wait_until(lambda: process.loading)
    assert (process.name, home.process(FILED), standbys(home), held_bytes(home)) == (FILED, process, [], 0)
    home.loaded(process)
    home.settle()
    home.finish(process, next(iter(process.streams)))
    home.settle()
    assert isinstance(asked.end, Finished)


def test_one_that_has_stood_by_for_long_is_not_taken_for_hung(home: House) -> None:
    process = stands_by(home)
    home.wait(10 * LONGEST_QUIET_S)
    asked = home.ask(model=FILED)
    home.wait_until(lambda: process.loading)
    home.loaded(process)
    home.settle()
    home.wait(1.0)
    assert process.life in home.processes
    home.finish(process, next(iter(process.streams)))
    home.settle()
    assert isinstance(asked.end, Finished)


def test_a_load_that_took_long_is_not_taken_for_hung_either(home: House) -> None:
    asked = home.ask()
    home.settle()
    process = home.process()
    home.greet(process)
    home.settle()
    for _ in range(4):
        home.wait(LONGEST_QUIET_S / 2)
        home.tell(process, actors.LoadProgress(0.5, "reading weights"))
        home.settle()
    home.loaded(process)
    home.settle()
    home.wait(1.0)
    assert process.life in home.processes
    assert asked.ends == []


def test_its_header_is_known_before_the_load(home: House) -> None:
    stands_by(home)
    home.wait_until(lambda: home.headers_read > 0)


OPENED_BYTES = predict(HEADER, {}).opened_bytes
OTHER, OTHER_FILE = "test/other:gguf", __file__


def load(home: House, model: str) -> Process:
    """Have a model loaded by a process of its own, and answer."""
    home.ask(model=model)
    home.wait_until(lambda: any(one.name == model for one in home.processes.values()))
    process = home.load(model)
    home.finish(process, next(iter(process.streams)))
    home.settle()
    return process


def use(home: House, model: str) -> None:
    """Have a model loaded, and leave again."""
    process = load(home, model)
    home.ask(operations.Unload(model))
    home.settle()
    home.obey(process)
    home.settle()


def told_to_open(home: House) -> Process:
    """Return the process that stands by next, once it was told what to open."""
    home.wait_until(lambda: bool(standbys(home)))
    (process,) = standbys(home)
    home.greet(process)
    home.settle()
    return process


def test_the_file_of_the_model_that_was_used_last_is_opened_and_its_memory_reserved(home: House) -> None:
    use(home, FILED)
    home.wait(QUIET_S)
    process = told_to_open(home)
    assert (process.opens, held_bytes(home)) == (FILE, PROCESS_BYTES + OPENED_BYTES)
    home.tell(process, actors.Prepared(is_open=True))
    home.settle()
    assert home.supervisor.standby_processes() == ((1, f"llama_cpp {FILED}"),)
    home.ask(model=FILED)
    home.wait_until(lambda: process.loading)
    assert held_bytes(home) == 0, "it is the model's now"


def test_what_it_did_not_open_is_not_reserved(home: House) -> None:
    use(home, FILED)
    home.wait(QUIET_S)
    process = told_to_open(home)
    home.tell(process, actors.Prepared(is_open=False))
    home.settle()
    assert held_bytes(home) == PROCESS_BYTES
    assert home.supervisor.standby_processes() == ((1, "llama_cpp"),)
    home.wait(10 * QUIET_S)
    assert standbys(home) == [process]


def test_a_file_whose_model_is_removed_is_open_no_longer(home: House) -> None:
    home.store.stored.add(OTHER)
    registered = home.ask(operations.Register(ModelSchema(OTHER, engine="llama_cpp", file=OTHER_FILE)))
    home.wait_until(partial(_has_ended, registered))
    use(home, OTHER)
    home.wait(QUIET_S)
    process = told_to_open(home)
    assert process.opens == OTHER_FILE
    home.tell(process, actors.Prepared(is_open=True))
    home.settle()
    removed = home.ask(operations.Unregister(OTHER))
    home.wait_until(partial(_has_ended, removed))
    home.wait(1.0)
    assert process.life not in home.processes


def test_nothing_is_opened_where_that_would_take_much_of_what_is_free(home: House) -> None:
    use(home, FILED)
    home.room = Room(64 * GIB, int(6.4 * GIB) + PROCESS_BYTES + (SPARE_TIMES - 1) * OPENED_BYTES, 0)
    home.wait(QUIET_S)
    assert told_to_open(home).opens == ""
    assert held_bytes(home) == PROCESS_BYTES


def test_of_two_models_it_opens_the_one_that_is_not_loaded_and_another_one_takes_its_place_for_the_other(
    home: House,
) -> None:
    home.store.stored.add(OTHER)
    registered = home.ask(operations.Register(ModelSchema(OTHER, engine="llama_cpp", file=OTHER_FILE)))
    home.wait_until(partial(_has_ended, registered))
    use(home, OTHER)
    process = load(home, FILED)
    home.wait(QUIET_S)
    earlier = told_to_open(home)
    assert earlier.opens == OTHER_FILE
    home.tell(earlier, actors.Prepared(is_open=True))
    home.settle()
    home.ask(operations.Unload(FILED))
    home.settle()
    home.obey(process)
    home.settle()
    home.wait(QUIET_S)
    home.wait(FIRST_PAUSE_S)
    later = told_to_open(home)
    assert (later.opens, earlier.life in home.processes) == (FILE, False)


def test_another_stands_by_once_there_is_a_model_for_it_and_it_is_quiet(home: House) -> None:
    first = stands_by(home)
    home.ask(model=FILED)
    home.wait_until(lambda: first.loading)
    home.loaded(first)
    home.settle()
    home.finish(first, next(iter(first.streams)))
    home.wait(QUIET_S)
    assert standbys(home) == [], "the only model of this engine is loaded"
    home.ask(operations.Unload(FILED))
    home.settle()
    home.obey(first)
    home.settle()
    assert stands_by(home).life != first.life


VOICE = "test/voice:onnx"


@pytest.mark.parametrize("has_another", [False, True], ids=["nothing else to load", "another one to load"])
def test_one_of_another_engine_takes_its_place_only_if_that_could_be_of_use(home: House, *, has_another: bool) -> None:
    if missing("piper"):
        pytest.skip("piper is not installed")
    process = stands_by(home)
    for name in (VOICE, "test/voice:second")[: 1 + has_another]:
        home.store.stored.add(name)
        registered = home.ask(operations.Register(ModelSchema(name, engine="piper", file=FILE)))
        home.wait_until(partial(_has_ended, registered))
    home.header = replace(HEADER, architecture="piper")
    warmed = home.ask(operations.WarmUp((VOICE,)))
    home.wait_until(lambda: any(one.name == VOICE for one in home.processes.values()))
    home.load(VOICE)
    assert isinstance(warmed.end, WarmedUp)
    home.wait(QUIET_S)
    home.wait(FIRST_PAUSE_S)
    (stands,) = standbys(home)
    assert (stands.life != process.life) == has_another


def test_none_begins_while_a_request_runs(home: House) -> None:
    home.ask()
    home.settle()
    process = home.load()
    home.wait(10 * QUIET_S)
    assert standbys(home) == []
    home.finish(process, next(iter(process.streams)))
    home.settle()
    assert stands_by(home).life > process.life


def test_questions_about_the_service_do_not_keep_one_from_beginning(home: House) -> None:
    for _ in range(10):
        home.wait(QUIET_S / 4)
        home.ask(operations.ListModels())
        home.settle()
    assert standbys(home)


def test_none_begins_when_memory_is_short(home: House) -> None:
    home.room = TIGHT
    home.wait(QUIET_S)
    assert standbys(home) == []
    home.room = Room(64 * GIB, 60 * GIB, 0)
    home.wait(FIRST_PAUSE_S)
    assert standbys(home)


def test_it_ends_first_when_memory_becomes_short(home: House) -> None:
    home.ask()
    home.settle()
    busy = home.load()
    home.finish(busy, next(iter(busy.streams)))
    home.settle()
    process = stands_by(home)
    needed = home.ledger.accounts.holdings[home.catalogue.find(MODELS[0]).id].held_bytes
    home.room = Room(64 * GIB, int(6.4 * GIB) + int(1.3 * needed), 0)
    home.run(lambda: home.supervisor.measured({}, home.clock[0]))
    home.settle()
    assert process.life not in home.processes
    assert busy.life in home.processes
    assert not busy.leaving
    assert held_bytes(home) == 0


def test_a_load_that_needs_its_memory_has_it(home: House) -> None:
    process = stands_by(home)
    home.room = Room(64 * GIB, int(6.4 * GIB) + int(1.3 * PROCESS_BYTES), 0)
    home.ask()
    home.settle()
    assert process.life not in home.processes
    assert home.process(MODELS[0]).life > process.life


def test_a_model_of_another_engine_begins_a_process_of_its_own(home: House) -> None:
    process = stands_by(home)
    home.ask()
    home.settle()
    assert home.process().life != process.life
    assert standbys(home) == [process]


def test_none_begins_beside_what_an_earlier_daemon_left_and_the_one_that_does_is_taken() -> None:
    with house(wants_standby=True) as home:
        home.connect()
        home.processes[7] = Process(7, MODELS[1], "secret of an earlier daemon")
        home.keeper_hears = False
        home.keeper_comes()
        home.settle()
        home.wait(QUIET_S)
        assert standbys(home) == []
        home.keeper_hears = True
        home.wait(PATIENCE_S - QUIET_S)
        process = stands_by(home)
        home.ask(model=FILED)
        home.wait_until(lambda: process.loading)


def test_a_bug_in_its_decisions_costs_nobody_anything(home: House) -> None:
    with mock.patch.object(home.supervisor.steward, "stand_by", side_effect=ZeroDivisionError):
        home.wait(QUIET_S)
        home.ask(operations.Why(FILED))
        home.settle()
        assert home.asked[0].ends


@pytest.mark.parametrize("by_keeper", [True, False])
def test_its_death_harms_nobody(home: House, *, by_keeper: bool) -> None:
    process = stands_by(home)
    home.die(process.life)
    if by_keeper:
        home.keeper_says(actors.Died(process.life, "killed by signal 9"))
    home.settle()
    assert held_bytes(home) == 0 or not by_keeper
    asked = home.ask(model=FILED)
    home.wait_until(lambda: any(one.name == FILED for one in home.processes.values()))
    serve(home)
    assert isinstance(asked.end, Finished)


def test_its_death_in_the_midst_of_a_load_costs_the_load_a_new_process_and_no_more(home: House) -> None:
    process = stands_by(home)
    asked = home.ask(model=FILED)
    home.wait_until(lambda: process.loading)
    home.die(process.life)
    home.keeper_says(actors.Died(process.life, "killed by signal 9"))
    home.wait_until(lambda: any(one.name == FILED for one in home.processes.values()))
    serve(home)
    assert isinstance(asked.end, Finished)


def serve(home: House) -> None:
    """Have the model loaded by a process of its own, and its request answered."""
    process = home.load(FILED)
    home.finish(process, next(iter(process.streams)))
    home.settle()


def test_a_model_that_cannot_be_loaded_is_told_so_although_its_process_stood_by(home: House) -> None:
    process = stands_by(home)
    asked = home.ask(model=FILED)
    home.wait_until(lambda: process.loading)
    home.tell(process, actors.LoadFailed("file_corrupt", "no such tensor"))
    home.settle()
    assert isinstance(asked.end, Error)
    assert asked.end.code == "load_failed"


def test_one_that_cannot_import_ends_and_is_not_tried_again_at_once(home: House) -> None:
    home.wait(QUIET_S)
    (process,) = standbys(home)
    home.greet(process)
    home.settle()
    home.tell(process, actors.LoadFailed("engine", "no such library"))
    home.settle()
    assert process.life not in home.processes
    home.wait(FIRST_PAUSE_S - 1.0)
    assert standbys(home) == []
    home.wait(1.0)
    assert standbys(home)


@pytest.mark.parametrize("says_hello", [True, False])
def test_one_that_hangs_while_it_starts_ends_and_gives_its_memory_back(home: House, *, says_hello: bool) -> None:
    home.wait(QUIET_S)
    (process,) = standbys(home)
    if says_hello:
        home.greet(process)
        home.settle()
    home.wait(START_LIMIT_S - 1.0)
    assert standbys(home) == [process]
    home.wait(1.0)
    assert (standbys(home), held_bytes(home)) == ([], 0)
    home.wait(FIRST_PAUSE_S)
    assert len(standbys(home)) == 1


def test_with_a_new_keeper_it_begins_anew(home: House) -> None:
    earlier = stands_by(home)
    home.keeper_falls()
    home.settle()
    assert held_bytes(home) == 0
    home.keeper_comes()
    home.settle()
    assert stands_by(home).life != earlier.life


def test_one_of_an_earlier_daemon_is_ended(home: House) -> None:
    home.processes[3] = Process(3, "", "secret-of-3")
    home.keeper_comes()
    home.settle()
    assert 3 not in home.processes


def test_it_ends_with_the_daemon(home: House) -> None:
    process = stands_by(home)
    home.run(lambda: home.supervisor.end_all(home.clock[0]))
    home.settle()
    assert process.life not in home.processes
    home.wait(10 * QUIET_S)
    assert standbys(home) == []


def test_a_request_that_is_given_up_leaves_the_load_its_process(home: House) -> None:
    process = stands_by(home)
    asked = home.ask(model=FILED)
    home.wait_until(lambda: process.loading)
    home.cancel(next(iter(home.apps[b"app"])))
    home.settle()
    assert isinstance(asked.end, Cancelled)
    assert home.process(FILED) is process
