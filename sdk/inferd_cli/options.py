"""Options that several commands share, so that they are called and explained the same everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON under the names of the protocol's fields.")]
Socket = Annotated[
    str | None,
    typer.Option("--socket", metavar="PATH", help="The daemon's socket, where it is not this user's own."),
]
