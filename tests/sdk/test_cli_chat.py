"""The conversation: turns are kept, Ctrl-C ends an answer only; once through a real terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Self

import pytest
from scripted_client import Script, ScriptedClient, answer

from inferd import GenerateEvent, Message, ModelFailed
from inferd_cli.asking import Asking
from inferd_cli.chat import HELP, PROMPT, Chat
from inferd_cli.screen import screen_of_stdout

PROGRAM = Path(__file__).parent.parent / "fakes" / "scripted_client.py"


def chat(*answers: Script[GenerateEvent], system: str | None = None) -> tuple[Chat, ScriptedClient]:
    client = ScriptedClient(answers)
    return Chat(client, Asking("echo"), screen_of_stdout(as_json=False), system), client


def test_each_question_is_asked_with_the_turns_before_it() -> None:
    talk, client = chat(answer("Hi \x1b!"), answer("Fine."), system="Be brief")
    talk.take("hello")
    talk.take("how are you?")
    opening = (Message("system", "Be brief"), Message("user", "hello"))
    assert client.asked[0].messages == opening
    assert client.asked[1].messages == (*opening, Message("assistant", "Hi \x1b!"), Message("user", "how are you?"))


def test_an_answer_that_was_stopped_counts_as_far_as_it_was_seen() -> None:
    talk, client = chat([*answer("The sea")[:1], KeyboardInterrupt()])
    talk.take("hello")
    assert talk.turns == (Message("user", "hello"), Message("assistant", "The sea"))
    assert client.streams[0].left


def test_a_question_that_failed_is_as_if_never_asked(capsys: pytest.CaptureFixture[str]) -> None:
    talk, _ = chat([ModelFailed("it died")])
    talk.take("hello")
    assert talk.turns == ()
    assert capsys.readouterr().err.startswith("error: it died\nnext: ")


def test_clear_forgets_all_but_the_system_words() -> None:
    talk, client = chat(answer("Hi"), system="Be brief")
    talk.take("hello")
    talk.take("/clear")
    assert talk.turns == (Message("system", "Be brief"),)
    talk.take("")
    talk.take("/unknown")
    assert len(client.asked) == 1


class Terminal:
    """The command on a terminal of its own; what is typed is sent as keys, so Ctrl-C is the terminal's."""

    def __init__(self, *args: str) -> None:
        argv = [sys.executable, str(PROGRAM), *args]
        spawn = f"import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn({argv!r})))"
        self.process = subprocess.Popen(
            [sys.executable, "-c", spawn],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "TERM": "xterm", "NO_COLOR": "1"},
        )
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def until(self, words: str) -> str:
        """Return what the terminal showed up to and with `words`."""
        assert self.process.stdout is not None
        while words.encode() not in self._unread:
            piece = os.read(self.process.stdout.fileno(), 4096)
            assert piece, f"ended without {words!r}: {self._unread!r}"
            self._unread += piece
        shown, _, self._unread = self._unread.partition(words.encode())
        return shown.decode() + words

    def type(self, keys: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(keys.encode())
        self.process.stdin.flush()


def test_a_conversation_on_a_terminal() -> None:
    with Terminal("run", "inferd/echo") as terminal:
        terminal.until(HELP)
        terminal.until(PROMPT)
        terminal.type("hello\n")
        shown = terminal.until("It is [31mdeep.")
        assert "loading inferd/echo:default 43 %" in shown
        assert shown.rindex("\x1b[2K") < shown.rindex("The sea is wide.")
        terminal.until("first token after 200 ms")
        terminal.until(PROMPT)
        terminal.type("more\n")
        terminal.until("It never ")
        terminal.type("\x03")
        terminal.until("(stopped)")
        terminal.until(PROMPT)
        # Python sees a signal that comes before readline waits only once the line ends, so the line is ended as well.
        terminal.type("\x03\n")
        terminal.until(HELP)
        terminal.until(PROMPT)
        terminal.type("again\n")
        terminal.until("Goodbye.")
        terminal.until(PROMPT)
        terminal.type("\x04")
        assert terminal.process.wait() == 0
