"""Engine settings of a life, read strictly: an unknown key, a wrong type or range is an error, never a guess.

Covers: plain values → a room's own dataclass. Does not cover what the settings are: each room's `options`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from inferd import wire
from inferd.errors import InvalidRequest, LoadFailed

T = TypeVar("T")


def read(options: Mapping[str, str | int | float | bool], kind: type[T]) -> T:
    """Return the settings as `kind`. Raises LoadFailed naming the setting; correct it in the configuration."""
    try:
        return wire.from_fields(dict(options), kind)
    except InvalidRequest as wrong:
        setting = str(wrong.details.get("field", ""))
        raise LoadFailed(
            f"engine option {wrong.message}", details={"cause": "engine", "option": setting.removeprefix(".")}
        ) from None
