"""What the bridge asks of the daemon for itself: who is there, and who is to hear or speak.

Covers: looking, and remembering what was seen. Does not cover choosing: `offer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.errors import NoEligibleModel
from inferd_bridges.wyoming.offer import Offer, offer, unseen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferd import AsyncClient
    from inferd_bridges.wyoming.asked import Wish
    from inferd_bridges.wyoming.offer import Capability


class Daemon:
    """The daemon as the bridge sees it; shared by all connections."""

    def __init__(self, client: AsyncClient, preferred: Mapping[Capability, str | None]) -> None:
        self.client = client
        self.preferred = preferred
        self._seen: Offer | None = None

    async def look(self) -> Offer:
        """Return what there is now. Raises what the client raises."""
        models, schemas = await self.client.models.list(), await self.client.models.schemas()
        self._seen = offer(models, schemas, self.preferred)
        return self._seen

    async def choose(self, capability: Capability, wish: Wish) -> str:
        """Return the model for a wish; looks again before it says that there is none.

        Raises NoEligibleModel, and what the client raises.
        """
        preferred = self.preferred[capability]
        if known := unseen(wish, preferred):
            return known
        if self._seen:
            try:
                return self._seen.choose(capability, wish, preferred)
            except NoEligibleModel:
                pass
        return (await self.look()).choose(capability, wish, preferred)
