"""How engines are found, without their libraries."""

from __future__ import annotations

import subprocess
import sys

import pytest

from inferd.errors import LoadFailed
from inferd_actors import engines


def test_an_unknown_engine_is_refused_with_those_there_are() -> None:
    with pytest.raises(LoadFailed, match=r"abacus.*echo, llama_cpp") as failed:
        engines.factory("abacus")
    assert failed.value.details["cause"] == "engine"


def test_an_engine_that_is_not_installed_says_how_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = engines.Room("inferd_actors.engines.llama_cpp", ("no_such_package",), "llama")
    monkeypatch.setattr(engines, "ROOMS", {"llama_cpp": absent})
    assert engines.missing("llama_cpp") == ("no_such_package",)
    with pytest.raises(LoadFailed, match=r"no_such_package: pip install 'inferd\[llama\]'"):
        engines.factory("llama_cpp")


@pytest.mark.parametrize("name", [name for name, room in engines.ROOMS.items() if room.needs])
def test_what_an_engine_needs_is_imported_before_there_is_a_model(name: str) -> None:
    if engines.missing(name):
        pytest.skip(f"{name} is not installed")
    code = (
        "import sys; from inferd_actors import engines\n"
        f"engines.prepare({name!r})\n"
        f"print(engines.ROOMS[{name!r}].needs[0] in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (ended.stdout, ended.stderr) == ("True\n", "")


def test_looking_for_engines_imports_no_library_of_theirs() -> None:
    code = (
        "import sys; from inferd_actors import engines\n"
        "for name in engines.ROOMS: engines.missing(name) or engines.factory(name)\n"
        "print([one for one in ('llama_cpp', 'jinja2', 'numpy') if one in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "[]\n"
