"""A conversation at the terminal: turns are kept, Ctrl-C ends an answer, Ctrl-D or /bye the program.

Covers: reading lines and keeping the turns. Does not cover how answers look: see `screen`.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import typer

from inferd.errors import InferenceError
from inferd.messages.operations import Message
from inferd_cli.asking import Answer, Asking
from inferd_cli.failures import tell

if TYPE_CHECKING:
    from inferd_cli.client import Client
    from inferd_cli.screen import Screen

PROMPT: Final = ">>> "
HELP: Final = "/clear forgets the conversation, /bye or Ctrl-D leaves, Ctrl-C stops an answer"


class Chat:
    """One conversation with one model; `turns` is what the model is shown next, the system's words first."""

    def __init__(self, client: Client, asking: Asking, screen: Screen, system: str | None) -> None:
        self._client = client
        self._asking = asking
        self._screen = screen
        self._opening = () if system is None else (Message("system", system),)
        self.turns: tuple[Message, ...] = self._opening

    def hold(self) -> None:
        """Return when the person has left; an error ends one answer only, also when the daemon has gone."""
        with contextlib.suppress(ImportError):  # a Python without readline still reads lines
            import readline  # noqa: F401 - gives `input` its editing and history
        typer.echo(HELP)
        while True:
            try:
                line = input(PROMPT).strip()
            except KeyboardInterrupt:
                typer.echo(f"\n{HELP}")
                continue
            except EOFError:
                typer.echo()
                return
            if line == "/bye":
                return
            self.take(line)

    def take(self, line: str) -> None:
        """Carry out one line of the person: a command, or words for the model."""
        match line:
            case "":
                pass
            case "/clear":
                self.turns = self._opening
                typer.echo("the conversation is forgotten")
            case _ if line.startswith("/"):
                typer.echo(HELP)
            case _:
                self._answer(line)

    def _answer(self, words: str) -> None:
        """Show the answer; the turn is kept if anything was said, so that the model knows what the person saw."""
        asked = (*self.turns, Message("user", words))
        answer = Answer()
        try:
            answer.come(self._client, self._asking, asked, self._screen)
        except KeyboardInterrupt:
            typer.echo("(stopped)", err=True)
        except InferenceError as error:
            tell(error, as_json=False)
        if answer.text:
            self.turns = (*asked, Message("assistant", answer.text))
