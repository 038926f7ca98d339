"""`inferd serve`: become the daemon, in the foreground. The command knows its name only: it never imports it."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from inferd_cli.exit_codes import ExitCode
from inferd_cli.failures import refuse

DAEMON: Final = "inferd_daemon"


class LogLevel(StrEnum):
    """The least important lines that are written."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


def serve(
    *,
    config: Annotated[str | None, typer.Option(metavar="FILE", help="Settings, TOML.")] = None,
    socket: Annotated[str | None, typer.Option(metavar="PATH", help="Where apps connect.")] = None,
    log_level: Annotated[LogLevel | None, typer.Option(help="The least important lines to write.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write log lines as JSON.")] = False,
) -> None:
    """Run the daemon in this terminal.

    It ends with Ctrl-C or `inferd stop`. The options stand over the settings file, as INFERD_* variables do. The exit
    code is the daemon's: 0 stopped as asked, 1 it broke, 2 settings cannot be used, 3 another daemon holds the socket.
    """
    if importlib.util.find_spec(DAEMON) is None:
        refuse("the daemon is not installed here", "pip install 'inferd[daemon]'")
        raise typer.Exit(ExitCode.FAILED)
    argv = daemon_argv(config)
    os.execve(sys.executable, argv, {**os.environ, **settings(socket, log_level, as_json=as_json)})  # noqa: S606 - no shell is wanted


def daemon_argv(config: str | None = None) -> list[str]:
    """Return the daemon's command line; `-P`: a package of that name in the working directory is not run."""
    return [sys.executable, "-P", "-m", DAEMON, *(() if config is None else ("--config", config))]


def settings(
    socket: str | None = None, log_level: LogLevel | None = None, *, as_json: bool = False
) -> Mapping[str, str]:
    """Return what the options ask for as the daemon's environment settings, which stand over its file."""
    asked = {
        "INFERD_SOCKET": None if socket is None else str(Path(socket).absolute()),
        "INFERD_LOG_LEVEL": None if log_level is None else log_level.value,
        "INFERD_LOG_FORMAT": "json" if as_json else None,
    }
    return {key: value for key, value in asked.items() if value is not None}
