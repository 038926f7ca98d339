"""Questions about a model's file in the loop's rooms: the vocab actor comes for them, and its end is no silence."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from house import ABSENT, FILE, FILED, MODELS, Asked, House, Process, house

from inferd.messages.events import Cancelled, Error, Finished
from inferd.messages.operations import Detokenize, EstimateTokens, Generate, Message, Operation, Tokenize
from inferd_actors import messages as actors
from inferd_daemon.catalogue import VOCAB
from inferd_daemon.lifecycle import State
from inferd_daemon.pulse import FIRST_QUIET_S, PROBE_S, STRIKES

TEXT = Tokenize("hello")
ABSENT_FILE = "huggingfacetb/smollm2-135m-instruct:q4_1"


@pytest.fixture
def home() -> Iterator[House]:
    with house() as built:
        built.connect()
        built.keeper_comes()
        built.settle()
        yield built


def ask(home: House, operation: Operation = TEXT, *, model: str = FILED, peer: bytes = b"app") -> Asked:
    asked = home.ask(operation, model=model, peer=peer)
    home.settle()
    return asked


def started(home: House, *, slots: int = 2) -> Process:
    """Have the vocab actor come and begin."""
    return home.load("vocab", slots=slots)


def error_of(asked: Asked) -> Error:
    assert isinstance(asked.end, Error)
    return asked.end


def vocabs(home: House) -> list[Process]:
    return [one for one in home.processes.values() if one.kind == "vocab"]


def test_it_comes_with_the_first_question_and_the_model_stays_where_it_is(home: House) -> None:
    assert not vocabs(home)
    asked = ask(home)
    process = started(home)
    ((stream, submit),) = process.streams.items()
    assert submit.file == actors.ModelFile(FILED, FILE, 0)
    home.finish(process, stream)
    home.settle()
    assert isinstance(asked.end, Finished)
    assert home.fleet.lifecycle.view(home.catalogue.find(FILED).id, home.clock[0]).state is State.STORED
    assert [one.kind for one in home.processes.values()] == ["vocab"]
    ask(home)
    assert len(process.streams) == 1, "the second question goes to the same process"
    assert vocabs(home) == [process]


@pytest.mark.parametrize("operation", [TEXT, Detokenize(b""), EstimateTokens((Message("user", "hi"),))])  # type: ignore[arg-type]
def test_a_model_without_a_file_has_no_tokenizer(home: House, operation: Operation) -> None:
    error = error_of(ask(home, operation, model=MODELS[0]))
    assert (error.code, dict(error.details or {})["serves"]) == ("unsupported_mode", ("generate", "loopback"))
    assert not vocabs(home)


def test_a_file_that_is_not_stored_is_an_error_with_the_next_step(home: House) -> None:
    error = error_of(ask(home, model=ABSENT_FILE))
    assert (error.code, dict(error.details or {})["cause"]) == ("load_failed", "file_missing")
    assert f"inferd pull {ABSENT_FILE}" in error.message
    assert error_of(ask(home, model=ABSENT)).code == "unsupported_mode"
    assert not vocabs(home)


def test_a_file_that_cannot_be_looked_at_is_an_error(home: House) -> None:
    home.store.broken = PermissionError("not yours")
    assert error_of(ask(home)).code == "load_failed"


def test_the_context_is_that_of_the_loaded_model(home: House) -> None:
    home.ask(model=FILED)
    home.settle()
    home.load(FILED)
    ask(home)
    (submit,) = started(home).streams.values()
    assert submit.file is not None
    assert submit.file.context_tokens == 4096


def test_its_death_ends_what_it_worked_on_and_the_next_life_serves_who_waited(home: House) -> None:
    running = [ask(home), ask(home)]
    process = started(home)
    waiting = ask(home)
    home.die(process.life)
    home.settle()
    assert [(error_of(one).code, error_of(one).retryable) for one in running] == [("model_failed", True)] * 2
    assert not waiting.ends
    home.wait(1.0)
    again = started(home)
    assert again.life > process.life
    home.finish(again, next(iter(again.streams)))
    home.settle()
    assert isinstance(waiting.end, Finished)


def test_a_death_told_by_the_keeper_alone_ends_them_too(home: House) -> None:
    asked = ask(home)
    process = started(home)
    home.keeper_says(actors.Died(process.life, "killed by signal 9"))
    home.settle()
    assert error_of(asked).code == "model_failed"


def test_one_that_hangs_is_killed_and_its_requests_end(home: House) -> None:
    asked = ask(home)
    process = started(home)
    process.deaf = True
    home.wait(FIRST_QUIET_S)
    for _ in range(STRIKES):
        home.wait(PROBE_S)
    assert error_of(asked).code == "model_failed"
    assert process.life not in home.processes


def test_a_keeper_that_falls_takes_it_along(home: House) -> None:
    running = ask(home)
    started(home, slots=1)
    waiting = ask(home)
    home.keeper_falls()
    home.settle()
    assert error_of(running).code == "model_failed"
    assert not waiting.ends
    home.keeper_comes()
    home.settle()
    process = started(home)
    home.finish(process, next(iter(process.streams)))
    home.settle()
    assert isinstance(waiting.end, Finished)


def test_a_question_before_the_keeper_is_there_waits_for_it() -> None:
    with house() as home:
        home.connect()
        asked = ask(home)
        home.keeper_comes()
        home.settle()
        process = started(home)
        home.finish(process, next(iter(process.streams)))
        home.settle()
        assert isinstance(asked.end, Finished)


def test_who_waits_for_one_that_never_comes_ends_at_its_deadline(home: House) -> None:
    asked = home.ask(TEXT, model=FILED, timeout_s=30.0)
    home.settle()
    home.wait(31.0)
    assert error_of(asked).code == "deadline_exceeded"


def test_a_cancelled_question_ends_there(home: House) -> None:
    asked = ask(home)
    process = started(home)
    home.cancel()
    home.settle()
    home.obey(process)
    home.settle()
    assert asked.end == Cancelled("app")


def test_apps_take_turns_in_its_line(home: House) -> None:
    home.connect(b"other", "other")
    first = [ask(home) for _ in range(3)]
    process = started(home, slots=1)
    late = ask(home, peer=b"other")
    for _ in range(2):
        home.finish(process, next(iter(process.streams)))
        home.settle()
    assert late.ends
    assert not first[2].ends


def test_one_whose_connection_closes_is_ended_and_another_comes(home: House) -> None:
    asked = ask(home)
    process = started(home)
    home.wires_gone(process.peer)
    home.settle()
    assert error_of(asked).code == "model_failed"
    home.wait(1.0)
    assert [one.life > process.life for one in vocabs(home)] == [True]


def test_a_daemon_that_leaves_takes_no_new_questions_and_ends_the_others(home: House) -> None:
    asked = ask(home)
    process = started(home)
    home.requests.is_draining = True
    assert error_of(ask(home)).code == "queue_full"
    home.run(lambda: home.supervisor.end_all(home.clock[0]))
    home.settle()
    home.obey(process)
    home.settle()
    assert isinstance(asked.end, Cancelled)


def test_a_prompt_that_cannot_fit_is_refused_before_any_work(home: House) -> None:
    home.ask(model=FILED)
    home.settle()
    home.load(FILED)
    long = Generate((Message("user", "x " * 3_000_000),))
    error = error_of(ask(home, long))
    assert error.code == "context_overflow"
    assert dict(error.details or {})["context_tokens"] == 4096
    assert len(home.process(FILED).streams) == 1
    fits = ask(home, Generate((Message("user", " " * 6_000_000 + "x"),)))
    assert not fits.ends, "templates may drop the spaces around"


def test_no_model_may_take_the_name_of_the_line(home: House) -> None:
    with pytest.raises(Exception, match="process of inferd's own"):
        home.catalogue.checked(str(VOCAB), {"engine": "echo"})
