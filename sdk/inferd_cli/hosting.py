"""A daemon for the time of a demo: the one that answers, or one of our own that is gone afterwards with all it started.

Covers: starting, watching the start, showing the log when it fails, stopping. Does not cover services: those are units
of the system. See also: `serve` (the daemon's command line), `ending` (how its end is seen).
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from inferd.errors import ConnectionLost, DeadlineExceeded, InferenceError
from inferd_cli import amounts
from inferd_cli.cleaning import clean_line
from inferd_cli.ending import watching
from inferd_cli.exit_codes import ExitCode, daemon_absent
from inferd_cli.failures import refuse
from inferd_cli.serve import daemon_argv, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferd_cli.client import Client, Connect
    from inferd_cli.screen import Screen

START_S: Final = 60.0
"""For the daemon and again for its keeper: Ray takes 3 to 9 s on two quiet cores, several times that on busy ones."""
STOP_S: Final = 60.0
"""Some of Ray's own processes were seen to linger for 40 s."""
PAUSE_S: Final = 0.1
"""Between two looks at a daemon that is starting: short beside a start, long beside a look."""
LOG_LINES: Final = 20
"""What is shown of the log of a daemon that did not start: one screen, with room for the error."""


@contextmanager
def hosted(make: Connect, socket: str | None, screen: Screen, *, keep: bool) -> Iterator[Client]:
    """Yield a client of a daemon whose keeper is ready.

    Blocks while they start. A daemon that was started here has ended, with all its processes, when the block is left,
    unless it is to be kept. Raises ConnectionLost (it did not start; its log is shown), DeadlineExceeded.
    """
    found = _answering(make, socket)
    with ExitStack() as left:
        left.callback(screen.close)
        if found is None:
            found = left.enter_context(_own(make, socket, screen, keep=keep))
        else:
            screen.note(step("daemon", "found running"))
        left.callback(found.close)
        _await_keeper(found, screen)
        yield found


def step(what: str, said: str) -> str:
    """Return a line about one step."""
    return f"{what}: {said}"


def since(began_s: float) -> str:
    """Return how long ago `began_s` was, of `time.monotonic`."""
    return amounts.span(time.monotonic() - began_s)


@contextmanager
def _own(make: Connect, socket: str | None, screen: Screen, *, keep: bool) -> Iterator[Client]:
    """Yield a client of a daemon that is started now; on leaving, end it or say where it is."""
    with tempfile.NamedTemporaryFile(prefix="inferd-demo-", suffix=".log", delete=False) as log:
        process = subprocess.Popen(
            daemon_argv(),
            env={**os.environ, **settings(socket)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C in this terminal is for the demo, which then stops the daemon in order
        )
    try:
        yield _await_daemon(make, socket, process, Path(log.name), screen)
    finally:
        if keep and process.poll() is None:
            screen.note(step("daemon", f"left running, pid {process.pid}, log {log.name}; `inferd stop` ends it"))
        else:
            _end(process, _pids(make, socket), screen)
            Path(log.name).unlink(missing_ok=True)


def _await_daemon(
    make: Connect, socket: str | None, process: subprocess.Popen[bytes], log: Path, screen: Screen
) -> Client:
    began_s = time.monotonic()
    while (client := _answering(make, socket)) is None:
        if process.poll() is not None or time.monotonic() - began_s > START_S:
            screen.close()
            _show_end_of(log)
            ended = "does not answer" if process.returncode is None else f"ended with status {process.returncode}"
            raise ConnectionLost(f"the daemon {ended}, {since(began_s)} after its start", details={"started": False})
        screen.wait_for(f"starting the daemon ({since(began_s)})")
        time.sleep(PAUSE_S)
    screen.note(step("daemon", f"started in {since(began_s)}, pid {process.pid}"))
    return client


def _await_keeper(client: Client, screen: Screen) -> None:
    began_s = time.monotonic()
    while client.daemon.status().keeper != "ready":
        if time.monotonic() - began_s > START_S:
            raise DeadlineExceeded(
                f"the keeper is not ready after {amounts.span(START_S)}; without it no model is loaded"
            )
        screen.wait_for(f"starting the keeper, which starts models ({since(began_s)})")
        time.sleep(PAUSE_S)
    screen.note(step("keeper", f"ready after {since(began_s)}"))


def _answering(make: Connect, socket: str | None) -> Client | None:
    """Return a client whose daemon answers; None when none does."""
    client = make(socket)
    try:
        client.daemon.status()
    except InferenceError as error:
        client.close()
        if daemon_absent(error):
            return None
        raise
    return client


def _pids(make: Connect, socket: str | None) -> set[int]:
    """Return the processes of the service, as far as a daemon answers."""
    client = _answering(make, socket)
    if client is None:
        return set()
    try:
        return {row.pid for row in client.daemon.status().processes}
    finally:
        client.close()


def _end(process: subprocess.Popen[bytes], pids: set[int], screen: Screen) -> None:
    """Return when the daemon and its processes are gone; those that stay are named, with a status of failure."""
    began_s = time.monotonic()
    screen.close()
    screen.wait_for("stopping the daemon")
    with watching({process.pid, *pids}) as wait:
        process.terminate()  # it drains, as `inferd stop` makes it do
        left = wait(STOP_S)
    if process.pid in left:
        process.kill()
    process.wait()
    screen.close()
    if left:
        refuse(f"still running after {amounts.span(STOP_S)}: {sorted(left)}", "look at these processes, then kill them")
        raise typer.Exit(ExitCode.FAILED)
    screen.note(step("daemon", f"stopped in {since(began_s)}"))


def _show_end_of(log: Path) -> None:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
    typer.echo("\n".join(clean_line(line) for line in lines), err=True)
