"""Rows for people: aligned plain lines off a terminal, the same columns with quiet colours on one.

Covers: plain lines. Columns are parted by two blanks or more, the heading is always there, and no cell is cut.
What the rows say is decided by the commands. See also: `terminal`, and `documents`, which programs should prefer.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

import typer

from inferd_cli.cleaning import clean_line

EMPTY: Final = "-"
"""Stands in a cell that has nothing to say, so that columns can be counted."""
_GAP: Final = "  "


@dataclass(frozen=True, slots=True)
class Column:
    """A heading; numbers stand to the right."""

    heading: str
    right: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and the cells under them; a cell may hold foreign text, which is cleaned when it is shown."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]

    def cells(self) -> list[list[str]]:
        """Return the cleaned cells, `-` in place of nothing."""
        return [[clean_line(cell) or EMPTY for cell in row] for row in self.rows]


def show(table: Table) -> None:
    """Print `table` on stdout, as fits what stdout is."""
    if not sys.stdout.isatty():
        typer.echo("\n".join(plain_lines(table)))
        return
    from inferd_cli.terminal import show_table  # here: rich is for terminals alone

    show_table(table)


def plain_lines(table: Table) -> list[str]:
    """Return the heading and one line per row, without trailing blanks."""
    lines = [[column.heading for column in table.columns], *table.cells()]
    widths = [max(len(line[index]) for line in lines) for index in range(len(table.columns))]
    return [
        _GAP.join(
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(line, widths, table.columns, strict=True)
        ).rstrip()
        for line in lines
    ]
