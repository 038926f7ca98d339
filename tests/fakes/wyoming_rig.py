"""The Wyoming bridge in front of a daemon that hears and speaks by a script, and real Wyoming clients of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voice_daemon import Live, VoiceDaemon
from wyoming.client import AsyncClient as WyomingClient

from inferd import AsyncClient
from inferd.messages import events
from inferd.messages.reports import Model
from inferd.messages.schemas import ModelSchema
from inferd_bridges.wyoming.daemon import Daemon
from inferd_bridges.wyoming.places import Tcp, Unix
from inferd_bridges.wyoming.server import Server

if TYPE_CHECKING:
    from pathlib import Path

    from wyoming.event import Event, Eventable

    from inferd.messages.events import Event as Said

HEARS = "openai/tiny:en"
SPEAKS = "piper/joe:f32"
MODELS = (
    Model(HEARS, "Tiny", "stored", available=True, weights_ready=True, capabilities=("transcribe",)),
    Model(SPEAKS, "Joe", "stored", available=True, weights_ready=True, capabilities=("synthesize",)),
    Model("piper/ann:f32", "Ann", "absent", available=False, weights_ready=False, capabilities=("synthesize",)),
)
SCHEMAS = (ModelSchema(HEARS, languages=("en",)), ModelSchema(SPEAKS, languages=("en-US",)))
PATIENCE_S = 20.0
"""For one event; only a failing test waits that long."""


class SpeechDaemon(VoiceDaemon):
    """A voice daemon that has a list of models, and knows no others."""

    def __init__(self, path: Path, lines: Sequence[Sequence[Said]] = ()) -> None:
        super().__init__(path, lines)
        self.begun: list[Live] = []

    def _begin(self, live: Live) -> None:
        match live.request.op:
            case "list_models":
                self._say(live, events.Accepted("t"), events.ModelList(MODELS))
            case "list_schemas":
                self._say(live, events.Accepted("t"), events.SchemaList(SCHEMAS))
            case _ if live.request.model not in (HEARS, SPEAKS):
                message = f"no model is called '{live.request.model}'; closest: {SPEAKS}"
                self._say(live, events.Error("model_not_found", message, details={"near": (SPEAKS,)}))
            case _:
                self.begun.append(live)
                super()._begin(live)


@dataclass
class Bridge:
    """The bridge while it runs."""

    daemon: SpeechDaemon
    uris: tuple[str, ...]

    def client(self, place: int = 0) -> WyomingClient:
        """Return a client that is not connected yet."""
        return WyomingClient.from_uri(self.uris[place], read_timeout=PATIENCE_S)

    async def idle(self) -> None:
        """Wait until the daemon has no open request; the bridge's cancel is on its way. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE_S):
            while self.daemon.account.begun != self.daemon.account.ended:  # noqa: ASYNC110 - a thread's state
                await asyncio.sleep(0.01)


@asynccontextmanager
async def bridged(folder: Path, lines: Sequence[Sequence[Said]] = ()) -> AsyncIterator[Bridge]:
    """Run a daemon and the bridge for the length of a block, on TCP and on a Unix socket."""
    with SpeechDaemon(folder / "s", lines) as daemon:
        async with AsyncClient("wyoming", socket=folder / "s") as client:
            server = Server(Daemon(client, {"transcribe": None, "synthesize": None}))
            async with serving_in(server, folder) as uris:
                yield Bridge(daemon, uris)


@asynccontextmanager
async def serving_in(server: Server, folder: Path) -> AsyncIterator[tuple[str, ...]]:
    """Serve on a free port and on a socket in the folder."""
    async with server.serving([Tcp("127.0.0.1", 0), Unix(folder / "w")]) as places:
        yield tuple(map(str, places))


async def send(client: WyomingClient, *said: Eventable) -> None:
    """Send these."""
    for one in said:
        await client.write_event(one.event())


async def answer(client: WyomingClient, last: str) -> list[Event]:
    """Return what comes up to the first event of type `last`, or an error. Raises AssertionError if the connection ends."""
    found: list[Event] = []
    while not found or found[-1].type not in (last, "error"):
        event = await client.read_event()
        assert event is not None, f"the connection ended behind {[one.type for one in found]}"
        found.append(event)
    return found


def types(found: Sequence[Event]) -> list[str]:
    """Return the types of events, those that repeat once."""
    return [one.type for at, one in enumerate(found) if at == 0 or found[at - 1].type != one.type]
