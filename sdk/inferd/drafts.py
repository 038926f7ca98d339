"""What an app asks, checked and packed in the app's own thread; only the request's number and window are missing.

Covers: keyword arguments → operation → packed body, with every mistake raised as `InvalidRequest` naming the field. Why
here and not in the I/O thread: checking megabytes of prompt there would hold up every other stream of the client. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Final, Literal, TypedDict

from inferd import wire
from inferd.errors import InvalidRequest, ProtocolError
from inferd.fields import FieldError
from inferd.messages import control, operations
from inferd.messages.control import Priority
from inferd.messages.operations import Message

Prompt = str | Sequence[Message | Mapping[str, object]]
"""Words (one user message), or the turns of a conversation; a mapping has the fields of `Message`."""

STREAM_TIMEOUT_S: Final = 300.0
"""Default of what may have to load or fetch a model first; any progress starts it anew."""
UNLOAD_TIMEOUT_S: Final = 60.0
"""Default of an unload, which waits for the streams that the model is busy with."""
CALL_TIMEOUT_S: Final = 10.0
"""Default of everything else: the daemon answers by itself, at once."""
MAX_TIMEOUT_S: Final = 7 * 24 * 3600.0
"""The wire's own bound (`bounds.Milliseconds`)."""
MAX_GRACE_S: Final = 600.0
"""The wire's own bound (`operations.Stop`)."""
_BODY_KEY: Final = b"\xa4body"
"""msgpack of the string "body"."""


class GenerateOptions(TypedDict, total=False):
    """What `generate` and `stream` take beside the prompt; absent ones have the model's, or the operation's, default.

    Ranges are those of `inferd.messages.operations.Generate`; anything outside is `InvalidRequest` naming the field.
    """

    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    min_p: float | None
    seed: int | None
    stop: str | Sequence[str]
    presence_penalty: float
    frequency_penalty: float
    repeat_penalty: float
    logit_bias: Mapping[str, float] | None
    logprobs: int | None
    thinking: Literal["auto", "on", "off"]
    thinking_budget: int | None
    tools: Sequence[Mapping[str, object]]
    tool_choice: Literal["auto", "none", "required"] | Mapping[str, object]
    parallel_tool_calls: bool
    response_format: Mapping[str, object] | None
    truncate: Literal["never", "oldest"]
    shared_prefix: bool


@dataclass(frozen=True, slots=True)
class Draft:
    """A checked request. `body` is packed already and spliced into the envelope, never packed again."""

    op: str
    timeout_s: float
    priority: Priority
    model: str | None
    body: bytes
    blobs: tuple[bytes, ...]
    keep_alive_s: float | None = None

    def frames(self, request: int, window: control.Window, sent_s: float) -> list[bytes]:
        """Return the request's frames. `sent_s`: when the app asked, by the monotonic clock of all processes."""
        wish = {} if self.keep_alive_s is None else {"keep_alive_s": self.keep_alive_s}
        head, _ = wire.pack(
            {
                **wish,
                "type": wire.tag(control.Request),
                "id": request,
                "op": self.op,
                "window": {"limit_seq": window.limit_seq, "limit_bytes": window.limit_bytes},
                "timeout_ms": max(1, round(self.timeout_s * 1000)),
                "sent_s": sent_s,
                "priority": self.priority,
                "model": self.model,
            }
        )
        # A msgpack map of up to 15 entries begins with one byte, 0x80 + entries: one more entry is one more there.
        return [bytes([head[0] + 1]) + head[1:] + _BODY_KEY + self.body, *self.blobs]


def draft(
    operation: operations.Operation,
    *,
    timeout_s: float,
    priority: Priority = "interactive",
    model: str | None = None,
    keep_alive_s: float | None = None,
) -> Draft:
    """Return a request for a checked operation.

    Raises InvalidRequest naming `timeout_s`, `priority`, `model` or `keep_alive_s`.
    """
    kind: type = type(operation)
    timeout_s = checked_timeout(timeout_s)
    _check_envelope({"priority": priority, "model": model, "keep_alive_s": keep_alive_s})
    try:
        body, blobs = wire.pack(wire.fields_of(operation))
    except FieldError as wrong:  # more blobs than a message can refer to
        raise _invalid("messages", wrong.problem) from None
    if len(body) > wire.MAX_VALUES:  # fewer bytes cannot hold too many values
        _check_values(body, blobs)
    return Draft(wire.tag(kind), timeout_s, priority, model, body, blobs, keep_alive_s)


def generate_draft(
    prompt: Prompt,
    options: Mapping[str, object],
    *,
    timeout_s: float,
    priority: Priority,
    model: str | None,
    keep_alive_s: float | None = None,
) -> Draft:
    """Return the request of a `generate` or `stream`. Raises InvalidRequest naming the first wrong field."""
    operation = generate_operation(prompt, options)
    return draft(operation, timeout_s=timeout_s, priority=priority, model=model, keep_alive_s=keep_alive_s)


def loopback_draft(
    rate_hz: int, *, timeout_s: float, priority: Priority, model: str | None, keep_alive_s: float | None = None
) -> Draft:
    """Return the request of a duplex stream of sound. Raises InvalidRequest naming the first wrong field."""
    operation = wire.from_fields({"rate_hz": rate_hz}, operations.Loopback)
    return draft(operation, timeout_s=timeout_s, priority=priority, model=model, keep_alive_s=keep_alive_s)


def pull_draft(name: str, *, timeout_s: float) -> Draft:
    """Return the request to fetch a model. Raises InvalidRequest naming the first wrong field."""
    return draft(wire.from_fields({"name": name}, operations.Pull), timeout_s=timeout_s)


def why_draft(name: str, *, timeout_s: float) -> Draft:
    """Return the request for what was decided about a model's memory. Raises InvalidRequest naming the first wrong field."""
    return draft(wire.from_fields({"name": name}, operations.Why), timeout_s=timeout_s)


def preflight_draft(name: str, context_tokens: int | None, *, timeout_s: float) -> Draft:
    """Return the request for how a load would be judged. Raises InvalidRequest naming the first wrong field."""
    fields = {"name": name, "context_tokens": context_tokens}
    return draft(wire.from_fields(fields, operations.Preflight), timeout_s=timeout_s)


def unload_draft(name: str, *, timeout_s: float) -> Draft:
    """Return the request to end a model's process. Raises InvalidRequest naming the first wrong field."""
    return draft(wire.from_fields({"name": name}, operations.Unload), timeout_s=timeout_s)


def stop_draft(grace_s: object, *, timeout_s: float) -> Draft:
    """Return the request to end the daemon. Raises InvalidRequest naming the first wrong field."""
    if isinstance(grace_s, bool) or not isinstance(grace_s, (int, float)) or not 0 <= grace_s <= MAX_GRACE_S:
        raise _invalid("grace_s", f"expected 0 to {MAX_GRACE_S:g} seconds, got {grace_s!r}")
    return draft(operations.Stop(grace_ms=round(grace_s * 1000)), timeout_s=timeout_s)


def _check_values(body: bytes, blobs: Sequence[bytes]) -> None:
    """Read a body as the daemon will: what it cannot unpack it could not answer by the request's number."""
    try:
        wire.unpack(body, blobs)
    except ProtocolError as wrong:
        raise _invalid("body", wrong.message) from None


def _check_envelope(fields: Mapping[str, object]) -> None:
    """Hold the app's part of an envelope against the wire's own rules; the rest is made up here."""
    unnumbered = {"id": 1, "op": "draft", "body": {}, "window": {"limit_seq": 0, "limit_bytes": 0}, "timeout_ms": 1}
    try:
        wire.from_fields({**unnumbered, **fields}, control.Request)
    except InvalidRequest as wrong:
        raise InvalidRequest(wrong.message, details={"field": wrong.details["field"]}) from None


def checked_timeout(timeout_s: object, field: str = "timeout_s") -> float:
    """Return a timeout in seconds. Raises InvalidRequest for what is no number, not positive, or past a week."""
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, (int, float)):
        raise _invalid(field, f"expected seconds, got {type(timeout_s).__name__}")
    if not (math.isfinite(timeout_s) and 0 < timeout_s <= MAX_TIMEOUT_S):
        raise _invalid(field, f"expected more than 0 and at most {MAX_TIMEOUT_S:g} seconds, got {timeout_s}")
    return float(timeout_s)


def checked_model(model: str | None) -> str | None:
    """Return a model's name. Raises InvalidRequest for what cannot be one."""
    return wire.from_fields({"nonce": 0, "model": model}, control.Ping).model


def generate_operation(prompt: object, options: Mapping[str, object]) -> operations.Generate:
    """Return the operation that keyword arguments describe. Raises InvalidRequest naming the first wrong field."""
    for unknown in sorted(options.keys() - GenerateOptions.__annotations__.keys()):
        from difflib import get_close_matches

        near = get_close_matches(unknown, GenerateOptions.__annotations__, n=1)
        raise _invalid(unknown, f"unknown option{f'; did you mean {near[0]}?' if near else ''}")
    stop = options.get("stop", ())
    fields = {**options, "messages": _messages(prompt), "stop": (stop,) if isinstance(stop, str) else stop}
    return wire.from_fields(fields, operations.Generate)


def _messages(prompt: object) -> object:
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    if isinstance(prompt, (list, tuple)):
        return [_plain_message(turn, at) for at, turn in enumerate(prompt)]
    raise _invalid("prompt", f"expected a string or a list of messages, got {type(prompt).__name__}")


def _plain_message(turn: object, at: int) -> object:
    """Return a turn as plain values: two levels deep, where message and block objects may stand."""
    plain = _plain(turn, f"messages[{at}]")
    if isinstance(plain, Mapping):
        return {
            key: [_plain(one, f"messages[{at}].{key}") for one in value] if isinstance(value, (list, tuple)) else value
            for key, value in plain.items()
        }
    return plain


def _plain(value: object, field: str) -> object:
    """Return a message object's fields; anything else as it is, for the codec to judge."""
    if not is_dataclass(value) or isinstance(value, type):
        return value
    try:
        return wire.body_as_sent(wire.fields_of(value))
    except Exception as reason:  # noqa: BLE001 - a wrong type inside trips cattrs in many ways
        raise _invalid(field, f"not a message of the right types ({reason})") from None


def _invalid(field: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {problem}", details={"field": field})
