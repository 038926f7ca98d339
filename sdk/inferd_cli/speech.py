"""`inferd speech …`: who hears and who speaks, what is missing, fetched and loaded, and whether a sentence comes back.

Covers: the commands. See also: `speech_words`, what they print.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final

import typer

from inferd_cli.cleaning import clean_line
from inferd_cli.documents import document
from inferd_cli.exit_codes import ExitCode
from inferd_cli.failures import calling
from inferd_cli.options import AsJson, Socket
from inferd_cli.progress import progress_of_stderr
from inferd_cli.speech_words import health_lines, parts, policy_lines, setup_lines, smoke_lines, smoke_table
from inferd_cli.tables import show
from inferd_cli.warm import show_load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferd import Pulled, PullProgress, SpeechHealth, SpeechSetup
    from inferd.messages.speech import Prefer
    from inferd_cli.progress import Progress

speech = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Have speech ready: chosen, fetched, loaded, tried."
)


class Preference(StrEnum):
    """What counts when models are chosen."""

    latency = "latency"
    quality = "quality"


WORDS: Final[Mapping[Preference, Prefer]] = MappingProxyType(
    {Preference.latency: "latency", Preference.quality: "quality"}
)


@speech.command()
def health(context: typer.Context, *, as_json: AsJson = False, socket: Socket = None) -> None:
    """Show who hears and who speaks when a request names nobody, why, and what is missing.

    The exit code is 1 when something is.
    """
    with calling(context, socket, as_json=as_json) as client:
        found = client.speech.health()
    _tell_health(found, as_json=as_json)
    if not found.healthy:
        raise typer.Exit(ExitCode.FAILED)


@speech.command()
def policy(
    context: typer.Context,
    *,
    language: Annotated[str | None, typer.Option(help="As in `en` or `de-AT`; '' for none.")] = None,
    prefer: Annotated[
        Preference | None, typer.Option(help="The nearest and smallest, or the largest that fits.")
    ] = None,
    ear: Annotated[str | None, typer.Option(help="This model hears; '' has it chosen.")] = None,
    voice: Annotated[str | None, typer.Option(help="This model speaks; '' has it chosen.")] = None,
    local_only: Annotated[
        bool | None, typer.Option("--local-only/--remote-too", help="Whether sound and words stay on this machine.")
    ] = None,
    as_json: AsJson = False,
    socket: Socket = None,
) -> None:
    """Show, or change, by which rules models are chosen to hear and speak. A change counts at once, for all apps."""
    with calling(context, socket, as_json=as_json) as client:
        if (language, prefer, ear, voice, local_only) == (None,) * 5:
            found = client.speech.health()
        else:
            wanted: Prefer | None = None if prefer is None else WORDS[prefer]
            found = client.speech.set_policy(
                language=language, prefer=wanted, ear=ear, voice=voice, local_only=local_only
            )
    if as_json:
        typer.echo(document({"policy": found.policy, "ear": found.ear, "voice": found.voice}))
    else:
        typer.echo("\n".join(clean_line(line) for line in policy_lines(found)))


@speech.command()
def prepare(context: typer.Context, *, as_json: AsJson = False, socket: Socket = None) -> None:
    """Load the chosen ear and voice if all that they need is here, else tell what is missing.

    The exit code is 1 when something is.
    """
    progress = progress_of_stderr()
    with calling(context, socket, as_json=as_json) as client:
        try:
            done = client.speech.prepare(on_progress=lambda event: show_load(progress, event))
        finally:
            progress.clear()
    _tell_setup(done, as_json=as_json)


@speech.command()
def install(context: typer.Context, *, as_json: AsJson = False, socket: Socket = None) -> None:
    """Fetch the chosen ear and voice; Python packages that are missing are told, with the line that installs them.

    The daemon does it, and goes on when you leave with Ctrl-C. The exit code is 1 when something is missing yet.
    """
    progress = progress_of_stderr()
    with calling(context, socket, as_json=as_json) as client:
        try:
            done = client.speech.install(on_pull=lambda name, event: _show_pull(progress, name, event))
        finally:
            progress.clear()
    _tell_setup(done, as_json=as_json)


@speech.command("smoke-test")
def smoke_test(
    context: typer.Context,
    text: Annotated[str | None, typer.Argument(help="What to say; else a sentence in the voice's language.")] = None,
    *,
    remote: Annotated[bool, typer.Option("--remote", help="Test remote models, too.")] = False,
    as_json: AsJson = False,
    socket: Socket = None,
) -> None:
    """Speak a sentence with the chosen voice, have the chosen ear write it down, and compare.

    The exit code is 1 when more than one word of four is wrong, or something is missing.
    """
    progress = progress_of_stderr()
    progress.state("speaking and listening")
    with calling(context, socket, as_json=as_json) as client:
        try:
            done = client.speech.smoke_test(text, remote=remote)
        finally:
            progress.clear()
    if as_json:
        typer.echo(document(done))
    else:
        typer.echo("\n".join(clean_line(line) for line in smoke_lines(done)))
        if done.steps:
            typer.echo()
            show(smoke_table(done))
    if not done.passed:
        raise typer.Exit(ExitCode.FAILED)


def _tell_health(found: SpeechHealth, *, as_json: bool) -> None:
    if as_json:
        typer.echo(document({"health": found}))
        return
    typer.echo("\n".join(clean_line(line) for line in health_lines(found)))
    typer.echo()
    show(parts(found))


def _tell_setup(done: SpeechSetup, *, as_json: bool) -> None:
    if as_json:
        typer.echo(document(done))
    else:
        typer.echo("\n".join(clean_line(line) for line in setup_lines(done)))
        typer.echo()
        show(parts(done.health))
    if not done.ready:
        raise typer.Exit(ExitCode.FAILED)


def _show_pull(progress: Progress, name: str, event: PullProgress | Pulled) -> None:
    from inferd import PullProgress

    if isinstance(event, PullProgress):
        progress.pull(event)
    else:
        progress.clear()
        progress.note(f"{name} is stored")
