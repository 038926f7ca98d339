"""`inferd wyoming`: become the Wyoming bridge, in the foreground. The command knows its name only: it never imports it."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Annotated, Final

import typer

from inferd_cli.exit_codes import ExitCode
from inferd_cli.failures import refuse
from inferd_cli.options import Socket

BRIDGE: Final = "inferd_bridges.wyoming"


def wyoming(
    *,
    uri: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URI",
            help="Where to listen, once or more: tcp://HOST:PORT, unix:///PATH. Else tcp://127.0.0.1:10300.",
        ),
    ] = None,
    stt: Annotated[str | None, typer.Option(metavar="MODEL", help="Who hears when a client names nobody.")] = None,
    tts: Annotated[str | None, typer.Option(metavar="VOICE", help="Who speaks when a client names nobody.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Say as JSON, on one line, what is served where.")] = False,
    socket: Socket = None,
) -> None:
    """Serve Home Assistant and other clients of the Wyoming protocol: speech to text and text to speech.

    It ends with Ctrl-C. The protocol has no authentication: whoever reaches a port may use the models.

    Example: inferd wyoming --uri tcp://0.0.0.0:10300 --stt whisper-base --tts en_us-joe-medium
    """
    if importlib.util.find_spec("wyoming") is None:
        refuse("the Wyoming bridge is not installed here", "pip install 'inferd[wyoming]'")
        raise typer.Exit(ExitCode.FAILED)
    given = {"--stt": stt, "--tts": tts, "--socket": socket}
    argv = [sys.executable, "-P", "-m", BRIDGE]
    argv += [f"--uri={one}" for one in uri or ()]
    argv += [f"{option}={value}" for option, value in given.items() if value is not None]
    argv += ["--json"] if as_json else []
    os.execv(sys.executable, argv)  # noqa: S606 - no shell is wanted
