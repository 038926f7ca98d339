"""Models in several files: `NAME-00001-of-00003.gguf` and its siblings, which an engine opens by itself.

Covers: where the siblings of a part are, and the sum of all parts. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Final

from inferd_actors.headers.cursor import Malformed
from inferd_actors.headers.header import Header

MAX_PARTS: Final = 512
"""The largest model that was published in parts has 200."""


def siblings(path: str, first: Header) -> tuple[str, ...]:
    """Return the paths of the other parts, in order; none for a model in one file. Raises Malformed."""
    if first.parts == 1:
        return ()
    if first.part or first.parts > MAX_PARTS:
        raise Malformed(
            f"it is part {first.part + 1:,} of {first.parts:,}: the first of at most {MAX_PARTS} is to be named"
        )
    ending = _ending(0, first.parts)
    if not path.endswith(ending):
        raise Malformed(f"it is the first of {first.parts} parts, so its name has to end in {ending}")
    return tuple(path.removesuffix(ending) + _ending(part, first.parts) for part in range(1, first.parts))


def joined(first: Header, others: Sequence[tuple[str, Header]]) -> Header:
    """Return the header of a whole model; `others`: path and header of each further part. Raises Malformed."""
    sizes = Counter(first.tensor_bytes)
    for number, (path, other) in enumerate(others, 1):
        if (other.part, other.parts) != (number, first.parts):
            name = PurePath(path).name
            raise Malformed(
                f"{name} says that it is part {other.part + 1} of {other.parts}, not {number + 1} of {first.parts}"
            )
        sizes.update(other.tensor_bytes)
    parameters = first.parameters + sum(other.parameters for _, other in others)
    return replace(first, parameters=parameters, tensor_bytes=dict(sizes))


def _ending(part: int, parts: int) -> str:
    return f"-{part + 1:05}-of-{parts:05}.gguf"
