"""The router actor: which model answers a request that names none.

Covers: its life on the line. It decides nothing yet: without an answer from here the supervisor takes the declared model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd_actors.service import serve_plain

if TYPE_CHECKING:
    from inferd_actors.host import ActorSpec


def serve(spec: ActorSpec) -> None:
    """Live as the router until told to leave. Blocks."""
    serve_plain(spec)
