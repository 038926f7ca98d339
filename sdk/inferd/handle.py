"""What app code can depend on instead of a client: something that answers, whatever is behind it.

`Client` satisfies `InferenceHandle` and `AsyncClient` satisfies `AsyncInferenceHandle`; so does any object of an app's own
with the same method, in a test or around another library. Both have one method today. `embed` joins them together with the
operation: a handle that promised it before would be satisfied by nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from typing import Unpack

    from inferd.drafts import GenerateOptions, Prompt
    from inferd.messages.control import Priority
    from inferd.reply import Reply


class InferenceHandle(Protocol):
    """Answers prompts; blocks while it does."""

    def generate(
        self,
        prompt: Prompt,
        *,
        model: str | None = None,
        priority: Priority = "interactive",
        timeout_s: float = 300.0,
        **options: Unpack[GenerateOptions],
    ) -> Reply:
        """Return the whole answer; see `Client.generate` for what may be asked and raised."""
        ...


class AsyncInferenceHandle(Protocol):
    """Answers prompts; awaited."""

    async def generate(
        self,
        prompt: Prompt,
        *,
        model: str | None = None,
        priority: Priority = "interactive",
        timeout_s: float = 300.0,
        **options: Unpack[GenerateOptions],
    ) -> Reply:
        """Return the whole answer; see `AsyncClient.generate`."""
        ...
