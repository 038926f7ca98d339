"""The key pool actor: which key pays for a remote call. Started only when an endpoint is configured.

Covers: its life on the line. It holds no key and opens no `keys.sock` yet: there is no remote actor to lease one to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd_actors.service import serve_plain

if TYPE_CHECKING:
    from inferd_actors.host import ActorSpec


def serve(spec: ActorSpec) -> None:
    """Live as the key pool until told to leave. Blocks."""
    serve_plain(spec)
