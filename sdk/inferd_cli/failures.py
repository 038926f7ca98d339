"""The border of every command: a client for its time, and every error of the tree as two lines and a status.

Covers: `calling`, inside which a command may use its client freely, and how an error is put out. Bugs are not caught:
they are not in the tree and deserve their traceback. See also: `advice`, `exit_codes`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from inferd.errors import InferenceError
from inferd_cli.advice import next_step
from inferd_cli.cleaning import clean_line
from inferd_cli.client import Client, Connect, connect
from inferd_cli.documents import error_line
from inferd_cli.exit_codes import ExitCode, exit_code

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def calling(context: typer.Context, socket: str | None, *, as_json: bool) -> Iterator[Client]:
    """Yield a client and close it afterwards.

    An error of the tree ends the command with the error's two lines on stderr and its status; Ctrl-C with status 130.
    """
    make: Connect = context.obj or connect
    with telling(as_json=as_json):
        client = make(socket)
        try:
            yield client
        finally:
            client.close()


@contextmanager
def telling(*, as_json: bool) -> Iterator[None]:
    """Turn what ends the block early into an exit: errors of the tree are told, Ctrl-C is not."""
    try:
        yield
    except InferenceError as error:
        tell(error, as_json=as_json)
        raise typer.Exit(exit_code(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def tell(error: InferenceError, *, as_json: bool) -> None:
    """Write `error` to stderr: what happened and what to do next, or one line of JSON."""
    if as_json:
        typer.echo(error_line(error), err=True)
        return
    refuse(str(error) or error.code, next_step(error))


def refuse(what: str, then: str) -> None:
    """Write the two lines that every failure has."""
    typer.echo(f"error: {clean_line(what)}\nnext: {clean_line(then)}", err=True)
