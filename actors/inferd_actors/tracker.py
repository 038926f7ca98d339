"""The tracker actor: what was learned from outcomes.

Covers: its life on the line. Nothing is booked with it yet, so it keeps no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd_actors.service import serve_plain

if TYPE_CHECKING:
    from inferd_actors.host import ActorSpec


def serve(spec: ActorSpec) -> None:
    """Live as the tracker until told to leave. Blocks."""
    serve_plain(spec)
