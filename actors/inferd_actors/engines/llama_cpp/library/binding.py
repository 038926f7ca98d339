"""llama-cpp-python's bare bindings, without the package around them.

Covers: importing them. Why not `import llama_cpp`: its first lines import the high-level classes and what these need, which
costs every model's process 11 MiB and 0.15 s (measured), and nothing here uses them.
"""

from __future__ import annotations

import ctypes
import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from typing import Any


def _bindings() -> Any:  # noqa: ANN401 - a module of ctypes functions
    if "llama_cpp" not in sys.modules:
        found = find_spec("llama_cpp")
        if found is None:
            raise ImportError("llama_cpp is not installed", name="llama_cpp")
        sys.modules["llama_cpp"] = module_from_spec(found)  # not run; with its spec, so that it is still found later
    return import_module("llama_cpp.llama_cpp")


lib: Any = _bindings()
bare: Any = lib._lib  # noqa: SLF001 - the shared library itself: the bindings leave thread pools out
bare.ggml_threadpool_new.restype = ctypes.c_void_p
