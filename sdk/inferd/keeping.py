"""What an app asks about models that are to stay in memory: drafts of holds, warm-ups and pins; for both clients.

Covers: checking before anything is sent, with the field in the error. Does not cover waiting: `holds`, `client` and `aio` wait.
Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from inferd import wire
from inferd.drafts import Draft, draft
from inferd.messages import operations
from inferd.messages.control import Priority
from inferd.messages.events import Loading

LOADING: Final = frozenset(wire.tag(kind) for kind in (operations.Hold, operations.WarmUp))
"""Operations that are answered once models have loaded."""

OnProgress = Callable[[Loading], object]
"""Told how far the loads are, and what they wait for."""


def hold_draft(names: Sequence[str], seconds: float, *, timeout_s: float, priority: Priority) -> Draft:
    """Return the request to hold models. Raises InvalidRequest naming the first wrong field, `names[1]` say."""
    operation = wire.from_fields({"names": _listed(names), "seconds": seconds}, operations.Hold)
    return draft(operation, timeout_s=timeout_s, priority=priority)


def renew_draft(hold: int, seconds: float, *, timeout_s: float) -> Draft:
    """Return the request to begin a hold's time anew. Raises InvalidRequest naming the first wrong field."""
    return draft(wire.from_fields({"hold": hold, "seconds": seconds}, operations.RenewHold), timeout_s=timeout_s)


def release_draft(hold: int, *, timeout_s: float) -> Draft:
    """Return the request to end a hold."""
    return draft(operations.ReleaseHold(hold), timeout_s=timeout_s)


def warm_up_draft(names: Sequence[str], *, timeout_s: float, priority: Priority) -> Draft:
    """Return the request to load models. Raises InvalidRequest naming the first wrong field, `names[1]` say."""
    operation = wire.from_fields({"names": _listed(names)}, operations.WarmUp)
    return draft(operation, timeout_s=timeout_s, priority=priority)


def pin_draft(name: str, *, timeout_s: float) -> Draft:
    """Return the request to pin a model. Raises InvalidRequest naming the first wrong field."""
    return draft(wire.from_fields({"name": name}, operations.Pin), timeout_s=timeout_s)


def unpin_draft(name: str, *, timeout_s: float) -> Draft:
    """Return the request to take back a pin. Raises InvalidRequest naming the first wrong field."""
    return draft(wire.from_fields({"name": name}, operations.Unpin), timeout_s=timeout_s)


def _listed(names: object) -> object:
    """Return a tuple as the list that travels; anything else as it is, for the codec to judge."""
    return list(names) if isinstance(names, tuple) else names
