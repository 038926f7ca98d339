"""The commands off a terminal: what they ask, what they print where, and how they end."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from scripted_client import ECHO, REPORT, SMOL, ScriptedClient, ScriptedDaemon, ScriptedModels, answer
from typer.testing import CliRunner, Result

from inferd import (
    Cancelled,
    ConnectionLost,
    DeadlineExceeded,
    InferenceError,
    MemoryDecision,
    Message,
    ModelNotFound,
    Pulled,
    PullProgress,
    Queued,
    ThinkingDelta,
)
from inferd.version import __version__
from inferd_cli.app import app
from inferd_cli.exit_codes import MEANINGS

ABSENT = ConnectionLost("no daemon answered at /run/x.sock", details={"started": False})
DOWNLOAD = (
    PullProgress("downloading", 0, 98_362_432),
    PullProgress("downloading", 1_000_000, 98_362_432, 2_000_000.0, 48.7),
    PullProgress("downloading", 49_181_216, 98_362_432, 12_100_000.0, 4.1),
    PullProgress("verifying", 98_362_432, 98_362_432),
    Pulled(SMOL.id, 98_362_432),
)


def invoke(client: ScriptedClient, *args: str, stdin: str | bytes | None = None) -> Result:
    result = CliRunner().invoke(app, args, obj=client.connect, input=stdin)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


# --- run


def test_the_answer_alone_goes_to_a_pipe() -> None:
    client = ScriptedClient([[Queued(2), ThinkingDelta("hm"), *answer("The ", "sea\x1b[2J.")]])
    result = invoke(client, "run", "echo", "what", "is wide?")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "The sea[2J.\n", "")
    assert client.asked[0].messages == (Message("user", "what is wide?"),)
    assert client.closed


def test_every_option_reaches_the_request() -> None:
    client = ScriptedClient([answer("x")])
    options = "--system Be_brief --max-tokens 7 --temperature 0.5 --seed 3 --priority batch --timeout 9"
    invoke(client, "run", *options.split(), "inferd/echo", "hello")
    (asked,) = client.asked
    assert asked.messages == (Message("system", "Be_brief"), Message("user", "hello"))
    assert (asked.model, asked.priority, asked.timeout_s) == ("inferd/echo", "batch", 9.0)
    assert asked.options == (7, 0.5, 3)


def test_a_question_may_come_from_a_pipe() -> None:
    client = ScriptedClient([answer("x")])
    invoke(client, "run", "echo", stdin="wörds\nof two lines\n")
    assert client.asked[0].messages == (Message("user", "wörds\nof two lines"),)


def test_a_question_that_is_given_leaves_the_pipe_unread() -> None:
    client = ScriptedClient([answer("x")])
    invoke(client, "run", "echo", "given", stdin="piped")
    assert client.asked[0].messages == (Message("user", "given"),)


@pytest.mark.parametrize(
    "piped", [b"", b" \n", b"\xff\xfe", b"x" * (8 * 2**20 + 1)], ids=["none", "blank", "bytes", "long"]
)
def test_a_pipe_without_a_question_is_a_usage_error(piped: bytes) -> None:
    client = ScriptedClient([answer("x")])
    result = invoke(client, "run", "echo", stdin=piped)
    assert result.exit_code == 2
    assert client.asked == []


def test_a_model_that_is_not_stored_is_fetched_first() -> None:
    client = ScriptedClient([answer("Hello.")], ScriptedModels(pulls={SMOL.id: DOWNLOAD}))
    result = invoke(client, "run", SMOL.id, "hi")
    assert result.stdout == "Hello.\n"
    assert result.stderr.splitlines() == [
        "downloading: 0 %, 0 B of 98.4 MB",
        "downloading: 50 %, 49.2 MB of 98.4 MB, 12.1 MB/s, 4.1 s left",
        "verifying: 100 %, 98.4 MB of 98.4 MB",
    ]


@pytest.mark.parametrize("name", [ECHO.id, "inferd/echo", "echo:default", "ECHO"])
def test_a_stored_model_is_not_fetched_by_whatever_name(name: str) -> None:
    client = ScriptedClient([answer("x")])
    assert invoke(client, "run", name, "hi").exit_code == 0


def test_the_summary_is_there_when_asked_for() -> None:
    client = ScriptedClient([answer("a", "b", "c", load_s=1.5, queue_s=0.01)])
    result = invoke(client, "run", "--stats", "echo", "hi")
    assert result.stderr == "first token after 200 ms, 2.0 tokens/s, 3 tokens, loaded in 1.5 s\n"


def test_what_was_done_differently_is_said() -> None:
    client = ScriptedClient(
        [answer("a", stop_reason="length", warnings=("top_k was clamped\x1b[m",), fallback_from="other/model:x")]
    )
    assert invoke(client, "run", "echo", "hi").stderr.splitlines() == [
        "warning: the answer was cut after 1 token, the most that --max-tokens or the context allows",
        "warning: other/model:x could not answer; this came from inferd/echo:default",
        "warning: top_k was clamped[m",
    ]


def test_json_of_run_is_one_event_per_line_with_the_reply_last() -> None:
    client = ScriptedClient([[Queued(1, "busy"), *answer("é\x1b")]])
    result = invoke(client, "run", "--json", "echo", "hi")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert events[0] == {"event": "queued", "position": 1, "reason": "busy", "eta_s": None}
    assert events[1] == {"event": "text_delta", "text": "é\x1b", "logprobs": []}
    assert events[2]["event"] == "done"
    assert events[2]["reply"]["text"] == "é\x1b"
    assert events[2]["reply"]["usage"] == {"prompt_tokens": 5, "completion_tokens": 1, "cached_tokens": 0}
    assert result.stdout.isascii()


def test_an_answer_that_breaks_off_keeps_what_came_on_a_line_of_its_own() -> None:
    client = ScriptedClient([[*answer("The sea")[:1], Cancelled("the daemon stops", details={"reason": "shutdown"})]])
    result = invoke(client, "run", "echo", "hi")
    assert (result.exit_code, result.stdout) == (5, "The sea\n")
    assert result.stderr.startswith("error: the daemon stops\nnext: ")
    assert client.streams[0].left


def test_ctrl_c_leaves_the_stream_and_ends_with_130() -> None:
    client = ScriptedClient([[*answer("The sea")[:1], KeyboardInterrupt()]])
    result = invoke(client, "run", "echo", "hi")
    assert (result.exit_code, result.stdout, result.stderr) == (130, "The sea\n", "")
    assert client.streams[0].left


# --- pull, stop


def test_pull_tells_each_tenth_and_the_end() -> None:
    result = invoke(ScriptedClient(models=ScriptedModels(pulls={"smol": DOWNLOAD})), "pull", "smol")
    assert result.stdout == f"{SMOL.id} is stored (98.4 MB)\n"
    assert len(result.stderr.splitlines()) == 3


def test_json_of_pull_is_one_event_per_line() -> None:
    result = invoke(ScriptedClient(models=ScriptedModels(pulls={"smol": DOWNLOAD})), "pull", "--json", "smol")
    assert [json.loads(line)["event"] for line in result.stdout.splitlines()] == ["pull_progress"] * 4 + ["pulled"]
    assert json.loads(result.stdout.splitlines()[2])["left_s"] == 4.1


@pytest.mark.parametrize("command", [("pull", "smol"), ("run", "smol", "hi")])
def test_leaving_a_pull_says_that_the_download_goes_on(command: tuple[str, ...]) -> None:
    script = (DOWNLOAD[1], KeyboardInterrupt())
    result = invoke(ScriptedClient(models=ScriptedModels(pulls={"smol": script})), *command)
    assert result.exit_code == 130
    assert "the daemon goes on fetching; to watch again: inferd pull smol" in result.stderr


def test_stop_with_a_model_unloads_it_and_leaves_the_daemon() -> None:
    client = ScriptedClient()
    assert invoke(client, "stop", "echo").stdout == "unloaded echo\n"
    assert client.models.unloaded == ["echo"]
    assert client.daemon.graces_s == []


def test_why_shows_each_decision_and_what_would_help() -> None:
    held = MemoryDecision("load", 90.0, "notes", 600_000_000, 0, 600_000_000, 10**9, "fits: \x1b[31mit does")
    waits = MemoryDecision("wait", 2.5, "notes", 600_000_000, 600_000_000, 600_000_000, 10**9, "in use", "wait for it")
    daemon = ScriptedDaemon(decisions=(held, waits))
    shown = invoke(ScriptedClient(daemon=daemon), "why", "smol").stdout
    assert "\x1b" not in shown
    assert [line.split()[:1] for line in shown.splitlines()[:2]] == [["AGO"], ["1"]]
    assert "600 MB → 600 MB" in shown
    assert "GPU" not in shown
    on_gpu = ScriptedDaemon(decisions=(replace(held, memory="gpu"),))
    assert "600 MB GPU" in invoke(ScriptedClient(daemon=on_gpu), "why", "smol").stdout
    assert shown.splitlines()[-1] == "what helps: wait for it"
    told = json.loads(invoke(ScriptedClient(daemon=daemon), "why", "smol", "--json").stdout)
    assert [one["kind"] for one in told["decisions"]] == ["load", "wait"]


def test_stop_returns_when_the_process_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        daemon = ScriptedDaemon(ScriptedDaemon().report, on_stop=process.kill)
        daemon.report = type(REPORT)(
            version="", instance="", pid=process.pid, uptime_s=0, socket="", keeper="ready", draining=False
        )
        result = invoke(ScriptedClient(daemon=daemon), "stop", "--grace", "2")
        assert result.stdout == f"inferd is stopped (pid {process.pid})\n"
    assert daemon.graces_s == [2.0]


def test_a_grace_is_for_the_daemon_only() -> None:
    client = ScriptedClient()
    assert invoke(client, "stop", "echo", "--grace", "2").exit_code == 2
    assert client.models.unloaded == []


# --- serve


def test_serve_becomes_the_daemon_with_the_options_as_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = tmp_path / "inferd_daemon"
    room.mkdir()
    (room / "__init__.py").touch()
    (room / "__main__.py").write_text(
        "import json, os, sys\n"
        "print(json.dumps([sys.argv[1:], {k: v for k, v in os.environ.items() if k.startswith('INFERD_')}]))\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("INFERD_LOG_LEVEL", "error")
    shown = subprocess.run(
        [
            sys.executable,
            "-m",
            "inferd_cli",
            "serve",
            "--config",
            "c.toml",
            "--socket",
            "s.sock",
            "--log-level",
            "debug",
        ],
        capture_output=True,
        check=True,
        cwd=tmp_path,
    )
    argv, environment = json.loads(shown.stdout)
    assert argv == ["--config", "c.toml"]
    assert environment["INFERD_SOCKET"] == str(tmp_path / "s.sock")
    assert environment["INFERD_LOG_LEVEL"] == "debug"


def test_serve_without_the_daemon_says_how_to_install_it(tmp_path: Path) -> None:
    script = (
        "import importlib.util as u, sys; find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'inferd_daemon' else find(name, *a)\n"
        "from inferd_cli.__main__ import main; sys.argv = ['inferd', 'serve']; main()\n"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert shown.returncode == 1
    assert shown.stderr == "error: the daemon is not installed here\nnext: pip install 'inferd[daemon]'\n"


# --- what all have in common


@pytest.mark.parametrize("command", ["ps", "status", "stop"])
def test_without_a_daemon_a_command_ends_with_three_and_says_how_to_start_one(command: str) -> None:
    result = invoke(ScriptedClient(daemon=ScriptedDaemon(failure=ABSENT)), command)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == "error: no daemon answered at /run/x.sock\nnext: start the daemon with `inferd serve`\n"


def test_without_a_socket_the_answer_comes_from_the_sdk_at_once(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["status", "--socket", str(tmp_path / "none.sock")])
    assert result.exit_code == 3
    assert str(tmp_path / "none.sock") in result.stderr


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ModelNotFound("no model is called 'x'", details={"near": ("a", "b")}), 4),
        (DeadlineExceeded("nothing for 300 s"), 5),
        (InferenceError("of a newer daemon", details={"code": "new"}), 1),
    ],
)
def test_an_error_is_two_lines_or_one_of_json_and_never_a_traceback(error: InferenceError, status: int) -> None:
    client = ScriptedClient(daemon=ScriptedDaemon(failure=error))
    told, machine = invoke(client, "status"), invoke(client, "status", "--json")
    assert told.exit_code == machine.exit_code == status
    assert [line.split(":")[0] for line in told.stderr.splitlines()] == ["error", "next"]
    assert json.loads(machine.stderr) == {
        "error": {
            "code": error.code,
            "message": error.message,
            "retryable": error.retryable,
            "retry_after_s": None,
            "details": {
                key: list(value) if isinstance(value, tuple) else value for key, value in error.details.items()
            },
        }
    }
    assert machine.stdout == ""


def test_a_bug_is_not_dressed_as_an_error() -> None:
    client = ScriptedClient(daemon=ScriptedDaemon(failure=ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        invoke(client, "status")
    assert client.closed


def test_an_error_cannot_act_on_the_terminal() -> None:
    client = ScriptedClient(daemon=ScriptedDaemon(failure=InferenceError("bad \x1b]0;x\x07 name\nerror: forged")))
    assert invoke(client, "status").stderr.splitlines()[0] == "error: bad ]0;x name error: forged"


def test_help_lists_the_commands_and_every_exit_code() -> None:
    shown = invoke(ScriptedClient(), "--help").stdout
    for word in ("serve", "run", "ps", "status", "list", "pull", "stop", *MEANINGS.values()):
        assert word in shown
    assert "demo" not in shown


@pytest.mark.parametrize("command", ["serve", "run", "ps", "status", "list", "pull", "stop", "demo", "demo-voice"])
def test_every_command_has_json(command: str) -> None:
    assert "--json" in invoke(ScriptedClient(), command, "--help").stdout


def test_the_version_is_that_of_the_sdk() -> None:
    assert invoke(ScriptedClient(), "--version").stdout == f"inferd {__version__}\n"


def test_a_mistyped_command_is_a_usage_error() -> None:
    assert invoke(ScriptedClient(), "lst").exit_code == 2
    assert invoke(ScriptedClient(), "run").exit_code == 2


def test_a_reader_that_leaves_ends_the_command_without_a_traceback() -> None:
    script = (
        "from scripted_client import ScriptedClient; from inferd_cli.app import app\n"
        "app(['list', '--json'], obj=ScriptedClient().connect)\n"
    )
    fakes = Path(__file__).parent.parent / "fakes"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=fakes
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 1
