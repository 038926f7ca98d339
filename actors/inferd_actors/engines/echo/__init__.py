"""The engine that computes nothing: it answers with the words of the last user message, and returns the sound it is fed.

For tests and benches of everything around an engine, and for apps' own tests: speed, load time, memory, slots, crash and
hang are set by `options`. `talk`: the answer, word by word. `mirror`: the returned sound. `seats`: who works, who waits.
`pace`: when. `engine`: the loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd_actors.engines.echo.engine import Echo

if TYPE_CHECKING:
    from inferd_actors.engine import Engine, Sink


def make(sink: Sink) -> Engine:
    """Return the engine, not loaded."""
    return Echo(sink)
