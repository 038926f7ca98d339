"""How errors about a row say where: `models."provider/model:variant".key`.

Covers: the words. Pure.
"""

from __future__ import annotations

from inferd.errors import InvalidRequest
from inferd_daemon.catalogue.names import ModelId


def place(model: ModelId, key: str) -> str:
    """Return where a key of a model's row stands; the row itself for an empty key."""
    return f'models."{model}".{key}' if key else f'models."{model}"'


def invalid(where: str, problem: str) -> InvalidRequest:
    """Return the error to raise: `details["field"]` is the place."""
    return InvalidRequest(f"{where}: {problem}", details={"field": where})
