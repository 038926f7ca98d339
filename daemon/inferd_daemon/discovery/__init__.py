"""What else on this machine has models: servers of other programs on loopback, and model files of theirs.

Covers: one look around, which blocks for seconds at most and changes nothing. `servers`: asking. `answers`: what they say, as
schemas. `caches`: files. `naming`: ids for what others call otherwise. Whatever is found is other people's word: bounded,
cleaned, and nothing that `register` would refuse. Does not cover registering (`registrar`).
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from inferd.messages.events import Discovered
from inferd.messages.schemas import FoundServer, ModelSchema
from inferd_daemon.discovery import answers, caches, servers
from inferd_daemon.store import Elsewhere

MAX_MODELS: Final = 1_000
"""Of one answer to an app: a person looks through tens, and each takes some 300 bytes."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where to look. Ports: 0 for one that is not to be asked."""

    ports: tuple[tuple[answers.Kind, int], ...]
    files: Elsewhere


def look(places: Places) -> Discovered:
    """Return what is there now. Blocks: up to `servers.PATIENCE_S` for servers that are slow, and a walk over folders."""
    asked = [(kind, port) for kind, port in places.ports if port]
    with ThreadPoolExecutor(max_workers=max(1, len(asked))) as pool:
        running = [found for found in pool.map(lambda one: _ask(*one), asked) if found is not None]
        files = [*caches.ollama(places.files.ollama_dirs), *caches.lm_studio(places.files.lm_studio_dirs)]
    schemas = _each_once([one for _, found in running for one in found] + files)
    return Discovered(tuple(server for server, _ in running), tuple(schemas)[:MAX_MODELS])


def _ask(kind: answers.Kind, port: int) -> tuple[FoundServer, tuple[ModelSchema, ...]] | None:
    base_url = f"http://127.0.0.1:{port}"
    try:
        said = servers.get(port, answers.PATHS[kind])
    except ConnectionRefusedError:
        return None  # nobody listens there
    except servers.Unusable as unusable:
        return FoundServer(kind, base_url, 0, str(unusable)), ()
    try:
        found = answers.models(kind, said, base_url)
    except answers.Unclear as unclear:
        return FoundServer(kind, base_url, 0, str(unclear)), ()
    return FoundServer(found.kind, base_url, len(found.schemas)), found.schemas


def _each_once(schemas: Iterable[ModelSchema]) -> Iterable[ModelSchema]:
    return {schema.id: schema for schema in schemas}.values()
