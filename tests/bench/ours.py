"""inferd's side of the text benches: a daemon whose model has room for many streams, asked through the SDK.

Covers: the model's options, the daemon, asking. Does not cover what is asked (`questions`) or when (`traffic`).
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from threading import Event
from typing import Final

from daemon_process import DaemonProcess, running
from questions import Question
from service import STARTER, load, models_dir
from traffic import Ask, Ear, Heard

from inferd import AsyncClient, Done, TextDelta
from inferd_actors.engines.llama_cpp.options import Options
from inferd_daemon.catalogue import curated
from inferd_daemon.store import Store


@dataclass(frozen=True, slots=True)
class Room:
    """How much the model can hold, in the words of the engine's options; every side is given the same."""

    context_tokens: int
    """Of one request."""
    slots: int
    cache_tokens: int
    """Of all requests together."""
    shelf_bytes: int = Options().shelf_bytes
    """Of prefixes that left the cache; no other side has that."""

    @property
    def engine_options(self) -> str:
        """Return the TOML table; options that this version's engine does not have are left out."""
        known = {field.name for field in fields(Options)}
        return "{ " + ", ".join(f"{name} = {value}" for name, value in asdict(self).items() if name in known) + " }"

    @property
    def note(self) -> str:
        """Return what the notes say of it."""
        missing = asdict(self).keys() - {field.name for field in fields(Options)}
        return f"engine_options = {self.engine_options}" + (
            f"; this engine does not know {', '.join(sorted(missing))}" if missing else ""
        )


STANDARD: Final = Room(context_tokens=2_048, slots=16, cache_tokens=16_384)


def model_file() -> Path:
    """Return the starter model's file, fetched if it is not here."""
    file = Store(models_dir()).pull(curated().starter, lambda _progress: None, Event())
    assert file is not None  # only an engine that needs no bytes has none
    return file


@contextmanager
def service(room: Room) -> Iterator[DaemonProcess]:
    """Run a daemon whose starter model, fetched if it is not here, is loaded with so much room, for the length of a block."""
    model_file()
    config = f'log_level = "warning"\ndrain_s = 0.0\n\n[models."{STARTER}"]\nengine_options = {room.engine_options}\n'
    with running(config, environment={"INFERD_MODELS_DIR": str(models_dir())}) as daemon:
        with daemon.client("bench") as client:
            load(client, STARTER)
        yield daemon


@asynccontextmanager
async def app(daemon: DaemonProcess, name: str = "bench") -> AsyncIterator[Ask]:
    """Yield an app of its own, which asks as many streams at once as it is told."""
    async with AsyncClient(name, socket=daemon.socket) as client:
        yield _asking(client)


def _asking(client: AsyncClient) -> Ask:
    async def ask(question: Question, ear: Ear) -> Heard:
        text: list[str] = []
        asked_s = time.monotonic()
        async with client.stream(
            question.messages, model=STARTER, priority=question.priority, **question.options
        ) as events:
            async for event in events:
                match event:
                    case TextDelta():
                        ear.hear()
                        text.append(event.text)
                    case Done():
                        usage = event.reply.usage
        return Heard(
            asked_s,
            tuple(ear.arrivals_s),
            time.monotonic(),
            usage.completion_tokens,
            usage.prompt_tokens,
            "".join(text),
        )

    return ask
