"""`inferd run`: one question, or a conversation when none is given on a terminal."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from inferd.messages.bounds import MAX_TEXT_CHARS
from inferd.messages.operations import Message
from inferd_cli.asking import TIMEOUT_S, Answer, Asking, fetch, leaving_told
from inferd_cli.chat import Chat
from inferd_cli.failures import calling
from inferd_cli.options import AsJson, Socket
from inferd_cli.screen import screen_of_stdout


class Urgency(StrEnum):
    """The classes of `inferd.messages.control.PRIORITIES`, the most urgent first."""

    voice = "voice"
    interactive = "interactive"
    batch = "batch"
    background = "background"


def run(
    context: typer.Context,
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="The model's id, or a shorter name that fits one only.")
    ],
    prompt: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT", help="The question; else stdin, else a conversation.")
    ] = None,
    *,
    system: Annotated[str | None, typer.Option(help="Instructions that stand before the conversation.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Longest answer.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0.0, max=10.0, help="0: always the likeliest token.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="The same seed gives the same answer.")] = None,
    priority: Annotated[Urgency, typer.Option(help="Who waits for whom.")] = Urgency.interactive,
    timeout: Annotated[float, typer.Option(min=0.001, metavar="S", help="Longest wait without progress.")] = TIMEOUT_S,
    keep_alive: Annotated[
        float | None, typer.Option(min=0.0, metavar="S", help="How long the model stays loaded afterwards, unused.")
    ] = None,
    stats: Annotated[bool | None, typer.Option("--stats/--no-stats", help="The line under the answer.")] = None,
    as_json: AsJson = False,
    socket: Socket = None,
) -> None:
    """Ask a model; its answer is shown as it comes.

    A model that is not stored is fetched first. Without PROMPT: reads the question from a pipe; on a terminal, holds a
    conversation.
    """
    words = _question(prompt, as_json=as_json)
    with calling(context, socket, as_json=as_json) as client:
        asking = Asking(model, max_tokens, temperature, seed, priority.value, timeout, keep_alive)
        screen = screen_of_stdout(as_json=as_json, stats=stats)
        with leaving_told(model, screen):
            fetch(client, model, screen)
        if words is None:
            Chat(client, asking, screen, system).hold()
        else:
            opening = () if system is None else (Message("system", system),)
            Answer().come(client, asking, (*opening, Message("user", words)), screen)


def _question(prompt: list[str] | None, *, as_json: bool) -> str | None:
    """Return the question; None: hold a conversation. A question that is given leaves stdin alone."""
    if prompt:
        return " ".join(prompt)
    if not sys.stdin.isatty():
        return _piped()
    if as_json:
        raise typer.BadParameter("--json needs a question: give PROMPT, or pipe it in")
    return None


def _piped() -> str:
    """Return all of stdin; refuses what cannot be a question: nothing, no text, or more than a message may hold."""
    limit = MAX_TEXT_CHARS
    given = sys.stdin.buffer.read(limit + 1)
    if len(given) > limit:
        raise typer.BadParameter(f"the question on stdin is longer than {limit} bytes")
    try:
        words = given.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"stdin is not text: byte {error.start} is no UTF-8") from None
    if not words:
        raise typer.BadParameter("no question: give PROMPT, or pipe it in")
    return words
