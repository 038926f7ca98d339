"""Which engines there are, and how each is made without importing its library: `Engine.load` does that, or `prepare` before.

Covers: name → room, and whether what a room needs is installed. What several rooms share:
`desk` (orders and the loop's thread), `abilities` (what of a request is refused), `options`, `text`, `cores`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from inferd.errors import LoadFailed

if TYPE_CHECKING:
    from inferd_actors.engine import EngineFactory
    from inferd_actors.messages import Options


@dataclass(frozen=True, slots=True)
class Room:
    """An engine as it can be known without loading it."""

    module: str
    needs: tuple[str, ...] = ()
    """Top-level packages that must be installed; if there are any, the room has a `prepare()` that imports them."""
    extra: str = ""
    """The extra of this distribution that brings them."""
    opens_ahead: bool = False
    """Whether the room has an `open_ahead(path, options)`."""


ROOMS: Final[Mapping[str, Room]] = MappingProxyType(
    {
        "echo": Room("inferd_actors.engines.echo"),
        "llama_cpp": Room("inferd_actors.engines.llama_cpp", ("llama_cpp", "jinja2"), "llama", opens_ahead=True),
        "faster_whisper": Room("inferd_actors.engines.faster_whisper", ("faster_whisper", "av", "numpy"), "speech"),
        "piper": Room("inferd_actors.engines.piper", ("piper", "onnxruntime", "sentencex", "numpy"), "speech"),
    }
)


def missing(name: str) -> tuple[str, ...]:
    """Return the packages that this engine needs and that are not installed. Raises KeyError for an unknown name."""
    return tuple(package for package in ROOMS[name].needs if find_spec(package) is None)


def factory(name: str) -> EngineFactory:
    """Return how this engine is made. Raises LoadFailed (cause `engine`) when it is unknown or not installed."""
    room = ROOMS.get(name)
    if room is None:
        raise _failed(f"no engine is called {name!r}; there are {', '.join(ROOMS)}", name)
    absent = missing(name)
    if absent:
        raise _failed(f"the engine {name} needs {', '.join(absent)}: pip install 'inferd[{room.extra}]'", name)
    make: EngineFactory = import_module(room.module).make
    return make


def prepare(name: str) -> None:
    """Import what this engine's `load` would import. Blocks for a second; raises LoadFailed as `factory` does."""
    factory(name)
    if ROOMS[name].needs:
        import_module(ROOMS[name].module).prepare()


def open_ahead(name: str, path: str, options: Options) -> EngineFactory | None:
    """Return how this engine is made with the file open already, as far as a load can go before somebody asks.

    None: it opens nothing before a load, here or with these options. Blocks as long as reading the weights does; raises
    LoadFailed as the load would.
    """
    if not ROOMS[name].opens_ahead:
        return None
    opened: EngineFactory | None = import_module(ROOMS[name].module).open_ahead(path, options)
    return opened


def _failed(problem: str, name: str) -> LoadFailed:
    return LoadFailed(problem, details={"cause": "engine", "engine": name})
