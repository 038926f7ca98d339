"""Where a walk over Markdown is, and the step that it makes: the nouns of `markup`, `lines` and `inline`. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

HOLD_CHARS: Final = 40
"""How long something open may wait for its other end before it is no markup: a listener waits as long."""


class Step(NamedTuple):
    """Over `length` source characters; `said` stands for them from the `skip`th on."""

    length: int
    said: str = ""
    skip: int = 0


@dataclass(slots=True)
class Place:
    """Where in the source the next step is."""

    fresh: bool = True
    """At the beginning of a line, or behind a mark of it."""
    block: bool = False
    """In a line that is a thing of its own: a heading, an item, a row."""
    table: bool = False
    fence: str = ""
    """In a block of code that this ends."""
    before: str = ""
    """Source character before."""
    last: str = ""
    """Last character that was said, blanks aside."""
    is_whole: bool = False
    """Nothing follows the source."""

    def waits(self, source: str, end: int) -> bool:
        """Tell whether what stands at `end` is not yet known."""
        return end >= len(source) and not self.is_whole


Rule = Callable[[str, int, Place], Step | None]
"""(source, at, place) → the step; None: more text is needed. It looks no further than it would wait."""


def end_of(these: str, source: str, at: int, most: int) -> int:
    """Return where something else than these characters stands, looking at no more than `most`."""
    end = at
    while end < len(source) and end - at < most and source[end] in these:
        end += 1
    return end


def ends_line(source: str, at: int) -> bool:
    """Tell whether a line ends here."""
    return source[at : at + 1] in ("", "\n", "\r")
