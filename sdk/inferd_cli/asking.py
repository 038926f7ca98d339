"""One question to a model: what is asked for, made sure that the model is there, and its answer shown.

Covers: what `run`, `chat` and `demo` share. Does not cover how an answer looks: see `screen`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from inferd import Done, PullFailed, Reply
from inferd.messages.control import Priority
from inferd.messages.events import Pulled, TextDelta

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferd.messages.operations import Message
    from inferd_cli.client import Client
    from inferd_cli.screen import Screen

TIMEOUT_S: Final = 300.0
"""The SDK's own default: longest wait without progress."""


@dataclass(frozen=True, slots=True)
class Asking:
    """How a model is asked; None leaves it to the model."""

    model: str
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    priority: Priority = "interactive"
    timeout_s: float = TIMEOUT_S
    keep_alive_s: float | None = None


def fetch(client: Client, name: str, screen: Screen) -> None:
    """Return when the model called `name` is stored, showing its download if there has to be one.

    A name that the list does not decide (a family, a mistyped one) is left to the daemon, which answers at once if the
    model is there. Raises ModelNotFound, PullFailed.
    """
    held = {row.id for row in client.models.list() if row.state not in ("absent", "pulling")}
    if any(name.lower() in names_of(model) for model in held):
        return
    pull(client, name, screen)


def pull(client: Client, name: str, screen: Screen) -> Pulled:
    """Return what was fetched, showing how far it is. Leaving ends the watching only. Raises ModelNotFound, PullFailed."""
    try:
        for event in client.models.pull(name):
            screen.show(event)
            if isinstance(event, Pulled):
                return event
    finally:
        screen.close()
    raise PullFailed(f"the download of {name} ended without saying how")


@contextmanager
def leaving_told(name: str, screen: Screen) -> Iterator[None]:
    """Tell whoever interrupts the fetching of a model in this block that the daemon goes on with it."""
    try:
        yield
    except KeyboardInterrupt:
        screen.note(f"the daemon goes on fetching; to watch again: inferd pull {name}")
        raise


def names_of(model: str) -> tuple[str, ...]:
    """Return what the model with this id may also be called: without variant, without provider, without both."""
    path, _, variant = model.rpartition(":")
    last = path.rpartition("/")[2]
    return model, path, f"{last}:{variant}", last


class Answer:
    """What has come of one answer, also when it is left early."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self.reply: Reply | None = None

    @property
    def text(self) -> str:
        """The answer as far as it came."""
        return "".join(self._pieces)

    def come(self, client: Client, asking: Asking, messages: Sequence[Message], screen: Screen) -> None:
        """Return when the answer is complete; what had come before an exception stays in `text`.

        An exception on the way cancels the request. Raises the errors of the tree, and KeyboardInterrupt.
        """
        screen.wait_for("waiting for the first token")
        try:
            with client.stream(
                messages,
                model=asking.model,
                priority=asking.priority,
                timeout_s=asking.timeout_s,
                max_tokens=asking.max_tokens,
                temperature=asking.temperature,
                seed=asking.seed,
                keep_alive_s=asking.keep_alive_s,
            ) as events:
                for event in events:
                    screen.show(event)
                    if isinstance(event, TextDelta):
                        self._pieces.append(event.text)
                    elif isinstance(event, Done):
                        self.reply = event.reply
        finally:
            screen.close()
