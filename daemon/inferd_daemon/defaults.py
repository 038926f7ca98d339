"""Which model answers a request that names none.

Covers: the choice, by what is asked and what is stored. Pure. Does not cover routing by the prompt, nor a policy of speech.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from inferd_daemon.catalogue import ModelId, Schema

WRITES: Final = "generate"
"""What the configured default and the starter are for."""


def default_model(
    op: str,
    schemas: Sequence[Schema],
    is_stored: Callable[[ModelId], bool],
    *,
    configured: str | None,
    starter: ModelId,
) -> str:
    """Return the id or name of the model for this operation, by its wire name.

    1. Of text: the configured model, the only stored one that writes, or the starter. Anything that no model serves goes
       there too, and admission says what is wrong.
    2. Of speech: the first that is stored, else the first that is listed: the curated list goes from the packaged and small to
       the large.
    """
    able = [one for one in schemas if one.engine != "echo" and one.is_served and op in one.operations]
    stored = [one for one in able if is_stored(one.id)]
    if op == WRITES or not able or WRITES in able[0].capabilities:
        return configured or str(stored[0].id if len(stored) == 1 else starter)
    return str((stored or able)[0].id)
