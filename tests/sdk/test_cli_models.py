"""The commands about the list of models: what they ask, and what they print for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from scripted_client import ECHO, SMOL, ScriptedClient, ScriptedModels
from typer.testing import CliRunner, Result

from inferd import (
    Coverage,
    Discovered,
    Endpoint,
    FoundServer,
    GpuMemory,
    Health,
    ModelSchema,
    Preflight,
    Problem,
    Process,
    Removed,
    Upgrade,
    Warmed,
)
from inferd_cli.app import app

FOUND = Discovered(
    (
        FoundServer("ollama", "http://127.0.0.1:11434", 1),
        FoundServer("llama_cpp", "http://127.0.0.1:8080", 0, "no JSON"),
    ),
    (
        ModelSchema("ollama-server/x:3b", engine="remote", remote=Endpoint("http://127.0.0.1:11434", "ollama", "x:3b")),
        ModelSchema("lmstudio/a/b:q4_0", engine="llama_cpp", file="/models/b.gguf", size_bytes=98_362_432),
    ),
)
ROW = {"engine": "llama_cpp", "file": "/models/x.gguf"}
TOML = """
[models."me/one:q4"]
engine = "llama_cpp"
file = "/models/x.gguf"

[models."me/two:q4"]
engine = "echo"
"""


def invoke(client: ScriptedClient, *args: str, stdin: str | bytes | None = None) -> Result:
    result = CliRunner().invoke(app, args, obj=client.connect, input=stdin)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


# --- remove


def removing(removed: Removed) -> ScriptedClient:
    return ScriptedClient(models=ScriptedModels(removals={removed.model: removed}))


def test_remove_tells_what_was_freed_and_who_else_lost_the_file() -> None:
    result = invoke(removing(Removed(SMOL.id, 98_362_432, ("me/twin:x",))), "remove", SMOL.id)
    assert result.stdout.splitlines() == [
        f"removed {SMOL.id}, 98.4 MB freed",
        "me/twin:x had the same file and is not stored any more",
    ]


def test_remove_tells_why_nothing_was_deleted() -> None:
    result = invoke(removing(Removed(ECHO.id, 0, note="it needs no file\x1b[2J")), "remove", ECHO.id)
    assert (result.exit_code, result.stdout) == (0, f"{ECHO.id}: nothing was deleted: it needs no file[2J\n")


def test_remove_prints_the_whole_answer_as_json() -> None:
    result = invoke(removing(Removed(SMOL.id, 7)), "remove", "--json", SMOL.id)
    assert json.loads(result.stdout) == {"model": SMOL.id, "freed_bytes": 7, "also": [], "note": ""}


# --- register


@pytest.mark.parametrize(
    ("name", "text", "ids"),
    [
        ("one.json", json.dumps({"id": "me/one:q4", **ROW}), ["me/one:q4"]),
        ("list.json", json.dumps([{"id": "me/one:q4", **ROW}, {"id": "me/two:q4"}]), ["me/one:q4", "me/two:q4"]),
        ("found.json", json.dumps({"servers": [], "schemas": [{"id": "me/one:q4"}]}), ["me/one:q4"]),
        ("table.json", json.dumps({"models": {"me/one:q4": ROW}}), ["me/one:q4"]),
        ("config.toml", TOML, ["me/one:q4", "me/two:q4"]),
        ("one.toml", 'id = "me/one:q4"\nengine = "echo"', ["me/one:q4"]),
    ],
)
def test_register_reads_a_model_or_several_in_toml_or_json(
    tmp_path: Path, name: str, text: str, ids: list[str]
) -> None:
    (tmp_path / name).write_text(text)
    client = ScriptedClient()
    result = invoke(client, "register", str(tmp_path / name))
    assert [row["id"] for row in client.models.registered] == ids
    assert result.stdout.splitlines() == [f"{one}: added" for one in ids]


def test_register_passes_a_row_on_as_it_is_and_tells_the_note(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(TOML)
    client = ScriptedClient(models=ScriptedModels(note="pull it first"))
    result = invoke(client, "register", str(tmp_path / "x.toml"))
    assert client.models.registered[0] == {**ROW, "id": "me/one:q4"}
    assert result.stdout.splitlines()[0] == "me/one:q4: added; pull it first"


def test_what_discover_prints_can_be_registered_from_a_pipe() -> None:
    printed = invoke(ScriptedClient(models=ScriptedModels(found=FOUND)), "discover", "--json").stdout
    client = ScriptedClient()
    result = invoke(client, "register", "--json", "-", stdin=printed)
    assert [row["id"] for row in client.models.registered] == [schema.id for schema in FOUND.schemas]
    assert [json.loads(line)["outcome"] for line in result.stdout.splitlines()] == ["added", "added"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "no JSON"),
        (b"[limits]\ninflight_per_app = 5", "has no model"),
        (b"{}", "has no model"),
        (b"\xff\xfe", "codec"),
        (b"[" * 100_000, "no JSON"),
        (b"x" * (8 * 2**20 + 1), "more than"),
    ],
    ids=["half", "config", "empty", "bytes", "deep", "long"],
)
def test_a_file_without_models_is_a_usage_error_that_names_it(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "x").write_bytes(data)
    client = ScriptedClient()
    result = invoke(client, "register", str(tmp_path / "x"))
    assert result.exit_code == 2
    assert str(tmp_path / "x") in result.stderr
    assert words in result.stderr
    assert client.models.registered == []


def test_a_file_that_is_not_there_is_told_as_json_too(tmp_path: Path) -> None:
    result = invoke(ScriptedClient(), "register", "--json", str(tmp_path / "none"))
    assert result.exit_code == 2
    error: Mapping[str, object] = json.loads(result.stderr)["error"]
    assert error["code"] == "invalid_request"


def test_unregister_tells_whether_another_row_stands_again() -> None:
    assert invoke(ScriptedClient(), "unregister", "me/one:q4").stdout == "unregistered me/one:q4\n"
    assert "stands again" in invoke(ScriptedClient(), "unregister", SMOL.id).stdout
    printed = invoke(ScriptedClient(), "unregister", "--json", SMOL.id).stdout
    assert json.loads(printed) == {"model": SMOL.id, "restored": True}


# --- discover and upgrades


def test_discover_shows_models_on_stdout_and_servers_on_stderr() -> None:
    result = invoke(ScriptedClient(models=ScriptedModels(found=FOUND)), "discover")
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["ID", "SIZE", "WHERE"],
        ["lmstudio/a/b:q4_0", "98.4", "MB", "/models/b.gguf"],
        ["ollama-server/x:3b", "-", "http://127.0.0.1:11434"],
    ]
    assert result.stderr.splitlines() == [
        "ollama at http://127.0.0.1:11434: 1 model",
        "llama_cpp at http://127.0.0.1:8080: no JSON",
    ]


def test_upgrades_show_from_to_size_fit_and_reason() -> None:
    newer = (
        Upgrade("me/old:x", "me/new:x", "it is newer", 98_362_432, fits=True),
        Upgrade("me/a:x", "me/b:x", "", 0, fits=None),
    )
    client = ScriptedClient(models=ScriptedModels(newer=newer))
    assert [line.split() for line in invoke(client, "upgrades").stdout.splitlines()] == [
        ["FROM", "TO", "SIZE", "FITS", "REASON"],
        ["me/old:x", "me/new:x", "98.4", "MB", "yes", "it", "is", "newer"],
        ["me/a:x", "me/b:x", "-", "-", "-"],
    ]
    (first, _) = json.loads(invoke(client, "upgrades", "--json").stdout)["upgrades"]
    assert first["from_model"] == "me/old:x"


# --- preflight


def test_preflight_says_whether_it_fits_who_would_leave_and_the_numbers() -> None:
    found = Preflight("me/big:q4", "fits_after_eviction", 3 * 10**9, "header", 2, 1, 4, 5, 6, ("me/a:x", "me/b:x"))
    client = ScriptedClient(models=ScriptedModels(preflights={("me/big:q4", 8_192): found}))
    shown = invoke(client, "preflight", "me/big:q4", "--context-tokens", "8192").stdout
    assert "me/big:q4 fits once these have left: me/a:x, me/b:x" in shown
    assert "inferd pull me/big:q4" in shown
    assert "estimate (header)" in shown
    assert "3.00 GB" in shown
    told = json.loads(invoke(client, "preflight", "me/big:q4", "--context-tokens", "8192", "--json").stdout)
    assert (told["preflight"]["verdict"], told["preflight"]["evicted"]) == ("fits_after_eviction", ["me/a:x", "me/b:x"])


def test_preflight_tells_of_gpus_where_a_part_of_it_is_to_lie() -> None:
    found = Preflight(
        "me/big:q4", "too_large", 10**9, "header", 2, 1, 4, 5, 6, memory="gpu", gpu_estimate_bytes=30 * 10**9
    )
    client = ScriptedClient(models=ScriptedModels(preflights={("me/big:q4", None): found}))
    shown = invoke(client, "preflight", "me/big:q4").stdout
    assert "30.0 GB" in shown
    assert "held by all models on GPUs" in shown
    assert "available on GPUs" in shown


# --- health, warm-ups, holds, pins


PROBLEMS = (
    Problem("me/a:x", "me/a:x failed: cut off", "inferd pull me/a:x", broken=True),
    Problem("memory.pinned", "no model is called b", "correct it", broken=False),
)


def report(*problems: Problem) -> Health:
    return Health(
        healthy=not any(one.broken for one in problems),
        problems=problems,
        keeper="ready",
        draining=False,
        default_model=SMOL.id,
        models_known=3,
        models_stored=2,
        models_ready=1,
        coverage=(Coverage("generate", ("me/a:x", "me/b:x"), ("me/a:x",), ("me/a:x",)),),
        troubles=(),
        processes=(Process(7, "daemon", "inferd", 41_200_000, 1.0),),
        memory_held_bytes=10**9,
        memory_limit_bytes=4 * 10**9,
        memory_available_bytes=5 * 10**9,
    )


def test_health_shows_problems_first_each_with_its_next_step_and_fails_if_something_is_broken() -> None:
    result = invoke(ScriptedClient(report=report(*PROBLEMS)), "health")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[:4] == [
        "broken: me/a:x failed: cut off",
        "next: inferd pull me/a:x",
        "note: no model is called b",
        "next: correct it",
    ]
    assert "none: this version serves no remote models" in result.stdout
    assert "1.00 GB held of 4.00 GB, 5.00 GB available on the machine" in result.stdout
    assert ["generate", "2", "1", "1", "me/a:x"] in [line.split() for line in result.stdout.splitlines()]


def test_health_is_well_with_remarks_alone() -> None:
    result = invoke(ScriptedClient(report=report(PROBLEMS[1])), "health")
    assert result.exit_code == 0
    told = invoke(ScriptedClient(report=report()), "health", "--json")
    assert json.loads(told.stdout)["health"]["healthy"] is True
    shown = invoke(ScriptedClient(report=report()), "health").stdout
    assert "nothing is wrong" in shown
    assert "GPUs" not in shown


def test_health_tells_of_gpus_that_have_memory_of_their_own() -> None:
    found = replace(report(), gpu=GpuMemory(8 * 10**9, 22 * 10**9, 14 * 10**9))
    shown = invoke(ScriptedClient(report=found), "health").stdout
    assert "8.00 GB held of 22.0 GB, 14.0 GB available" in shown


def test_warm_shows_one_line_per_name_and_fails_if_one_is_not_ready() -> None:
    warmed = {
        "a": Warmed("a", "me/a:x", ready=True, load_s=2.0),
        "b": Warmed("b", "", ready=False, code="model_not_found", message="no model is called b"),
    }
    client = ScriptedClient(models=ScriptedModels(warmed=warmed))
    result = invoke(client, "warm", "a", "b")
    assert (result.exit_code, result.stdout) == (1, "me/a:x is ready after 2.0 s\nb: no model is called b\n")
    told = invoke(client, "warm", "--json", "a")
    assert (told.exit_code, json.loads(told.stdout)["results"][0]["ready"]) == (0, True)


def test_hold_keeps_models_for_its_time_and_releases_them() -> None:
    client = ScriptedClient()
    result = invoke(client, "hold", "a", "b", "--seconds", "0.1")
    assert result.stdout == "holding a, b for 0.1 s\n"
    assert client.models.released == ["a", "b"]


def test_pin_and_unpin_say_what_they_did() -> None:
    assert invoke(ScriptedClient(), "pin", "a").stdout == "pinned a\n"
    assert json.loads(invoke(ScriptedClient(), "unpin", "a", "--json").stdout)["pinned"] is False


def test_what_keeps_a_model_in_memory_is_shown() -> None:
    rows = (replace(ECHO, pinned=True, held_s=43.0), SMOL)
    shown = invoke(ScriptedClient(models=ScriptedModels(rows=rows)), "list").stdout
    assert "pinned, held 43 s" in shown
    assert "KEPT" in invoke(ScriptedClient(), "ps").stdout
