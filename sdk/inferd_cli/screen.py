"""An answer as it comes: text on stdout, what is being waited for on stderr; or one line of JSON per event.

Covers: what each event of a stream looks like. Does not cover asking: see `run` and `chat`.
Order on a terminal: state or download line (vanishes), thinking (dim), text, remarks, the summary line.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol, TextIO

import typer

from inferd import Done, Reply
from inferd.messages.events import Loading, Parked, Pulled, PullProgress, Queued, TextDelta, ThinkingDelta
from inferd_cli import amounts, summary
from inferd_cli.cleaning import clean_text
from inferd_cli.documents import event_line, json_line
from inferd_cli.progress import Progress, progress_of_stderr

if TYPE_CHECKING:
    from inferd_cli.client import StreamEvent


class Screen(Protocol):
    """Shows the events of one download or answer."""

    def show(self, event: StreamEvent) -> None:
        """Show one event at once."""

    def wait_for(self, words: str) -> None:
        """Show what is being waited for, until the next thing is shown."""

    def note(self, words: str) -> None:
        """Show one line about what has been done."""

    def close(self) -> None:
        """End the line that was begun; needed also when the stream broke off. The screen can be used again."""


def screen_of_stdout(*, as_json: bool, stats: bool | None = None) -> Screen:
    """Return the screen that fits where stdout and stderr lead; `stats` None: the summary is for terminals."""
    if as_json:
        return JsonScreen(sys.stdout)
    shown = stats if stats is not None else sys.stdout.isatty() and sys.stderr.isatty()
    return TextScreen(sys.stdout, progress_of_stderr(), _thinking_of_stdout(), stats=shown)


def _thinking_of_stdout() -> Thinking | None:
    """Return where thinking goes: a terminal; None elsewhere, for a pipe wants the answer alone."""
    if not sys.stdout.isatty():
        return None
    from inferd_cli.terminal import DimText  # here: rich is for terminals alone

    return DimText()


class JsonScreen:
    """One JSON document per line and event, `done` with the whole reply last."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def show(self, event: StreamEvent) -> None:
        """Write the event's line."""
        typer.echo(event_line(event), file=self._out)

    def wait_for(self, words: str) -> None:
        """Write nothing: a program sees that nothing has come yet."""

    def note(self, words: str) -> None:
        """Write the note's line."""
        typer.echo(json_line({"event": "note", "text": words}), file=self._out)

    def close(self) -> None:
        """Do nothing: every line is whole."""


class Thinking(Protocol):
    """Where a model's thinking is shown."""

    def write(self, text: str) -> None:
        """Show the next piece."""


class TextScreen:
    """Text on `out`, everything else by `progress`; `stats`: with the summary line."""

    def __init__(self, out: TextIO, progress: Progress, thinking: Thinking | None, *, stats: bool) -> None:
        self._out = out
        self._progress = progress
        self._thinking = thinking
        self._stats = stats
        self._last = ""
        """The last character on the line; empty before the first."""
        self._thought = False

    def show(self, event: StreamEvent) -> None:
        """Show `event`; kinds that say nothing to a reader are passed over."""
        match event:
            case TextDelta(text):
                self._text(text)
            case ThinkingDelta(text):
                self._think(text)
            case PullProgress():
                self._progress.pull(event)
            case Queued() | Loading() | Parked() if not self._last:
                self._progress.state(state_words(event))
            case Pulled():
                self._progress.clear()
            case Done(reply):
                self.close()
                self._close_with(reply)
            case _:
                pass

    def wait_for(self, words: str) -> None:
        """Show `words` behind a spinner, on a terminal."""
        self._progress.state(words)

    def note(self, words: str) -> None:
        """Write a line that stays."""
        self._progress.note(words)

    def close(self) -> None:
        """Take the progress away and end the line."""
        self._progress.clear()
        if self._last not in ("", "\n"):
            self._write("\n")
        self._last = ""
        self._thought = False

    def _text(self, text: str) -> None:
        self._progress.clear()
        if self._thought:
            self._write("\n" if self._last == "\n" else "\n\n")
            self._thought = False
        self._write(clean_text(text))

    def _think(self, text: str) -> None:
        if self._thinking is None:
            return
        self._progress.clear()
        shown = clean_text(text)
        self._thinking.write(shown)
        self._last = shown[-1:] or self._last
        self._thought = True

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
        self._last = text[-1:] or self._last

    def _close_with(self, reply: Reply) -> None:
        for remark in summary.remarks(reply):
            self._progress.note(f"warning: {remark}")
        if self._stats:
            self._progress.note(summary.summary(reply))


def state_words(event: Queued | Loading | Parked) -> str:
    """Return what the state line says."""
    match event:
        case Queued():
            soon = f", about {amounts.span(event.eta_s)}" if event.eta_s is not None else ""
            why = f" ({event.reason})" if event.reason else ""
            return f"queued, position {event.position}{soon}{why}"
        case Loading():
            phase = f" ({event.phase})" if event.phase else ""
            return f"loading {event.model} {amounts.percent(event.progress)}{phase}"
        case Parked():
            return "set aside for a more urgent request"
