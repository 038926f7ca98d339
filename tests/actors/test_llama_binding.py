"""llama.cpp's bare bindings: what importing them leaves behind."""

from __future__ import annotations

import subprocess
import sys

import pytest

from inferd_actors import engines

pytestmark = pytest.mark.skipif(
    bool(engines.missing("llama_cpp")), reason="llama-cpp-python or jinja2 is not installed"
)

SCRIPT = """
import sys
from inferd_actors import engines
from inferd_actors.engines.llama_cpp.library.binding import lib
assert engines.missing("llama_cpp") == ()
assert "llama_cpp.llama" not in sys.modules
assert lib.llama_max_devices() > 0
"""


def test_the_library_is_still_found_once_its_bindings_are_loaded_alone() -> None:
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
