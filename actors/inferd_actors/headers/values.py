"""The keys of a header as numbers and texts of one architecture: what no model has is Malformed, for it is multiplied later.

Covers: absent keys, wrong types, ranges, sizes that are given once or for each layer. Pure.
"""

from __future__ import annotations

from typing import Final

from inferd_actors.headers.cursor import Malformed
from inferd_actors.headers.gguf_header import Contents

MAX_NUMBER: Final = 2**31 - 1
"""Of a size in the keys: engines keep them in 32 bits, mostly signed."""
MAX_LAYERS: Final = 512
"""llama.cpp's own."""


class Values:
    """The keys; a `key` stands without the architecture in front of it. Every method raises Malformed."""

    def __init__(self, contents: Contents) -> None:
        self._values = contents.values
        self.arch = self.text("general.architecture")
        if not self.arch:
            raise Malformed("it has no general.architecture, so it is no model")
        self.layers = self.number("block_count")
        if self.layers > MAX_LAYERS:
            raise Malformed(f"{self.arch}.block_count is {self.layers:,}; {MAX_LAYERS} may be")

    def text(self, name: str) -> str:
        """Return the text under this full name, empty if there is none."""
        value = self._values.get(name)
        return value if isinstance(value, str) else ""

    def whole(self, name: str, default: int) -> int:
        """Return the number under this full name; of a list, the largest."""
        value = self._values.get(name, default)
        if isinstance(value, tuple):
            return max((_checked(name, one) for one in value), default=0)
        return _checked(name, value)

    def number(self, key: str, default: int = 0) -> int:
        """Return a size of the architecture; of one that differs between layers, the largest."""
        return self.whole(self._name(key), default)

    def has(self, key: str) -> bool:
        """Tell whether the architecture has this key."""
        return self._name(key) in self._values

    def is_false(self, key: str) -> bool:
        """Tell whether this is denied, not only absent."""
        return self._values.get(self._name(key)) is False

    def each_layer(self, key: str, default: int = 0) -> tuple[int, ...]:
        """Return a size for each layer, which the file gives once or for each."""
        name = self._name(key)
        value = self._values.get(name, default)
        if not isinstance(value, tuple):
            return (_checked(name, value),) * self.layers
        if len(value) < self.layers:
            raise Malformed(f"{name} has {len(value):,} entries for {self.layers:,} layers")
        return tuple(_checked(name, one) for one in value[: self.layers])

    def _name(self, key: str) -> str:
        return f"{self.arch}.{key}"


def _checked(name: str, value: object) -> int:
    if not isinstance(value, int) or not 0 <= value <= MAX_NUMBER:
        raise Malformed(f"{name} is {value!r}; 0 to {MAX_NUMBER:,} may be")
    return int(value)
