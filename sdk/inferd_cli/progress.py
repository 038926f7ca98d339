"""What is being waited for, on stderr: what a terminal and what a file or pipe is told.

Covers: the choice between the two, the words about a download, plain lines. See also: `terminal`, `screen`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, Protocol, TextIO

import typer

from inferd_cli import amounts
from inferd_cli.cleaning import clean_line

if TYPE_CHECKING:
    from inferd.messages.events import PullProgress

_TENTHS: Final = 10
_UNKNOWN_STEP_BYTES: Final = 50_000_000
"""A plain line is written at every tenth, or, while the size is unknown, so many bytes apart."""


class Progress(Protocol):
    """Shows one thing at a time; whoever uses it calls `clear` before writing elsewhere, and at the end."""

    def state(self, words: str) -> None:
        """Show what is being waited for, in place of what was shown before."""

    def pull(self, event: PullProgress) -> None:
        """Show how far a download is, in place of what was shown before."""

    def clear(self) -> None:
        """Take away what is shown; harmless when nothing is."""

    def note(self, words: str) -> None:
        """Write a line that stays."""


def progress_of_stderr() -> Progress:
    """Return the progress that fits what stderr is now."""
    if not sys.stderr.isatty():
        return PlainProgress(sys.stderr)
    from inferd_cli.terminal import TerminalProgress  # here: rich is for terminals alone

    return TerminalProgress()


def pull_cells(event: PullProgress) -> tuple[str, ...]:
    """Return share, amount, rate and time left of a download, as far as they are known."""
    done, total = amounts.size(event.done_bytes), event.total_bytes
    known = (
        amounts.percent(event.done_bytes / total) if total else None,
        f"{done} of {amounts.size(total)}" if total else done,
        amounts.rate(event.rate_bytes_s) if event.rate_bytes_s else None,
        f"{amounts.span(event.left_s)} left" if event.left_s else None,
    )
    return tuple(cell for cell in known if cell)


class PlainProgress:
    """One line at each phase and each tenth of a download; states are left out, for nobody is watching."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last: tuple[str, int] | None = None

    def state(self, words: str) -> None:
        """Write nothing."""

    def pull(self, event: PullProgress) -> None:
        """Write a line if phase or step is new."""
        total = event.total_bytes
        step = event.done_bytes * _TENTHS // total if total else event.done_bytes // _UNKNOWN_STEP_BYTES
        if self._last != (event.phase, step):
            self._last = (event.phase, step)
            self.note(f"{event.phase}: {', '.join(pull_cells(event))}")

    def clear(self) -> None:
        """Forget the last download, so that the next one is told from its beginning."""
        self._last = None

    def note(self, words: str) -> None:
        """Write the line."""
        typer.echo(clean_line(words), file=self._stream)
