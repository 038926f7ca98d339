"""`inferd say`: a text spoken, by the loudspeaker or into a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from inferd import AudioChunk, Loading, Parked, Queued
from inferd_cli.asking import fetch, leaving_told
from inferd_cli.documents import event_line
from inferd_cli.failures import calling
from inferd_cli.options import AsJson, Socket
from inferd_cli.piping import Feeding, text_of_stdin
from inferd_cli.playing import Output, output_to
from inferd_cli.progress import progress_of_stderr
from inferd_cli.screen import screen_of_stdout, state_words

if TYPE_CHECKING:
    from inferd import SpeechEvent
    from inferd_cli.client import Client, SpokenPieces


def say(
    context: typer.Context,
    text: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="What to say; else what is piped in, as it comes.")
    ] = None,
    *,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="A WAV file, - for stdout; else it is played.")
    ] = None,
    voice: Annotated[
        str | None, typer.Option(help="The voice's name; with --model, one of its speakers. `inferd list` shows all.")
    ] = None,
    rate: Annotated[float, typer.Option(min=0.25, max=4.0, help="Pace: 1 is the voice's own.")] = 1.0,
    model: Annotated[str | None, typer.Option(help="Else the voice decides, or inferd.")] = None,
    as_json: AsJson = False,
    socket: Socket = None,
) -> None:
    """Speak a text.

    Example: inferd run smollm2 "Tell me a story." | inferd say
    """
    words = " ".join(text) if text else None
    if words is None and sys.stdin.isatty():
        raise typer.BadParameter("nothing to say: give TEXT, or pipe it in")
    if as_json and output == "-":
        raise typer.BadParameter("--json and the sound cannot both go to stdout: give -o FILE")
    with calling(context, socket, as_json=as_json) as client, output_to(output) as sink:
        named = model or voice
        if named:
            screen = screen_of_stdout(as_json=as_json)
            with leaving_told(named, screen):
                fetch(client, named, screen)
        with _speaking(client, words, voice, rate, model) as stream:
            _play(stream, sink, as_json=as_json)


@contextmanager
def _speaking(
    client: Client, words: str | None, voice: str | None, rate: float, model: str | None
) -> Iterator[SpokenPieces]:
    """Yield the speech of a text, or of what is piped in."""
    if words is not None:
        with client.synthesis(words, voice, rate, model=model) as whole:
            yield whole
        return
    with client.synthesize_stream(voice, rate, model=model) as live, Feeding(live, text_of_stdin()):
        yield live


def _play(stream: SpokenPieces, sink: Output, *, as_json: bool) -> None:
    progress = progress_of_stderr()
    try:
        for event in stream:
            if as_json:
                typer.echo(event_line(event))
            elif isinstance(event, Queued | Loading | Parked):
                progress.state(state_words(event))
            else:
                progress.clear()
            _sound(event, sink)
    finally:
        progress.clear()


def _sound(event: SpeechEvent, sink: Output) -> None:
    if isinstance(event, AudioChunk):
        sink.write(event.pcm, event.rate_hz)
