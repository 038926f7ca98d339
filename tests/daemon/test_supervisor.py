"""The loop's rooms together with the switchboard, in the accidents that are hard to bring about with real processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from unittest import mock

import pytest
from house import ABSENT, FILED, HEADER, MODELS, House, Process, house

from inferd.errors import LoadFailed
from inferd.messages import control, operations
from inferd.messages.events import Cancelled, Error, Finished, Pulled, StatusReport, Unloaded, WhyReport
from inferd_actors import messages as actors
from inferd_actors.engines.llama_cpp.prediction import predict
from inferd_daemon import crossing
from inferd_daemon.ledger import Need, Room
from inferd_daemon.ledger.estimate import PROCESS_BYTES
from inferd_daemon.lifecycle import State
from inferd_daemon.orphans import PATIENCE_S
from inferd_daemon.pulse import FIRST_QUIET_S, PROBE_S, STRIKES

GIB = 2**30


@pytest.fixture
def home() -> Iterator[House]:
    with house() as built:
        built.connect()
        built.keeper_comes()
        built.settle()
        yield built


def _empty(home: House) -> bool:
    waiting = home.requests.work.waiting("all")
    sessions, streams, _ = home.board.counts
    return (len(home.requests.work), waiting.count, waiting.size_bytes, streams, sessions) == (
        0,
        0,
        0,
        0,
        len(home.apps),
    )


def _running(home: House, *, slots: int = 1) -> actors.Submit:
    """Have one request run; return what its actor was told."""
    home.ask()
    home.settle()
    process = home.load(slots=slots)
    (submit,) = process.streams.values()
    return submit


def test_a_request_loads_its_model_and_ends_once(home: House) -> None:
    submit = _running(home)
    home.finish(home.process(), submit.stream)
    home.settle()
    assert [type(one.end) for one in home.asked] == [Finished]
    assert _empty(home)


# --- cancel


def test_a_cancel_that_crosses_the_dispatch_reaches_the_actor(home: House) -> None:
    first = _running(home)
    home.ask()
    home.settle()
    process = home.process()
    home.finish(process, first.stream)
    home.cancel(2)  # the loop hears the end first, dispatches, and then hears of this
    home.settle()
    (second,) = process.streams
    assert second in process.told_to_end
    home.obey(process)
    home.settle()
    home.wait(60.0)
    assert isinstance(home.apps[b"app"][2].end, Cancelled)
    assert home.process() is process, "an innocent process was killed"


def test_a_cancelled_request_that_hangs_ends_and_so_does_its_process(home: House) -> None:
    submit = _running(home)
    process = home.process()
    process.deaf = True
    home.cancel()
    home.settle()
    home.wait(FIRST_QUIET_S + 1.0)
    assert [one.end for one in home.asked] == [Cancelled("app")]
    assert process.life not in home.processes
    assert submit.stream not in {work.stream for work in home.requests.work}


# --- deaths


def test_a_hanging_stream_ends_although_no_keeper_can_kill_its_process(home: House) -> None:
    _running(home)
    home.process().deaf = True
    home.keeper_hears = False
    home.cancel()
    home.settle()
    home.wait(FIRST_QUIET_S + 1.0)
    assert [one.end for one in home.asked] == [Cancelled("app")]


def test_streams_of_a_lost_actor_end_although_the_keeper_falls_before_it_can_tell(home: House) -> None:
    _running(home)
    home.keeper_hears = False
    home.die(home.process().life)
    home.settle()
    home.keeper_falls()
    home.settle()
    (asked,) = home.asked
    assert isinstance(asked.end, Error)
    assert asked.end.code == "model_failed"


def test_a_model_whose_actor_and_keeper_fell_together_serves_again(home: House) -> None:
    _running(home)
    home.keeper_hears = False
    home.die(home.process().life)
    home.settle()
    home.keeper_falls()
    home.settle()
    home.keeper_hears = True
    home.keeper_comes()
    home.settle()
    again = home.ask()
    home.settle()
    home.wait(6.0)  # the order to kill is repeated, and answered
    home.finish(process := home.load(), next(iter(process.streams)))
    home.settle()
    assert isinstance(again.end, Finished)


def test_nothing_is_dispatched_to_an_actor_whose_connection_is_gone(home: House) -> None:
    submit = _running(home)
    home.finish(home.process(), submit.stream)
    home.settle()
    home.keeper_hears = False  # it has not seen the death yet
    home.die(home.process().life)
    home.settle()
    asked = home.ask()
    home.settle()
    assert not asked.ends
    home.keeper_hears = True
    home.wait(6.0)
    home.finish(process := home.load(), next(iter(process.streams)))
    home.settle()
    assert isinstance(asked.end, Finished)


def test_a_load_that_the_keeper_takes_along_is_tried_again_by_the_next_one(home: House) -> None:
    asked = home.ask()
    home.settle()
    home.keeper_falls()
    home.settle()
    home.keeper_comes()
    home.settle()
    home.finish(process := home.load(), next(iter(process.streams)))
    home.settle()
    assert isinstance(asked.end, Finished)


@pytest.mark.parametrize("how", ["it does not answer", "its engine stands still"])
def test_a_process_that_does_not_do_its_work_is_given_up_and_replaced(home: House, how: str) -> None:
    _running(home)
    process = home.process()
    process.deaf, process.stuck = how == "it does not answer", True
    home.wait(FIRST_QUIET_S)
    for _ in range(STRIKES):
        assert not home.asked[0].ends
        home.wait(PROBE_S)
    (asked,) = home.asked
    assert isinstance(asked.end, Error)
    assert (asked.end.code, asked.end.retryable) == ("model_failed", True)
    assert process.life not in home.processes
    again = home.ask()
    home.settle()
    home.finish(process := home.load(), next(iter(process.streams)))
    home.settle()
    assert isinstance(again.end, Finished)
    why = home.ask(operations.Why(MODELS[0]))
    home.settle()
    assert isinstance(why.end, WhyReport)
    (failure,) = [one for one in why.end.decisions if one.kind == "failure"]
    assert "no step for 45 s with a request in flight" in failure.rule


@pytest.mark.parametrize("waits", [False, True], ids=["it makes steps", "its streams wait for their apps"])
def test_a_process_that_gets_on_or_has_nothing_to_do_is_left_alone(home: House, *, waits: bool) -> None:
    _running(home)
    process = home.process()
    process.waits = waits
    for _ in range(40):
        home.wait(PROBE_S)
    assert home.process() is process
    assert not home.asked[0].ends


def test_voice_work_in_one_process_has_the_others_step_aside_until_it_ends_or_dies(home: House) -> None:
    home.ask(model=MODELS[0])
    home.settle()
    one = home.load(MODELS[0])
    home.settle()
    home.tell(one, actors.Urgent(is_urgent=True))
    home.ask(model=MODELS[1])
    home.settle()
    other = home.load(MODELS[1])
    home.settle()
    home.tell(one, actors.Urgent(is_urgent=False))
    home.tell(one, actors.Urgent(is_urgent=True))
    home.settle()
    assert (one.asides, other.asides) == ([], [True, False, True])
    home.die(one.life)
    home.settle()
    assert other.asides[-1] is False


# --- what an earlier daemon left


@pytest.mark.parametrize("ends", [True, False], ids=["it ends", "the kernel does not let go of it"])
def test_nothing_is_loaded_beside_what_an_earlier_daemon_left(*, ends: bool) -> None:
    with house() as home:
        home.connect()
        home.processes[7] = Process(7, MODELS[1], "secret of an earlier daemon")
        home.ask()
        home.keeper_hears = False
        home.keeper_comes()
        home.settle()
        home.wait(PATIENCE_S / 2)
        assert set(home.processes) == {7}
        home.keeper_hears = True
        if ends:
            home.die(7)
            home.keeper_says(actors.Died(7, "killed by order"))
            home.settle()
        else:
            home.wait(PATIENCE_S / 2)
        assert [one.name for one in home.processes.values() if one.life != 7] == [MODELS[0]]


# --- deadlines


def test_a_deadline_that_a_hanging_process_does_not_keep_is_still_called_a_deadline(home: House) -> None:
    home.ask(timeout_s=20.0)
    home.settle()
    home.load().deaf = True
    home.wait(21.0)
    home.wait(FIRST_QUIET_S + 1.0)
    (asked,) = home.asked
    assert isinstance(asked.end, Error)
    assert asked.end.code == "deadline_exceeded"
    assert not home.processes


def test_a_deadline_passes_while_the_model_loads_and_the_load_goes_on(home: House) -> None:
    asked = home.ask(timeout_s=5.0)
    home.settle()
    home.greet(home.process())
    home.settle()
    home.wait(6.0)
    assert isinstance(asked.end, Error)
    assert asked.end.code == "deadline_exceeded"
    home.loaded(home.process())
    home.settle()
    assert _empty(home)
    assert not home.process().streams


# --- files


def _filed(home: House) -> Process:
    """Have a request wait for the model in a file; return its process, which is not connected yet."""
    home.ask(model=FILED)
    home.wait_until(lambda: any(one.name == FILED for one in home.processes.values()))
    return home.process(FILED)


def test_a_file_goes_to_its_engine_once_its_header_was_read(home: House) -> None:
    _slow_header(home)
    process = _filed(home)
    home.greet(process)
    home.settle()
    assert not process.loading
    home.header_comes.set()
    home.wait_until(lambda: process.loading)
    assert home.headers_read == 2


def _slow_header(home: House) -> None:
    """Have the file's header take a while for the load, which reads it anew: one of several files may have changed."""
    home.header, home.last_header = replace(HEADER, parts=2), 1


def test_a_load_reserves_what_its_files_header_foretells(home: House) -> None:
    _filed(home)
    holding = home.ledger.accounts.holdings[home.catalogue.find(FILED).id]
    assert holding.reserved_bytes == predict(HEADER, {}).peak_bytes


def test_a_load_reserves_its_part_of_a_gpu_that_was_looked_at_for_it() -> None:
    with house(gpu_room=Room(24 * GIB, 24 * GIB, 0)) as home:
        home.connect()
        home.keeper_comes()
        _filed(home)
        foretold = predict(HEADER, {}, has_gpu=True)
        holding = home.ledger.accounts.holdings[home.catalogue.find(FILED).id]
        assert (holding.reserved_bytes, holding.reserved_gpu_bytes) == (foretold.peak_bytes, foretold.gpu_bytes)
        assert foretold.gpu_bytes > 10**9
        assert home.looks_at_gpus == 1


def test_a_load_that_no_gpu_has_room_for_is_refused_with_the_gpus_numbers() -> None:
    with house(gpu_room=Room(GIB, GIB, 0)) as home:
        home.connect()
        home.keeper_comes()
        asked = home.ask(model=FILED)
        home.wait_until(lambda: bool(asked.ends))
        assert isinstance(asked.end, Error)
        assert asked.end.code == "resource_blocked"
        assert (asked.end.details or {})["memory"] == "gpu"
        assert not home.processes


def test_a_load_that_is_given_up_while_its_header_is_read_reserves_nothing(home: House) -> None:
    home.header_comes.clear()
    home.ask(model=FILED)
    home.settle()
    assert not home.processes
    home.cancel()
    home.settle()
    unload = home.ask(operations.Unload(FILED))
    home.settle()
    assert isinstance(unload.end, Unloaded)
    home.header_comes.set()
    home.wait_until(lambda: home.headers_read == 1)
    home.run(lambda: None)
    home.settle()
    assert not home.ledger.accounts.holdings
    assert not home.ledger.accounts.waiting
    assert not home.processes


@pytest.mark.parametrize("was_loaded_before", [False, True])
def test_a_corrupt_file_evicts_nobody_gets_no_process_and_is_refused_from_then_on(*, was_loaded_before: bool) -> None:
    with house(PROCESS_BYTES * 3 // 2) as home:
        if was_loaded_before:  # and was damaged since, with the size that it had
            home.peaks.known[FILED] = Need(PROCESS_BYTES, 1.0)
        home.connect()
        home.keeper_comes()
        home.settle()
        submit = _running(home)
        home.finish(home.process(), submit.stream)
        home.settle()
        home.corrupt = LoadFailed("m.gguf is no sound model file: cut off", details={"cause": "file_corrupt"})
        first = home.ask(model=FILED)
        home.wait_until(lambda: bool(first.ends))
        again = home.ask(model=FILED)
        home.settle()
        assert [one.name for one in home.processes.values()] == [MODELS[0]]
        assert not home.process().leaving
        for asked in (first, again):
            assert isinstance(asked.end, Error)
            assert (asked.end.code, asked.end.retryable) == ("load_failed", False)
            assert dict(asked.end.details or {})["cause"] == "file_corrupt"
            assert "cut off" in asked.end.message
        preflight = home.ask(operations.Preflight(FILED))
        home.wait_until(lambda: bool(preflight.ends))
        assert isinstance(preflight.end, Error)
        assert "cut off" in preflight.end.message


def test_a_bug_while_memory_is_looked_for_ends_the_request_and_the_next_one_is_served(home: House) -> None:
    with mock.patch.object(home.peaks, "of", side_effect=ZeroDivisionError):
        broken = home.ask()
        home.settle()
    assert isinstance(broken.end, Error)
    assert "ZeroDivisionError" in broken.end.message
    again = home.ask()
    home.settle()
    home.finish(process := home.load(), next(iter(process.streams)))
    home.settle()
    assert isinstance(again.end, Finished)


def test_a_header_that_comes_too_late_changes_nothing(home: House) -> None:
    _slow_header(home)
    process = _filed(home)
    home.corrupt = LoadFailed("cut off", details={"cause": "file_corrupt"})
    home.greet(process)
    home.settle()
    home.cancel()
    home.settle()
    unload = home.ask(operations.Unload(FILED))
    home.settle()
    home.obey(process)
    home.settle()
    assert isinstance(unload.end, Unloaded)
    home.header_comes.set()
    home.wait_until(lambda: home.headers_read == 2)
    home.run(lambda: None)
    home.settle()
    assert home.fleet.lifecycle.view(home.catalogue.find(FILED).id, home.clock[0]).state is State.STORED


# --- pulls and unloads


def test_whoever_left_is_forgotten_by_the_pull_that_goes_on(home: House) -> None:
    for number in range(1, 21):
        home.ask(operations.Pull(ABSENT))
        home.cancel(number)
        home.settle()
    assert [type(one.end) for one in home.asked] == [Cancelled] * 20
    assert _empty(home)
    last = home.ask(operations.Pull(ABSENT))
    home.store.goes_on.set()
    home.wait_until(lambda: bool(last.ends))
    assert isinstance(last.end, Pulled)


def test_a_pull_ends_for_all_who_asked_and_for_those_who_wait_for_the_model(home: House) -> None:
    pulls = [home.ask(operations.Pull(ABSENT)) for _ in range(2)]
    waiting = home.ask(model=ABSENT)
    home.settle()
    home.supervisor.pulls.stop()
    home.wait_until(lambda: all(one.ends for one in pulls))
    assert {one.end.code for one in (*pulls, waiting) if isinstance(one.end, Error)} <= {"pull_failed", "load_failed"}
    assert _empty(home)


def test_an_unload_lets_the_queue_wait_for_the_next_life(home: House) -> None:
    submit = _running(home)
    process = home.process()
    waiting = home.ask()
    unloads = [home.ask(operations.Unload(MODELS[0])) for _ in range(2)]
    home.settle()
    assert not any(one.ends for one in unloads)
    home.finish(process, submit.stream)
    home.settle()
    home.obey(process)
    home.settle()
    assert [type(one.end) for one in unloads] == [Unloaded, Unloaded]
    assert not waiting.ends
    home.finish(second := home.load(), next(iter(second.streams)))
    home.settle()
    assert isinstance(waiting.end, Finished)
    assert second.life > process.life
    assert _empty(home)


def test_a_process_that_dies_while_it_drains_fails_its_stream_and_answers_the_unload(home: House) -> None:
    _running(home)
    unload = home.ask(operations.Unload(MODELS[0]))
    home.settle()
    home.die(home.process().life)
    home.settle()
    assert isinstance(unload.end, Unloaded)
    assert all(one.ends for one in home.asked)
    assert _empty(home)


def test_asking_for_the_files_of_a_loaded_model_does_not_change_how_long_its_load_took(home: House) -> None:
    home.ask()
    home.ask()
    home.settle()
    home.wait(2.0)
    process = home.load()
    home.wait(3.0)
    home.ask(operations.Pull(MODELS[0]))
    home.settle()
    home.finish(process, next(iter(process.streams)))
    home.settle()
    (second,) = process.streams.values()
    assert second.load_s == pytest.approx(2.0)
    assert second.queue_s == pytest.approx(3.0)


# --- bugs of ours


def test_a_disk_that_does_not_answer_fails_the_load_and_nothing_else(home: House) -> None:
    home.store.broken = OSError(5, "the disk answers no more")
    home.ask()
    bystander = home.ask(operations.Status())
    home.settle()
    home.greet(home.process())
    home.settle()
    home.wait_until(lambda: bool(bystander.ends))
    assert isinstance(bystander.end, StatusReport)
    assert isinstance(home.asked[0].end, Error)
    assert home.asked[0].end.code == "load_failed"
    assert _empty(home)


def test_a_request_that_breaks_its_answer_ends_as_an_error(home: House) -> None:
    asked = home.ask(operations.Status())
    home.wires()
    home.identity_bug = KeyError("a bug")
    home.loop()
    home.wait_until(lambda: bool(asked.ends))
    assert isinstance(asked.end, Error)
    assert asked.end.code == "inference_error"
    assert _empty(home)


def test_an_arrival_that_breaks_the_loop_ends_as_an_error_and_the_next_is_served(home: House) -> None:
    home.rules.bug = KeyError("a bug")
    broken = home.ask()
    home.settle()
    home.rules.bug = None
    assert isinstance(broken.end, Error)
    assert broken.end.code == "inference_error"
    assert _empty(home)
    served = home.ask()
    home.settle()
    home.finish(process := home.load(), next(iter(process.streams)))
    home.settle()
    assert isinstance(served.end, Finished)


def test_what_cannot_be_encoded_ends_its_own_request(home: House) -> None:
    _running(home)
    (work,) = home.requests.work
    home.run(
        lambda: home.requests.conclude(work.stream, Error("load_failed", "half a character: \ud800", retryable=False))
    )
    home.settle()
    assert isinstance(home.asked[0].end, Error)
    assert home.asked[0].end.code == "load_failed"


# --- the end


def test_a_stop_ends_what_waits_and_what_runs(home: House) -> None:
    _running(home)
    waiting = home.ask()
    home.settle()
    home.run(lambda: home.supervisor.end_all(home.clock[0]))
    home.settle()
    assert waiting.end == Cancelled("shutdown")
    home.obey(home.process())
    home.settle()
    assert all(isinstance(one.end, Cancelled) for one in home.asked)
    assert _empty(home)


def test_a_stop_while_a_model_loads_leaves_nobody_waiting(home: House) -> None:
    asked = home.ask()
    home.settle()
    home.greet(home.process())
    home.settle()
    home.run(lambda: home.supervisor.end_all(home.clock[0]))
    home.settle()
    assert asked.end == Cancelled("shutdown")
    home.obey(home.process())
    home.settle()
    assert not home.processes
    assert _empty(home)


def test_a_reconnected_app_is_another_one_and_its_old_requests_end(home: House) -> None:
    submit = _running(home)
    home.says(b"app", control.Goodbye())
    home.settle()
    assert home.process().told_to_end == [submit.stream]
    home.obey(home.process())
    home.settle()
    assert home.requests.apps == {}
    assert not [fact for fact in home.facts if isinstance(fact, crossing.Ended)]
