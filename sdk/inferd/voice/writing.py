"""A model as the source of a session's answers.

Covers: what is asked of it beside the conversation, and a model that cannot be asked so. Does not cover when: `turns` decides.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from inferd.errors import UnsupportedMode
from inferd.messages.events import TextDelta
from inferd.reply import Done

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from inferd.aio import AsyncClient
    from inferd.drafts import GenerateOptions
    from inferd.messages.control import Priority
    from inferd.messages.operations import Message

    Warn = Callable[[Sequence[str]], None]


class Writer:
    """Asks one model, turn after turn.

    A conversation that outgrows the model's context goes on without its oldest turns (`truncate` "oldest", told as a warning).
    A model that does not serve that is asked without it, for the rest of the session. What the app's options say stands.
    """

    def __init__(
        self,
        client: AsyncClient,
        model: str | None,
        options: GenerateOptions | None,
        *,
        priority: Priority,
        timeout_s: float,
    ) -> None:
        self._client = client
        self._model = model
        self._priority: Priority = priority
        self._timeout_s = timeout_s
        self._plain: GenerateOptions = {"thinking": "off", **(options or {})}
        self._options: GenerateOptions = {"truncate": "oldest", **self._plain}

    async def answer(self, messages: Sequence[Message], warn: Warn) -> AsyncGenerator[str, None]:
        """Yield the answer, piece by piece; `warn` is called once with the model's warnings, behind the last of them.

        Raises what `AsyncClient.stream` raises.
        """
        options = self._options  # another attempt may change them meanwhile
        try:
            async with aclosing(self._ask(messages, options, warn)) as pieces:
                async for text in pieces:
                    yield text
        except UnsupportedMode as refused:  # before any text: the request as such was refused
            if options == self._plain or refused.details.get("field") != "body.truncate":
                raise
            self._options = self._plain
        else:
            return
        async with aclosing(self._ask(messages, self._plain, warn)) as pieces:
            async for text in pieces:
                yield text

    async def _ask(
        self, messages: Sequence[Message], options: GenerateOptions, warn: Warn
    ) -> AsyncGenerator[str, None]:
        async with self._client.stream(
            messages, model=self._model, priority=self._priority, timeout_s=self._timeout_s, **options
        ) as stream:
            async for event in stream:
                if isinstance(event, TextDelta):
                    yield event.text
                elif isinstance(event, Done):
                    warn(event.reply.warnings)
