"""What a terminal gets: the door of rich. Loaded only when stdout or stderr is one, for it takes 50 ms.

Covers: the line that lives and disappears (spinner, download bar), dim text, tables with quiet colours. rich heeds
NO_COLOR and TERM=dumb. Foreign text is cleaned here or by the caller, never read as markup.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table as RichTable
from rich.text import Text

from inferd_cli.cleaning import clean_line
from inferd_cli.progress import pull_cells
from inferd_cli.tables import EMPTY, Table

if TYPE_CHECKING:
    from rich.status import Status

    from inferd.messages.events import PullProgress

_BAR_CELLS: Final = 24
"""With the words beside it the line fits 80 columns."""

_STYLES: Final = {
    "ready": "green",
    "running": "green",
    "loading": "yellow",
    "pulling": "yellow",
    "draining": "yellow",
    "starting": "yellow",
    "backoff": "red",
    "failed": "red",
    "down": "red",
}
"""First word of a cell → its colour; the words alone carry the meaning."""


def show_table(table: Table) -> None:
    """Print `table` on stdout, folded to the terminal's width."""
    shown = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in table.columns:
        shown.add_column(column.heading, justify="right" if column.right else "left", overflow="fold")
    for row in table.cells():
        shown.add_row(*(Text(cell, style=_style(cell)) for cell in row))
    Console().print(shown)


def _style(cell: str) -> str:
    return "dim" if cell == EMPTY else _STYLES.get(cell.partition(" ")[0], "")


class DimText:
    """Dim text, piece by piece: a model's thinking."""

    def __init__(self, console: Console | None = None) -> None:
        """`console`: None for stdout."""
        self._console = console or Console()

    def write(self, text: str) -> None:
        """Show the next piece."""
        self._console.print(Text(text, style="dim"), end="", soft_wrap=True)


class TerminalProgress:
    """A spinner with words, or a bar; both vanish when cleared. Drawn by rich's own thread while shown."""

    def __init__(self, console: Console | None = None) -> None:
        """`console`: None for stderr."""
        self._console = console or Console(stderr=True)
        self._status: Status | None = None
        self._bar: tuple[Progress, TaskID] | None = None

    def state(self, words: str) -> None:
        """Show `words` behind a spinner."""
        shown = Text(clean_line(words), style="dim", overflow="ellipsis", no_wrap=True)
        if self._status is None:
            self.clear()
            self._status = self._console.status(shown, spinner_style="dim")
            self._status.start()
        self._status.update(shown)

    def pull(self, event: PullProgress) -> None:
        """Move the bar; without a total it only shows that something moves."""
        if self._bar is None:
            self.clear()
            bar = _make_bar(self._console)
            self._bar = bar, bar.add_task("", total=None, cells="")
            bar.start()
        bar, task = self._bar
        cells = "  ".join(pull_cells(event))
        bar.update(task, description=event.phase, completed=event.done_bytes, total=event.total_bytes, cells=cells)

    def clear(self) -> None:
        """Take spinner or bar off the screen."""
        if self._status is not None:
            self._status.stop()
            self._status = None
        if self._bar is not None:
            self._bar[0].stop()
            self._bar = None

    def note(self, words: str) -> None:
        """Write a dim line that stays."""
        self.clear()
        self._console.print(Text(clean_line(words), style="dim"))


def _make_bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=_BAR_CELLS),
        TextColumn("{task.fields[cells]}", style="dim", markup=False),
        console=console,
        transient=True,
    )
