"""The line under an answer: how soon it began, how fast it came, what it waited for.

Covers: the words and the one calculation. Pure. The numbers are those of the reply, measured by the client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inferd_cli import amounts

if TYPE_CHECKING:
    from inferd import Reply

_WORTH_TELLING_S: Final = 0.05
"""A shorter wait in the queue or for a load is not felt, and is left out."""


def summary(reply: Reply) -> str:
    """Return e.g. `first token after 212 ms, 78.3 tokens/s, 45 tokens, loaded in 1.2 s`."""
    first_s = reply.first_event_s
    speed = None if first_s is None else tokens_per_s(reply.usage.completion_tokens, reply.latency_s - first_s)
    parts = (
        None if first_s is None else f"first token after {first_s * 1000:.0f} ms",
        f"{speed:.1f} tokens/s" if speed else None,
        amounts.plural(reply.usage.completion_tokens, "token"),
        f"loaded in {amounts.span(reply.load_s)}" if reply.load_s >= _WORTH_TELLING_S else None,
        f"queued for {amounts.span(reply.queue_s)}" if reply.queue_s >= _WORTH_TELLING_S else None,
    )
    return ", ".join(part for part in parts if part)


def tokens_per_s(tokens: int, time_s: float) -> float | None:
    """Return the speed of decoding after the first token; None when there is nothing to measure."""
    return (tokens - 1) / time_s if tokens > 1 and time_s > 0 else None


def remarks(reply: Reply) -> tuple[str, ...]:
    """Return what a reader has to know: that the answer was cut, or came from elsewhere, and its own warnings."""
    tokens = amounts.plural(reply.usage.completion_tokens, "token")
    cut = f"the answer was cut after {tokens}, the most that --max-tokens or the context allows"
    elsewhere = f"{reply.fallback_from} could not answer; this came from {reply.model}"
    return (
        *((cut,) if reply.stop_reason == "length" else ()),
        *((elsewhere,) if reply.fallback_from else ()),
        *reply.warnings,
    )
