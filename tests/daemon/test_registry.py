"""Registered rows: a file that is read when it changes, written whole, and never a reason to lose what was there."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.errors import InvalidRequest, ModelNotFound
from inferd_daemon import rows_file
from inferd_daemon.catalogue import ModelId, curated
from inferd_daemon.registry import Registry
from inferd_daemon.rows_file import Rows

ECHO = {"engine": "echo"}
MINE = "me/mine:x"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / rows_file.NAME


def registry(file: Path) -> Registry:
    return Registry(curated().with_rows({"me/configured:x": ECHO}), file, frozenset({ModelId.parse("me/configured:x")}))


def write(file: Path, rows: Mapping[str, object]) -> None:
    """Write as an editor does: a new file in place of the old one."""
    part = file.with_name("editor")
    part.write_text(json.dumps({"models": rows}))
    part.replace(file)


def test_what_was_written_is_read_by_the_next_daemon_and_by_its_owner_alone(file: Path) -> None:
    first = registry(file)
    first.write(first.with_row(MINE, {**ECHO, "family": "übung"}))
    assert first.reload().changed[0].family == "übung"
    assert registry(file).find(MINE).family == "übung"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_a_file_that_did_not_change_changes_nothing(file: Path) -> None:
    write(file, {MINE: ECHO})
    known = registry(file)
    assert not known.reload().changed
    write(file, {MINE: {**ECHO, "context_tokens": 7}})
    assert [str(one.id) for one in known.reload().changed] == [MINE]
    assert known.find(MINE).context_tokens == 7
    assert known.reload() == type(known.reload())()


def test_rows_lie_over_the_config_which_lies_over_the_curated_list(file: Path) -> None:
    write(file, {"inferd/echo:default": {"family": "mine"}, "me/configured:x": {"family": "mine"}, MINE: ECHO})
    known = registry(file)
    assert [known.origin(known.find(name).id) for name in ("smollm2", MINE, "me/configured:x")] == [
        "curated",
        "user",
        "user",
    ]
    file.unlink()
    known.reload()
    assert known.origin(known.find("me/configured").id) == "config"
    assert known.find("inferd/echo:default").family == "echo"


def test_a_model_that_leaves_is_there_until_its_process_has_ended(file: Path) -> None:
    write(file, {MINE: ECHO})
    known = registry(file)
    mine = known.find(MINE).id
    write(file, {})
    assert [one.id for one in known.reload().left] == [mine]
    assert known.leaving(MINE) == mine
    assert known.of(mine).id == mine
    assert mine in [schema.id for schema in known.schemas]
    with pytest.raises(ModelNotFound):
        known.find(MINE)
    assert known.let_go(mine)
    assert not known.let_go(mine)
    assert known.leaving(MINE) is None
    assert mine not in [schema.id for schema in known.schemas]


def test_a_model_that_comes_back_while_it_leaves_is_looked_at_again(file: Path) -> None:
    write(file, {MINE: ECHO})
    known = registry(file)
    write(file, {})
    known.reload()
    write(file, {MINE: ECHO})
    assert [str(one.id) for one in known.reload().changed] == [MINE]
    assert not known.let_go(ModelId.parse(MINE))
    assert str(known.find(MINE).id) == MINE


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"models": []}', '{"rows": {}}', "\xff", "[" * 100_000, "x" * (2**20 + 1)],
    ids=["empty", "half", "list", "null", "no-map", "other-key", "no-utf8", "deep", "long"],
)
def test_a_damaged_file_costs_no_model_and_is_not_overwritten(file: Path, text: str) -> None:
    write(file, {MINE: ECHO})
    known = registry(file)
    file.write_text(text, encoding="latin-1")
    assert not known.reload().left
    assert str(known.find(MINE).id) == MINE
    assert str(file) in known.problems[0]
    with pytest.raises(InvalidRequest, match="correct the file, or remove it"):
        known.with_row("me/other:x", ECHO)
    file.unlink()
    assert [str(one.id) for one in known.reload().left] == [MINE]
    assert not known.problems


def test_a_daemon_starts_over_a_damaged_file(file: Path) -> None:
    file.write_text("{")
    assert registry(file).find("smollm2").engine == "llama_cpp"


def test_a_wrong_row_is_named_and_can_be_taken_out(file: Path) -> None:
    write(file, {"me/wrong:x": {"engine": "vllm"}, "../etc": ECHO, MINE: ECHO})
    known = registry(file)
    assert str(known.find(MINE).id) == MINE
    assert ["me/wrong" in known.problems[0], "../etc" in known.problems[1]] == [True, True]
    with pytest.raises(ModelNotFound, match=r"me/wrong.*cannot be used.*engine"):
        known.find("me/wrong:x")
    for name in ("me/wrong:x", "../etc"):
        assert known.row_of(name) is not None
        known.write(known.with_row(name, None))
        known.reload()
    assert not known.problems
    assert str(known.find(MINE).id) == MINE


def test_more_rows_than_can_be_read_in_good_time_are_refused_with_both_numbers(file: Path) -> None:
    known = registry(file)
    rows = Rows({f"me/model-{number}:x": {"name": "n" * 4000} for number in range(300)})
    with pytest.raises(InvalidRequest, match="1,048,576") as refused:
        known.write(rows)
    assert refused.value.details["limit"] == rows_file.MAX_BYTES
    assert not file.exists()


def test_a_folder_that_cannot_be_written_leaves_the_file_as_it_was(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(file, {MINE: ECHO})

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        rows_file.write(file, Rows({}))
    assert rows_file.read(file).models == {MINE: ECHO}


names = st.sampled_from([f"me/{letter}:x" for letter in "abc"])


@given(st.lists(st.tuples(names, st.none() | st.integers(1, 3)), max_size=12))
def test_after_any_changes_the_registry_is_what_a_new_one_reads(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, int | None]]
) -> None:
    file = tmp_path_factory.mktemp("rows") / rows_file.NAME
    known = registry(file)
    for name, tokens in changes:
        known.write(known.with_row(name, None if tokens is None else {**ECHO, "context_tokens": tokens}))
        for gone in known.reload().left:
            assert known.let_go(gone.id)
    assert known.schemas == registry(file).schemas
