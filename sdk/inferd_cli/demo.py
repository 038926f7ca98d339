"""`inferd demo`, not shown in the help: from nothing to a streamed answer, step by step, and everything put back.

Covers: the steps. See also: `hosting` (the daemon for it), `make demo`, which installs first.
"""

from __future__ import annotations

import signal
import time
from typing import Annotated, Final

import typer

from inferd.messages.operations import Message
from inferd_cli.asking import Answer, Asking, fetch
from inferd_cli.client import connect
from inferd_cli.failures import telling
from inferd_cli.hosting import hosted, since, step
from inferd_cli.options import AsJson, Socket
from inferd_cli.screen import screen_of_stdout

STARTER: Final = "huggingfacetb/smollm2-135m-instruct:q4_1"
"""The small model that needs no hub: it comes in a Python package (the daemon's catalogue says which)."""
QUESTION: Final = "Write two sentences about the sea."
"""A model of this size is fluent but knows few facts, so it is asked for none."""


def demo(
    context: typer.Context,
    *,
    question: Annotated[str, typer.Option(help="What to ask.")] = QUESTION,
    model: Annotated[str, typer.Option(help="Whom to ask.")] = STARTER,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the daemon running.")] = False,
    as_json: AsJson = False,
    socket: Socket = None,
) -> None:
    """Show everything once: start the daemon, fetch the starter model, stream an answer, stop the daemon."""
    # A demo that is ended by a signal puts everything back, as one that is interrupted does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    screen = screen_of_stdout(as_json=as_json, stats=True)
    with telling(as_json=as_json), hosted(context.obj or connect, socket, screen, keep=keep) as client:
        began_s = time.monotonic()
        screen.wait_for(f"looking for {model}")
        fetch(client, model, screen)
        screen.note(step("model", f"{model} is stored ({since(began_s)})"))
        screen.note(step("question", question))
        Answer().come(client, Asking(model), (Message("user", question),), screen)
