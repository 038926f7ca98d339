"""What is said of Markdown as language models write it: one step over the source at a time.

Covers: which rules apply where. Does not cover a whole Markdown: where a rule would need more than a line, the simpler thing is
said. Pure.

The first that fits:
1. inside a block of code: its lines are silent, the closing one ends it
2. at the beginning of a line: its mark is silent, and tells what kind of line it is (`lines`)
3. plain characters are said as they are; what may be markup is looked at, emoji and controls are silent (`inline`)
"""

from __future__ import annotations

from inferd_actors.engines.piper.inline import inline
from inferd_actors.engines.piper.lines import in_code, line_start
from inferd_actors.engines.piper.place import Place, Step


def step(source: str, at: int, place: Place, code: str) -> Step | None:
    """Return the next step from `at` and bring `place` up to it; None: that cannot be told yet.

    `code`: what is said in place of a block of code.
    """
    if place.fence:
        found = in_code(source, at, place)
    elif place.fresh:
        found = line_start(source, at, place, code)
    else:
        found = inline(source, at, place)
    if found is None:
        return None
    if found.length:
        place.before = source[at + found.length - 1]
    if trimmed := found.said.rstrip():
        place.last = trimmed[-1]
    return found
