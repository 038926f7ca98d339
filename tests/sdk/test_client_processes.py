"""A client in a process that forks, exits or is interrupted; each case is a program of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from scripted_daemon import ScriptedDaemon, answering

from inferd.messages import control, events

ANSWER = answering(events.TextDelta("a"), events.Finished("m"))
PATIENCE_S = 30.0
"""A program that hangs fails its test by this."""

FORK = """
import os, sys, warnings
import inferd
warnings.simplefilter("ignore")  # forking with threads about is what is tried here
client = inferd.Client("fork", socket=sys.argv[1])
print("parent", client.generate("hi").text, flush=True)
stream = client.stream("hi")
child = os.fork()
if child == 0:
    try:
        next(stream)
    except inferd.ConnectionLost as lost:
        print("child", lost, flush=True)
    print("child", client.generate("hi").text, flush=True)
    stream.close()
    client.close()
    sys.exit(7)
status = os.waitpid(child, 0)[1]
print("child left with", os.waitstatus_to_exitcode(status), flush=True)
print("parent", stream.reply().text, client.generate("hi").text, flush=True)
"""

FORKED_AT_ONCE = """
import os, sys, warnings
import inferd
warnings.simplefilter("ignore")
client = inferd.Client("fork", socket=sys.argv[1])
client.ping()
if os.fork() == 0:
    print("child", client.generate("hi").text, flush=True)
    os._exit(0)
os.wait()
print("parent", client.generate("hi").text, flush=True)
"""

LIVE_AT_EXIT = """
import sys
import inferd
client = inferd.Client("exit", socket=sys.argv[1])
stream = client.stream("hi")
next(stream)
print("leaving", flush=True)
"""

LIVE_WITHOUT_DAEMON = """
import sys
import inferd
client = inferd.Client("exit", socket=sys.argv[1])
stream = client.stream("hi")
print("leaving", flush=True)
"""

LIVE_LOOP_AT_EXIT = """
import asyncio, sys
import inferd
client = inferd.AsyncClient("exit", socket=sys.argv[1])
async def main():
    asyncio.get_running_loop().slow_callback_duration = 60  # a busy machine is not what is tried here
    stream = client.stream("hi")
    await anext(stream)
    kept.append(stream)
kept = []
asyncio.run(main())
print("leaving", flush=True)
"""

INTERRUPTED = """
import sys
import inferd
client = inferd.Client("interrupt", socket=sys.argv[1])
stream = client.stream("hi")
next(stream)
try:
    print("waiting", flush=True)
    stream.reply()
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def run(program: str, path: Path) -> list[str]:
    """Return the lines that a program prints; it must end by itself, in peace."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", program, str(path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout.splitlines()


def test_a_client_works_on_both_sides_of_a_fork_and_streams_stay_where_they_were_opened(tmp_path: Path) -> None:
    with ScriptedDaemon(tmp_path / "s", script=ANSWER) as daemon:
        said = run(FORK, tmp_path / "s")
        sessions = {daemon.next(control.Hello).app_session for _ in range(2)}
        assert daemon.heard_no(control.Cancel)
    assert said == [
        "parent a",
        "child this stream was opened before a fork: use it in the parent, or ask again",
        "child a",
        "child left with 7",
        "parent a a",
    ]
    assert len(sessions) == 2


def test_a_forked_child_that_ends_abruptly_leaves_the_parents_line_alone(tmp_path: Path) -> None:
    with ScriptedDaemon(tmp_path / "s", script=ANSWER):
        assert run(FORKED_AT_ONCE, tmp_path / "s") == ["child a", "parent a"]


@pytest.mark.parametrize("program", [LIVE_AT_EXIT, LIVE_LOOP_AT_EXIT])
def test_a_program_that_ends_with_a_live_stream_does_not_hang_and_says_goodbye(program: str, tmp_path: Path) -> None:
    with ScriptedDaemon(tmp_path / "s", script=answering(events.TextDelta("a"))) as daemon:
        assert run(program, tmp_path / "s") == ["leaving"]
        daemon.next(control.Goodbye)


def test_a_program_that_ends_while_it_looks_for_a_daemon_does_not_hang(tmp_path: Path) -> None:
    assert run(LIVE_WITHOUT_DAEMON, tmp_path / "s") == ["leaving"]


def test_an_interrupt_reaches_a_program_that_waits(tmp_path: Path) -> None:
    with ScriptedDaemon(tmp_path / "s", script=answering(events.TextDelta("a"))) as daemon:
        command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "s")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
            assert program.stdout
            assert program.stdout.readline() == "waiting\n"
            program.send_signal(signal.SIGINT)
            assert program.communicate(timeout=PATIENCE_S)[0] == "interrupted\n"
        daemon.next(control.Goodbye)


def test_importing_the_face_loads_neither_asyncio_nor_anything_beyond_its_three_libraries() -> None:
    program = (
        "import sys; import inferd; "
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'asyncio', 'ssl', 'numpy', 'ray', 'typer'})); "
        "print(inferd.AsyncClient.__name__, 'asyncio' in sys.modules)"
    )
    assert run(program, Path("/unused")) == ["[]", "AsyncClient True"]
