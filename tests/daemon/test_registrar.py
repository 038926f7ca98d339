"""The list of models while it changes and models run: nobody who uses one is cut off, and nobody waits in vain."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Iterator

import pytest
from house import FILED, MODELS, Asked, House, house

from inferd.messages.events import (
    Discovered,
    Error,
    Finished,
    Held,
    ModelList,
    Pulled,
    Registered,
    Removed,
    SchemaList,
    Terminal,
    Unloaded,
    Unregistered,
    UpgradeList,
)
from inferd.messages.operations import (
    Discover,
    Generate,
    Hold,
    ListModels,
    ListSchemas,
    ListUpgrades,
    Message,
    Operation,
    Pull,
    Register,
    Remove,
    Unload,
    Unregister,
)
from inferd.messages.schemas import Endpoint, ModelSchema
from inferd_daemon.catalogue import ModelId
from inferd_daemon.ledger import Need
from inferd_daemon.lifecycle import FilesChanged, State

STARTER = "huggingfacetb/smollm2-135m-instruct:q4_1"
MINE = "me/mine:x"
OLD = "qwen/qwen2.5-0.5b-instruct:q4_k_m"
"""The curated list has a newer one of 638 MB."""
ECHO = ModelSchema(MINE, engine="echo")
SAY = Generate((Message("user", "hello"),))


@pytest.fixture
def home() -> Iterator[House]:
    with house() as built:
        built.connect()
        built.keeper_comes()
        built.settle()
        yield built


def end_of(home: House, operation: Operation, *, model: str | None = None) -> Terminal:
    """Ask and wait for the end."""
    asked = home.ask(operation, model=model)
    home.wait_until(lambda: bool(asked.ends))
    return asked.end


def register(home: House, schema: ModelSchema = ECHO) -> Registered:
    if schema.remote is None:
        home.store.stored.add(schema.id)
    end = end_of(home, Register(schema))
    assert isinstance(end, Registered), end
    return end


def refused(end: Terminal, code: str, *words: str) -> None:
    assert isinstance(end, Error), end
    assert end.code == code
    for word in words:
        assert word in end.message


def state(home: House, name: str) -> State:
    return home.fleet.lifecycle.view(ModelId.parse(name), home.clock[0]).state


def running(home: House, name: str) -> Asked:
    """Have one request run on a model."""
    asked = home.ask(SAY, model=name)
    home.settle()
    home.load(name)
    return asked


def finish(home: House, name: str) -> None:
    """End the one request that runs on a model."""
    process = home.process(name)
    (stream,) = process.streams
    home.finish(process, stream)
    home.settle()


def edit(home: House, rows: object) -> None:
    """Write the file as an editor does."""
    part = home.rows_file.with_name("part")
    part.write_text(json.dumps({"models": rows}))
    part.replace(home.rows_file)


# --- registering


def test_a_registered_model_is_listed_and_answers_at_once(home: House) -> None:
    assert register(home) == Registered(MINE, "added")
    listed = end_of(home, ListModels())
    assert isinstance(listed, ModelList)
    assert MINE in [model.id for model in listed.models]
    asked = running(home, MINE)
    finish(home, MINE)
    assert isinstance(asked.end, Finished)


def test_what_became_of_a_row_is_told(home: House) -> None:
    assert register(home).outcome == "added"
    assert register(home).outcome == "unchanged"
    assert register(home, ModelSchema(MINE, engine="echo", tags=("a", "b"))).outcome == "replaced"
    assert register(home, ModelSchema(MINE, engine="echo", tags=("a", "b"))).outcome == "unchanged"
    assert register(home, ModelSchema(STARTER, context_tokens=2048)).outcome == "replaced"
    assert home.catalogue.find(STARTER).context_tokens == 2048


def test_a_wrong_row_is_refused_by_its_key_and_changes_nothing(home: House) -> None:
    refused(end_of(home, Register(ModelSchema(MINE))), "invalid_request", f'models."{MINE}".engine')
    refused(end_of(home, Register(ModelSchema(MINE, engine="llama_cpp"))), "invalid_request", f'models."{MINE}".file')
    refused(end_of(home, Register(ModelSchema("../etc", engine="echo"))), "invalid_request", "no model id")
    assert not home.rows_file.exists()


def test_a_row_for_a_running_model_says_that_its_process_stays_as_it_is(home: House) -> None:
    register(home)
    running(home, MINE)
    told = register(home, ModelSchema(MINE, engine="echo", engine_options={"slots": 2}))
    assert f"inferd stop {MINE}" in told.note
    assert state(home, MINE) is State.READY


def test_a_model_that_this_version_cannot_run_is_listed_and_refused_when_it_is_asked(home: House) -> None:
    remote = ModelSchema(
        "their/model:x", engine="remote", remote=Endpoint("http://127.0.0.1:1", "openai", "their model")
    )
    assert "no engine remote" in register(home, remote).note
    listed = end_of(home, ListModels())
    assert isinstance(listed, ModelList)
    (row,) = (model for model in listed.models if model.id == remote.id)
    assert (row.available, row.weights_ready, row.engine) == (False, False, "remote")
    refused(end_of(home, SAY, model=remote.id), "unsupported_mode", "remote")


def test_schemas_tell_whose_rows_they_are_and_which_are_wrong(home: House) -> None:
    edit(home, {MINE: {"engine": "echo"}, "me/wrong:x": {"engine": "vllm"}})
    told = end_of(home, ListSchemas())
    assert isinstance(told, SchemaList)
    origins = {schema.id: schema.origin for schema in told.schemas}
    assert (origins[MINE], origins[MODELS[0]], origins[STARTER]) == ("user", "config", "curated")
    assert "me/wrong:x" not in origins
    assert ["me/wrong:x" in problem for problem in told.problems] == [True]


def test_a_row_in_an_edited_file_counts_for_the_very_next_request(home: House) -> None:
    home.store.stored.add(MINE)
    edit(home, {MINE: {"engine": "echo"}})
    asked = running(home, MINE)
    finish(home, MINE)
    assert isinstance(asked.end, Finished)


def test_a_disk_that_is_full_refuses_the_row_and_nothing_else(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_rows: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(home.catalogue, "write", full)
    refused(end_of(home, Register(ECHO)), "inference_error", "No space left")
    assert isinstance(end_of(home, ListModels()), ModelList)


# --- unregistering


def test_a_model_is_off_the_list_once_it_is_unregistered(home: House) -> None:
    register(home)
    assert end_of(home, Unregister(MINE)) == Unregistered(MINE, restored=False)
    refused(end_of(home, SAY, model=MINE), "model_not_found")
    refused(end_of(home, Unregister(MINE)), "model_not_found")


def test_who_uses_a_model_finishes_before_it_is_unregistered(home: House) -> None:
    register(home)
    used = running(home, MINE)
    waits = home.ask(SAY, model=MINE)
    asked = home.ask(Unregister(MINE))
    home.wait_until(lambda: state(home, MINE) is State.DRAINING)
    assert not asked.ends
    assert not used.ends
    finish(home, MINE)
    home.obey(home.process(MINE))
    home.settle()
    assert isinstance(used.end, Finished)
    assert asked.end == Unregistered(MINE, restored=False)
    assert isinstance(waits.end, Error)
    refused(end_of(home, SAY, model=MINE), "model_not_found")


def test_a_row_taken_out_of_the_file_by_hand_drains_its_model(home: House) -> None:
    register(home)
    used = running(home, MINE)
    edit(home, {})
    assert isinstance(end_of(home, ListModels()), ModelList)
    assert state(home, MINE) is State.DRAINING
    finish(home, MINE)
    home.obey(home.process(MINE))
    home.settle()
    assert isinstance(used.end, Finished)
    refused(end_of(home, SAY, model=MINE), "model_not_found")


def test_an_overlaid_model_is_as_before_once_its_row_is_gone(home: House) -> None:
    register(home, ModelSchema(MODELS[0], family="changed"))
    running(home, MODELS[0])
    assert end_of(home, Unregister(MODELS[0])) == Unregistered(MODELS[0], restored=True)
    assert home.catalogue.find(MODELS[0]).family == ""
    assert state(home, MODELS[0]) is State.READY


@pytest.mark.parametrize(("name", "place"), [("smollm2", "curated list"), (MODELS[0], "config")])
def test_what_was_not_registered_cannot_be_unregistered(home: House, name: str, place: str) -> None:
    refused(end_of(home, Unregister(name)), "invalid_request", "not registered", place)


def test_pulls_and_unloads_of_a_model_that_leaves_end_too(home: House) -> None:
    register(home)
    used = running(home, MINE)
    unload, gone = home.ask(Unload(MINE)), home.ask(Unregister(MINE))
    home.settle()
    finish(home, MINE)
    home.obey(home.process(MINE))
    home.wait_until(lambda: bool(gone.ends))
    assert isinstance(used.end, Finished)
    assert unload.end == Unloaded(MINE)
    assert gone.end == Unregistered(MINE, restored=False)


# --- removing


def stored(home: House, name: str = STARTER) -> None:
    """Have a model's file here."""
    home.store.goes_on.set()
    assert isinstance(end_of(home, Pull(name)), Pulled)


def test_a_removed_file_is_gone_and_its_bytes_are_counted(home: House) -> None:
    stored(home)
    assert end_of(home, Remove("smollm2")) == Removed(STARTER, 7)
    assert state(home, STARTER) is State.ABSENT
    refused(end_of(home, SAY, model=STARTER), "load_failed")
    assert end_of(home, Remove(STARTER)) == Removed(STARTER, 0, note="it was not stored")


def test_who_uses_a_file_finishes_before_it_is_removed(home: House) -> None:
    stored(home)
    used = running(home, STARTER)
    asked = home.ask(Remove(STARTER))
    home.settle()
    late = home.ask(SAY, model=STARTER)
    home.settle()
    assert not asked.ends
    assert STARTER in home.store.stored
    finish(home, STARTER)
    home.obey(home.process(STARTER))
    home.wait_until(lambda: bool(asked.ends))
    assert isinstance(used.end, Finished)
    assert asked.end == Removed(STARTER, 7)
    assert isinstance(late.end, Error)
    assert state(home, STARTER) is State.ABSENT


def test_a_removal_goes_on_when_the_app_that_asked_for_it_leaves(home: House) -> None:
    stored(home)
    home.connect(b"other")
    home.ask(SAY, model=STARTER, peer=b"other")
    home.settle()
    home.load(STARTER)
    home.ask(Remove(STARTER))
    home.settle()
    home.leave()
    finish(home, STARTER)
    home.obey(home.process(STARTER))
    home.wait_until(lambda: STARTER not in home.store.stored)


def test_a_file_that_is_not_ours_stays_and_so_does_its_process(home: House) -> None:
    running(home, MODELS[0])
    for name, words in ((FILED, "not inferd's own"), (MODELS[0], "needs no file")):
        end = end_of(home, Remove(name))
        assert isinstance(end, Removed)
        assert end.freed_bytes == 0
        assert words in end.note
    assert FILED in home.store.stored
    assert state(home, MODELS[0]) is State.READY


def test_a_model_that_is_being_fetched_is_not_removed(home: House) -> None:
    pull = home.ask(Pull(STARTER))
    home.settle()
    refused(end_of(home, Remove(STARTER)), "resource_blocked", "being fetched")
    home.store.goes_on.set()
    home.wait_until(lambda: bool(pull.ends))
    assert isinstance(pull.end, Pulled)


def test_models_that_shared_the_file_are_named_and_absent(home: House) -> None:
    twin = "qwen/qwen3-0.6b:q8_0"
    stored(home)
    stored(home, twin)
    home.store.twins[STARTER] = (twin,)
    assert end_of(home, Remove(STARTER)) == Removed(STARTER, 7, also=(twin,))
    assert state(home, twin) is State.ABSENT


def test_a_file_that_cannot_be_deleted_is_told_and_stays_usable(home: House) -> None:
    stored(home)
    home.store.broken = PermissionError(13, "Permission denied")
    refused(end_of(home, Remove(STARTER)), "inference_error", "cannot be deleted", "Permission denied")
    home.store.broken = None
    assert isinstance(end_of(home, Pull(STARTER)), Pulled)


def test_an_unknown_name_is_not_found_with_near_matches(home: House) -> None:
    end = end_of(home, Remove("smolm2"))
    refused(end, "model_not_found", STARTER)


def test_a_stored_model_that_writes_no_text_is_nobodys_default(home: House) -> None:
    home.supervisor._default_model = None
    assert home.supervisor.default_model("generate") == FILED
    stored(home, "nomic-ai/nomic-embed-text-v1.5:q8_0")
    assert home.supervisor.default_model("generate") == FILED
    stored(home)
    assert home.supervisor.default_model("generate") == STARTER


# --- looking around


@pytest.mark.parametrize(("budget_bytes", "fits"), [(2**30, True), (2**28, False)])
def test_an_upgrade_fits_into_the_memory_that_models_may_have(budget_bytes: int, *, fits: bool) -> None:
    with house(budget_bytes) as home:
        home.connect()
        home.keeper_comes()
        home.settle()
        stored(home, OLD)
        end = end_of(home, ListUpgrades())
    assert isinstance(end, UpgradeList)
    assert [one.fits for one in end.upgrades] == [fits]


def test_upgrades_are_about_what_is_stored(home: House) -> None:
    assert end_of(home, ListUpgrades()) == UpgradeList(())
    stored(home, OLD)
    end = end_of(home, ListUpgrades())
    assert isinstance(end, UpgradeList)
    assert [(one.from_model, one.to_model) for one in end.upgrades] == [(OLD, "qwen/qwen3-0.6b:q8_0")]


def test_a_look_around_is_answered(home: House) -> None:
    assert end_of(home, Discover()) == Discovered((), ())


def test_a_model_that_a_hold_keeps_is_neither_removed_nor_taken_off_the_list(home: House) -> None:
    register(home)
    held = home.ask(Hold((MINE,), 60.0))
    home.wait_until(lambda: any(one.name == MINE for one in home.processes.values()))
    home.load(MINE)
    assert isinstance(held.end, Held)
    refused(end_of(home, Unregister(MINE)), "resource_blocked", "held by app")
    curated = home.catalogue.find(STARTER)
    home.run(lambda: home.fleet.step(FilesChanged(curated.id, stored=True), home.clock[0]))
    home.store.stored.add(STARTER)
    home.peaks.known[STARTER] = Need(1, 1.0)
    held = home.ask(Hold((STARTER,), 60.0))
    home.wait_until(lambda: any(one.name == STARTER for one in home.processes.values()))
    refused(end_of(home, Remove(STARTER)), "resource_blocked", "held by app")
    assert not held.ends


def test_a_model_that_is_being_fetched_leaves_the_list_without_its_download_being_waited_for(home: House) -> None:
    schema = ModelSchema(MINE, engine="llama_cpp", url="https://models.test/m.gguf")
    assert isinstance(end_of(home, Register(schema)), Registered)
    pull = home.ask(Pull(MINE))
    home.wait_until(lambda: home.fleet.lifecycle.view(ModelId.parse(MINE), home.clock[0]).state is State.PULLING)
    assert end_of(home, Unregister(MINE)) == Unregistered(MINE, restored=False)
    home.wait_until(lambda: bool(pull.ends))
    refused(pull.end, "pull_failed", "stopped")


def test_files_of_an_edited_list_are_looked_for_beside_the_loop_and_arrivals_wait(home: House) -> None:
    """A disk may sleep: whoever is served meanwhile must not feel it, and nobody may be refused for what is not known yet."""
    running = home.ask(SAY, model=MODELS[0])
    home.settle()
    process = home.load(MODELS[0])
    home.store.looks.clear()
    home.store.stored.add(MINE)
    edit(home, {MINE: {"engine": "echo"}})
    home.wires()
    asked = home.ask(SAY, model=MINE)
    home.runner.run(hearing(home))
    assert not asked.events, "it was heard before it was known whether its file is here"
    home.finish(process, next(iter(process.streams)))
    home.runner.run(hearing(home))
    home.wires()
    assert isinstance(running.end, Finished)
    home.store.looks.set()
    home.wait_until(lambda: any(one.name == MINE for one in home.processes.values()))
    assert not asked.ends


async def hearing(home: House) -> None:
    """Have the loop hear what there is, and wait for nothing else."""
    batch, home.facts = tuple(home.facts), deque()
    home.supervisor.hear(batch)
    await asyncio.sleep(0)
