"""Engines that write, small enough for a test, and the ways in which a stream of any engine is halted.

Covers: echo and llama.cpp with the starter model. See also: `hearing_rig`, `voice_rig`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest
from loaded_engine import LoadedEngine

from inferd.messages.operations import Generate, Message
from inferd_actors import engines
from inferd_actors.engine import Engine, StreamId
from inferd_daemon.catalogue import curated
from inferd_daemon.store import Store

PROMPT: Final = (
    "Write down these words again: amber birch cedar dahlia elder fern ginger hazel iris juniper kale lily maple"
)
CONTEXT_TOKENS: Final = 512
WRITERS: Final = ("echo", "llama_cpp")


@dataclass(frozen=True)
class Kind:
    """An engine of this tree with the settings that make it small."""

    name: str
    options: Mapping[str, str | int | float | bool]
    path: str = ""

    @property
    def is_exact(self) -> bool:
        """Whether a request has the same text whatever is computed beside it: not on a GPU."""
        return self.name != "llama_cpp" or not is_offloaded()

    def open(self, **more: str | float | bool) -> LoadedEngine[Engine]:
        """Return it loaded."""
        return LoadedEngine(engines.factory(self.name), self.path, {**self.options, **more})


def is_offloaded() -> bool:
    """Tell whether llama.cpp, which is installed, computes on a GPU here unless it is told not to."""
    from inferd_actors.engines.llama_cpp import library

    library.open_library()
    return library.offloads(-1)


def writer(name: str, request: pytest.FixtureRequest) -> Kind:
    """Return one of `WRITERS`; skips the test where it is not installed."""
    if name == "echo":
        return Kind("echo", {"context_tokens": CONTEXT_TOKENS, "tokens_per_s": 200.0, "load_s": 0.01})
    if absent := engines.missing(name):
        pytest.skip(f"not installed: {', '.join(absent)}")
    store: Store = request.getfixturevalue("starter_store")
    return Kind(name, {"context_tokens": CONTEXT_TOKENS}, str(store.path(curated().starter)))


def ask(prompt: str = PROMPT, **fields: Any) -> Generate:  # noqa: ANN401 - fields of the case
    """Return a request with one answer, short enough for a test."""
    chosen: dict[str, Any] = {"max_tokens": 24, "temperature": 0.0, **fields}
    return Generate((Message("user", prompt),), **chosen)


def halted_by_window(engine: Engine, stream: StreamId, *, halted: bool) -> None:
    """Halt a stream, or let it go on, as a full window does."""
    engine.grant(stream, may_produce=not halted)


def halted_by_app(engine: Engine, stream: StreamId, *, halted: bool) -> None:
    """Halt a stream, or let it go on, as its app does."""
    (engine.pause if halted else engine.resume)(stream)


Halt = Callable[..., None]
HALTS: Final = pytest.mark.parametrize("halt", [halted_by_window, halted_by_app])
