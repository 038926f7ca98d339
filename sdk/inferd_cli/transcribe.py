"""`inferd transcribe`: the words of a sound file, or of sound as it comes through a pipe."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from inferd_cli.asking import fetch, leaving_told
from inferd_cli.failures import calling
from inferd_cli.heard import HeardScreen, heard_screen_of_stdout
from inferd_cli.options import AsJson, Socket
from inferd_cli.piping import Feeding, samples_of_stdin
from inferd_cli.screen import screen_of_stdout

if TYPE_CHECKING:
    from inferd_cli.client import Client


class Stamps(StrEnum):
    """What has its times in front of it."""

    segment = "segment"
    word = "word"


def transcribe(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A sound file (wav, flac, mp3, ogg, m4a); - for what is piped in.")
    ],
    *,
    stream: Annotated[
        bool, typer.Option("--stream", help="Listen to samples that are piped in (int16, mono), as they come.")
    ] = False,
    rate: Annotated[
        int | None, typer.Option(metavar="HZ", help="Of samples without a header; with --stream 16000 unless told.")
    ] = None,
    timestamps: Annotated[Stamps | None, typer.Option(help="A line for each, with its times.")] = None,
    language: Annotated[str | None, typer.Option(help="As in `en`; else it is recognised.")] = None,
    hint: Annotated[str | None, typer.Option("--prompt", help="Names and terms that are likely to come.")] = None,
    model: Annotated[str | None, typer.Option(help="Else inferd chooses: `inferd list` shows all.")] = None,
    as_json: AsJson = False,
    socket: Socket = None,
) -> None:
    """Write down what is said in a sound.

    Example: arecord -f S16_LE -r 16000 -t raw | inferd transcribe --stream -
    """
    if stream and file != "-":
        raise typer.BadParameter("--stream listens to a pipe: give - in place of FILE")
    screen = heard_screen_of_stdout(as_json=as_json, stamps=timestamps.value if timestamps else None)
    with calling(context, socket, as_json=as_json) as client:
        if model:
            fetching = screen_of_stdout(as_json=as_json)
            with leaving_told(model, fetching):
                fetch(client, model, fetching)
        try:
            if stream:
                _listen(client, screen, rate or 16_000, timestamps, language=language, hint=hint, model=model)
            else:
                _read(client, screen, file, rate, timestamps, language=language, hint=hint, model=model)
        finally:
            screen.close()


def _listen(
    client: Client,
    screen: HeardScreen,
    rate_hz: int,
    stamps: Stamps | None,
    *,
    language: str | None,
    hint: str | None,
    model: str | None,
) -> None:
    times: Literal["none", "word"] = "word" if stamps is Stamps.word else "none"
    with client.transcribe_stream(rate_hz, language=language, prompt=hint, timestamps=times, model=model) as stream:
        with Feeding(stream, samples_of_stdin()):
            for event in stream:
                screen.show(event)
        screen.end(stream.transcript)


def _read(
    client: Client,
    screen: HeardScreen,
    file: str,
    rate_hz: int | None,
    stamps: Stamps | None,
    *,
    language: str | None,
    hint: str | None,
    model: str | None,
) -> None:
    sound = sys.stdin.buffer.read() if file == "-" else file
    times: Literal["segment", "word"] = "word" if stamps is Stamps.word else "segment"
    with client.transcription(sound, rate_hz, language=language, prompt=hint, timestamps=times, model=model) as stream:
        for event in stream:
            screen.show(event)
        screen.end(stream.transcript())
