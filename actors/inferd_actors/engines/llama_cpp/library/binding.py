"""llama-cpp-python's bare bindings, without the package around them.

Covers: importing them. Why not `import llama_cpp`: its first lines import the high-level classes and what these need, which
costs every model's process 11 MiB and 0.15 s (measured), and nothing here uses them.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any


def _bindings() -> Any:  # noqa: ANN401 - a module of ctypes functions
    if "llama_cpp" not in sys.modules:
        found = find_spec("llama_cpp")
        if found is None or found.submodule_search_locations is None:
            raise ImportError("llama_cpp is not installed", name="llama_cpp")
        package = ModuleType("llama_cpp")
        package.__spec__, package.__path__ = found, list(found.submodule_search_locations)
        sys.modules["llama_cpp"] = package
    return import_module("llama_cpp.llama_cpp")


lib: Any = _bindings()
