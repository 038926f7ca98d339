"""Tables: golden lines off a terminal, the same words on one."""

from __future__ import annotations

import contextlib
import io
import json
import re
from dataclasses import asdict, replace

import pytest
from scripted_client import ECHO, REPORT, SMOL, ScriptedClient, ScriptedDaemon, ScriptedModels
from typer.testing import CliRunner, Result

from inferd import App, DaemonReport, Model
from inferd_cli.app import app
from inferd_cli.ps import activity_in, models_table, reasons_table
from inferd_cli.tables import Column, Table, plain_lines
from inferd_cli.terminal import show_table

LOADING = replace(SMOL, state="loading", progress=0.439, weights_ready=True, queued=3, pid=7010, life=1)
FAILED = replace(
    ECHO,
    id="inferd/echo:broken",
    state="backoff",
    pid=0,
    slots=0,
    retry_after_s=20.0,
    reason="it died\nwith signal 9\x1b[J",
)
BUSY = replace(ECHO, busy=3, memory_bytes=23_456_000, idle_s=5.0)
ALIVE = replace(REPORT, models=(SMOL, LOADING, FAILED, BUSY))

PS = """\
MODEL                                     STATE             MEM  SLOTS  QUEUE   PID  LIFE  IDLE  KEPT
huggingfacetb/smollm2-135m-instruct:q4_1  loading 43 %        -      -      3  7010     1     -  -
inferd/echo:broken                        backoff 20 s        -      -      0     -     2     -  -
inferd/echo:default                       ready         23.5 MB    3/4      0  7001     2     -  -

MODEL               REASON
inferd/echo:broken  it died with signal 9[J

APP     UID   PID  INFLIGHT
notes  1000  6001         1
"""
LIST = """\
ID                                        STATE      SIZE  CONTEXT  STORED  AVAILABLE  KEPT  CAPABILITIES
huggingfacetb/smollm2-135m-instruct:q4_1  absent  98.4 MB     8192  no      yes        -     generate
inferd/echo:default                       ready         -        -  yes     yes        -     -
"""
STATUS = """\
daemon       running, version 0.1.0, pid 4242
uptime       2 h 10 min
socket       /run/user/1000/inferd/inferd.sock
keeper       ready
models       1 ready, 1 stored, 2 known
apps         1 connected, 1 request unfinished
since start  12 requests, 3456 events

PROCESS  NAME                  PID      PSS         CPU
daemon   -                    4242  41.2 MB       3.2 s
keeper   -                    4250  98.0 MB        12 s
model    inferd/echo:default  7001  23.5 MB   3 min 5 s
total    -                       -   163 MB  3 min 20 s
"""


def invoke(*args: str, report: DaemonReport = REPORT, rows: tuple[Model, ...] = (ECHO, SMOL)) -> Result:
    client = ScriptedClient(models=ScriptedModels(rows), daemon=ScriptedDaemon(report))
    result = CliRunner().invoke(app, args, obj=client.connect)
    assert result.exit_code == 0, result.output
    assert client.closed
    return result


@pytest.mark.parametrize(
    ("args", "golden"),
    [(("ps",), PS), (("list",), LIST), (("status",), STATUS)],
    ids=["ps", "list", "status"],
)
def test_off_a_terminal_a_table_is_plain_aligned_lines(args: tuple[str, ...], golden: str) -> None:
    assert invoke(*args, report=ALIVE if args == ("ps",) else REPORT).stdout == golden


def test_a_table_without_rows_keeps_its_heading() -> None:
    lines = invoke("ps", report=replace(REPORT, models=(SMOL,), apps=())).stdout.splitlines()
    assert [line.split()[0] for line in lines if line] == ["MODEL", "APP"]


def test_no_cell_holds_what_parts_columns() -> None:
    table = Table((Column("A"), Column("B")), (("x   y\tz", ""), ("\x1b]0;t\x07", "b")))
    assert [re.split(r" {2,}", line) for line in plain_lines(table)] == [["A", "B"], ["x y z", "-"], ["]0;t", "b"]]


def test_json_of_status_is_the_report_under_its_own_names() -> None:
    assert json.loads(invoke("status", "--json").stdout) == json.loads(json.dumps(asdict(REPORT)))


def test_json_of_list_is_every_model_under_its_own_names() -> None:
    assert json.loads(invoke("list", "--json").stdout) == json.loads(
        json.dumps({"models": [asdict(ECHO), asdict(SMOL)]})
    )


def test_json_of_ps_is_what_is_alive() -> None:
    shown = json.loads(invoke("ps", "--json", report=ALIVE).stdout)
    assert [row["id"] for row in shown["models"]] == [LOADING.id, FAILED.id, BUSY.id]
    assert shown["apps"] == [{"app": "notes", "uid": 1000, "pid": 6001, "inflight": 1}]


def test_ps_leaves_itself_out() -> None:
    own = App("inferd", uid=1000, pid=6002, inflight=1)
    assert activity_in(replace(REPORT, apps=(own, *REPORT.apps)), own_pid=6002).apps == REPORT.apps


def test_on_a_terminal_a_table_has_the_same_words_and_nothing_foreign_acts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        show_table(models_table((FAILED, LOADING)))
        show_table(reasons_table((FAILED, LOADING)))
    drawn = shown.getvalue()
    assert "\x1b[J" not in drawn
    assert "\x1b[31mbackoff 20 s" in drawn
    plain = re.sub(r"\x1b\[[0-9;]*m", "", drawn)
    assert [line.split() for line in plain.splitlines()] == [
        line.split()
        for table in (models_table((FAILED, LOADING)), reasons_table((FAILED, LOADING)))
        for line in plain_lines(table)
    ]
