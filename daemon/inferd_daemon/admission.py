"""Whether a request is taken at all: what can be said about it at once, before any model is touched.

Covers: limits, bounds, classes and deadlines at arrival. Does not cover the shape of a message (`inferd.wire`), what a
model can make of it (the engine), nor waiting (`scheduler`). Pure: counts and times come in, an error or None goes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from inferd import errors, wire
from inferd.messages import operations
from inferd.messages.control import PRIORITIES, Priority
from inferd_daemon.catalogue.names import VOCAB, ModelId
from inferd_daemon.ids import AppKey
from inferd_daemon.refusal import refusal

if TYPE_CHECKING:
    from inferd.messages.events import Error

MAX_WAITING_PER_MODEL: Final = 4_096
"""Twice the 200 apps with 10 streams each that the service is made to hold; Ollama stops at 512, llama-swap at 10."""

MAX_WAITING_PER_APP: Final = 128
"""For one model: half of what an app may have unfinished (`Limits.inflight`), so that it can use a second model while
one is slow."""

MAX_WAITING_BYTES: Final = 256 * 2**20
"""Of requests kept in the daemon's memory until they are dispatched: four of the largest (`Limits.message_bytes`)."""

MAX_WAITING_BYTES_PER_APP: Final = 64 * 2**20
"""One message of the largest size, or many small ones: no app can take the room of the others."""

RETRY_QUEUE_S: Final = 2.0
"""A full queue moves with every request that ends; asked again sooner it would most likely still be full."""

VOCABULARY_OPS: Final = frozenset(wire.tag(kind) for kind in operations.FOR_VOCABULARIES)
"""Operations about a model's file, for which all wait in one line."""

MODEL_OPS: Final = VOCABULARY_OPS | {wire.tag(kind) for kind in operations.FOR_MODELS}
"""Operations that name a model."""

LONGEST_TOKEN_CHARS: Final = 1_024
"""No tokenizer seen has a longer token than 512 spaces, so a text has at least its length by this in tokens."""

WORK_OPS: Final = MODEL_OPS | {wire.tag(kind) for kind in (operations.Pull, operations.Hold, operations.WarmUp)}
"""Operations that begin work; the others are answered even by a daemon that is about to end."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as it came in."""

    app: AppKey
    op: str
    named_model: str | None
    """As the envelope says."""
    model: ModelId | None
    """The one that is to serve it: what the name stands for, or the default; None: there is none."""
    capabilities: tuple[str, ...]
    """Operations that `model` serves."""
    priority: Priority
    timeout_ms: int
    sent_s: float
    """By the app's monotonic clock, which is ours; 0: unknown."""
    size_bytes: int
    least_tokens: int = 0
    """That its prompt has, whatever the tokenizer."""
    context_tokens: int = 0
    """Of prompt and answer together; 0: not known, or not in the tokens that are counted here."""
    has_wish: bool = False
    """It says how long its model is to stay loaded."""

    @property
    def line(self) -> ModelId | None:
        """Where it would wait: for its model, or for the actor that reads files."""
        return VOCAB if self.op in VOCABULARY_OPS else self.model


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who is here already, without this arrival."""

    unfinished_of_app: int = 0
    waiting_for_model: int = 0
    waiting_for_model_of_app: int = 0
    waiting_bytes: int = 0
    waiting_bytes_of_app: int = 0


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for this app now."""

    inflight: int
    """Requests that may be unfinished at a time."""
    max_class: Priority = "voice"
    """`[apps.NAME] max_class` of the configuration."""
    back_in_s: float | None = None
    """None: the daemon stays. Otherwise it leaves, and its successor can be expected then."""


def refuse(arrival: Arrival, crowd: Crowd, terms: Terms, now_s: float) -> Error | None:
    """Return why this request is not taken; None: it is.

    1. The daemon leaves, and the request would begin work.
    2. Its app has as many unfinished ones as it may.
    3. Its time was used up before it arrived.
    4. It asks for a higher class than the configuration gives its app.
    5. It says how long a model is to stay, and loads none; or names one, and the daemon answers it itself. Without one, nothing
       more is to be asked.
    6. No model is to serve it, or the model does not serve such requests.
    7. Its prompt cannot fit, however well it is tokenized; what could fit, the engine counts.
    8. Too many wait already: for the model, of this app, or too much of them.
    """
    if terms.back_in_s is not None and arrival.op in WORK_OPS:  # 1
        return _leaving(terms.back_in_s)
    if crowd.unfinished_of_app >= terms.inflight:  # 2
        return _too_many_unfinished(arrival, crowd, terms)
    if _spent_ms(arrival, now_s) >= arrival.timeout_ms:  # 3
        return _too_late(arrival, now_s)
    if PRIORITIES.index(arrival.priority) < PRIORITIES.index(terms.max_class):  # 4
        return _class_too_high(arrival, terms)
    aimless = _aimless(arrival)
    if aimless is not None or arrival.op not in MODEL_OPS:  # 5
        return aimless
    return _unserved(arrival) or _too_long(arrival) or _crowded(arrival, crowd)  # 6, 7, 8


def least_tokens(asked: operations.Generate) -> int:
    """Return how many tokens a prompt has at least: of what every honest chat template carries over in full.

    That are the words of system and user without spaces around them; templates drop the thinking of earlier answers. Nothing
    is certain where turns may be dropped.
    """
    if asked.truncate != "never":
        return 0
    kept = (message for message in asked.messages if message.role in ("system", "user"))
    return sum(map(_length, kept)) // LONGEST_TOKEN_CHARS


def _length(message: operations.Message) -> int:
    if isinstance(message.content, str):
        return len(message.content.strip())
    return sum(len(block.text.strip()) for block in message.content if isinstance(block, operations.TextBlock))


def _leaving(back_in_s: float) -> Error:
    text = f"the daemon is stopping and takes no new work; if it is a service it is back in about {back_in_s:.0f} s"
    return refusal(errors.QueueFull, text, retry_after_s=back_in_s, reason="stopping")


def _too_many_unfinished(arrival: Arrival, crowd: Crowd, terms: Terms) -> Error:
    text = (
        f"{crowd.unfinished_of_app} requests of {arrival.app.name} are unfinished and {terms.inflight} may be: "
        "await or cancel some first"
    )
    return refusal(errors.QueueFull, text, unfinished=crowd.unfinished_of_app, limit=terms.inflight)


def _spent_ms(arrival: Arrival, now_s: float) -> float:
    return max(0.0, now_s - arrival.sent_s) * 1000.0 if arrival.sent_s else 0.0


def _too_late(arrival: Arrival, now_s: float) -> Error:
    spent_ms = _spent_ms(arrival, now_s)
    text = (
        f"the request was {spent_ms:.0f} ms on its way and has {arrival.timeout_ms} ms: ask with a longer timeout, and "
        "send CLOCK_MONOTONIC as sent_s"
    )
    return refusal(errors.DeadlineExceeded, text, spent_ms=round(spent_ms), timeout_ms=arrival.timeout_ms)


def _class_too_high(arrival: Arrival, terms: Terms) -> Error:
    setting = f"apps.{arrival.app.name}.max_class"
    text = (
        f"{arrival.app.name} asks for class {arrival.priority} and the configuration allows it {terms.max_class}: "
        f"ask for {terms.max_class}, or change {setting}"
    )
    return refusal(errors.PermissionDenied, text, setting=setting, asked=arrival.priority, allowed=terms.max_class)


def _aimless(arrival: Arrival) -> Error | None:
    if arrival.has_wish and arrival.op not in MODEL_OPS - VOCABULARY_OPS:
        text = f"keep_alive_s: {arrival.op} loads no model that could stay: leave it out"
        return refusal(errors.InvalidRequest, text, field="keep_alive_s")
    if arrival.named_model is not None and arrival.op not in MODEL_OPS:
        text = (
            f"{arrival.op} is answered by the daemon itself and names the model {arrival.named_model}: leave model out"
        )
        return refusal(errors.InvalidRequest, text, field="model")
    return None


def _unserved(arrival: Arrival) -> Error | None:
    if arrival.model is None:
        text = f"no model here serves {arrival.op}: `inferd list` shows what there is, `inferd pull NAME` fetches one"
        return refusal(errors.NoEligibleModel, text, op=arrival.op)
    if arrival.op not in arrival.capabilities:
        text = f"{arrival.model} serves {', '.join(arrival.capabilities) or 'nothing'}, not {arrival.op}: name another"
        return refusal(errors.UnsupportedMode, text, op=arrival.op, serves=arrival.capabilities)
    return None


def _too_long(arrival: Arrival) -> Error | None:
    if not arrival.context_tokens or arrival.least_tokens < arrival.context_tokens:
        return None
    text = (
        f"the prompt has at least {arrival.least_tokens:,} tokens; {arrival.model} has room for "
        f"{arrival.context_tokens:,}, one of them for the answer: shorten it"
    )
    return refusal(
        errors.ContextOverflow, text, input_tokens=arrival.least_tokens, context_tokens=arrival.context_tokens
    )


def _crowded(arrival: Arrival, crowd: Crowd) -> Error | None:
    name = arrival.app.name
    bounds = (
        (crowd.waiting_for_model, 1, MAX_WAITING_PER_MODEL, f"requests for {arrival.line}"),
        (crowd.waiting_for_model_of_app, 1, MAX_WAITING_PER_APP, f"requests of {name} for {arrival.line}"),
        (crowd.waiting_bytes, arrival.size_bytes, MAX_WAITING_BYTES, "bytes of requests"),
        (crowd.waiting_bytes_of_app, arrival.size_bytes, MAX_WAITING_BYTES_PER_APP, f"bytes of requests of {name}"),
    )
    for waiting, added, limit, what in bounds:
        if waiting + added > limit:
            text = (
                f"{waiting} {what} wait, this one adds {added}, and {limit} may: try again after {RETRY_QUEUE_S:.0f} s"
            )
            return refusal(
                errors.QueueFull, text, retry_after_s=RETRY_QUEUE_S, waiting=waiting, added=added, limit=limit
            )
    return None
