"""The command line: which commands there are, and what `--help` and `--version` say."""

from __future__ import annotations

from typing import Annotated

import typer

from inferd.version import __version__
from inferd_cli import exit_codes
from inferd_cli.demo import demo
from inferd_cli.demo_voice import demo_voice
from inferd_cli.discover import discover
from inferd_cli.health import health
from inferd_cli.hold import hold
from inferd_cli.listing import list_models
from inferd_cli.pin import pin, unpin
from inferd_cli.preflight import preflight
from inferd_cli.ps import ps
from inferd_cli.pull import pull
from inferd_cli.register import register, unregister
from inferd_cli.remove import remove
from inferd_cli.run import run
from inferd_cli.say import say
from inferd_cli.serve import serve
from inferd_cli.speech import speech
from inferd_cli.status import status
from inferd_cli.stop import stop
from inferd_cli.transcribe import transcribe
from inferd_cli.upgrades import upgrades
from inferd_cli.warm import warm
from inferd_cli.why import why
from inferd_cli.wyoming import wyoming

# Plain help and usage errors: a page of boxes is hard to read in a pipe, and rich takes 50 ms to load.
app = typer.Typer(
    name="inferd",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    epilog=f"\b\nExit codes:\n{exit_codes.table()}",
)
app.command()(serve)
app.command()(run)
app.command()(transcribe)
app.command()(say)
app.add_typer(speech, name="speech")
app.command()(wyoming)
app.command()(ps)
app.command()(status)
app.command("list")(list_models)
app.command()(pull)
app.command()(why)
app.command()(preflight)
app.command()(health)
app.command()(warm)
app.command()(hold)
app.command()(pin)
app.command()(unpin)
app.command()(remove)
app.command()(register)
app.command()(unregister)
app.command()(discover)
app.command()(upgrades)
app.command()(stop)
app.command(hidden=True)(demo)
app.command(hidden=True)(demo_voice)


def _version(asked: bool) -> None:  # noqa: FBT001 - called by typer with the option's value
    if asked:
        typer.echo(f"inferd {__version__}")
        raise typer.Exit


@app.callback()
def inferd(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """One place on this machine where every app asks for inference."""
