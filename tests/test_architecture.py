"""The house's two rules, read from every import: arrows point downwards, and each outside library has one door.

Besides: pure parts know no clock, no chance and no I/O, and nothing anywhere unpickles. Imports inside functions and by name
(`import_module`) count. A new outside library is a violation until it gets its door here.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]

ARROWS: Final[Mapping[str, frozenset[str]]] = {
    "sdk/inferd": frozenset({"inferd"}),
    "sdk/inferd_cli": frozenset({"inferd", "inferd_cli"}),
    "sdk/inferd_bridges": frozenset({"inferd", "inferd_bridges"}),
    "actors/inferd_actors": frozenset({"inferd", "inferd_actors"}),
    "daemon/inferd_daemon": frozenset({"inferd", "inferd_actors", "inferd_daemon"}),
}
"""Package → packages of ours that it may know."""
OURS: Final = frozenset().union(*ARROWS.values())

DOORS: Final[Mapping[str, tuple[str, ...]]] = {
    "zmq": (
        "sdk/inferd/carrier.py",
        "actors/inferd_actors/host.py",
        "actors/inferd_actors/keypool.py",
        "daemon/inferd_daemon/wires.py",
    ),
    "msgpack": ("sdk/inferd/wire.py", "actors/inferd_actors/messages.py"),
    "cattrs": ("sdk/inferd/strict.py",),
    "attrs": ("sdk/inferd/strict.py",),
    "ray": ("daemon/inferd_daemon/keeper.py",),
    "llama_cpp": ("actors/inferd_actors/engines/llama_cpp/library/*",),
    "faster_whisper": ("actors/inferd_actors/engines/faster_whisper/library/*",),
    "av": ("actors/inferd_actors/engines/faster_whisper/library/*",),
    "onnxruntime": ("actors/inferd_actors/engines/piper/library.py",),
    "piper": ("actors/inferd_actors/engines/piper/library.py",),
    "sentencex": ("actors/inferd_actors/engines/piper/sentences.py",),
    "numpy": ("actors/inferd_actors/engines/*", "actors/inferd_actors/converting/bert.py"),
    "gguf": ("actors/inferd_actors/converting/bert.py",),
    "jinja2": ("actors/inferd_actors/engines/llama_cpp/*",),
    "uvloop": ("daemon/inferd_daemon/__main__.py", "daemon/inferd_daemon/app.py"),
    "structlog": ("daemon/inferd_daemon/*",),
    "psutil": ("daemon/inferd_daemon/*",),
    "pynvml": ("daemon/inferd_daemon/memory/gpus.py",),
    "httpx2": ("daemon/inferd_daemon/store/fetching/line.py",),
    "huggingface_hub": ("daemon/inferd_daemon/store/fetching/hub.py",),
    "pydantic": ("daemon/inferd_daemon/config.py",),
    "pydantic_settings": ("daemon/inferd_daemon/config.py",),
    "typer": ("sdk/inferd_cli/*",),
    "rich": ("sdk/inferd_cli/*",),
    "matplotlib": ("sdk/inferd_cli/drawing.py",),
    "wyoming": ("sdk/inferd_bridges/wyoming/*",),
}
"""Outside library → files that may import it; a star also stands for folders."""

SDK_NEEDS: Final = frozenset({"zmq", "msgpack", "cattrs", "attrs"})
"""What `pip install inferd` brings; `import inferd` may need nothing else."""

PURE: Final = (
    "daemon/inferd_daemon/admission*",
    "daemon/inferd_daemon/scheduler*",
    "daemon/inferd_daemon/eviction*",
    "daemon/inferd_daemon/lifecycle*",
    "daemon/inferd_daemon/ledger*",
    "actors/inferd_actors/routing.py",
    "actors/inferd_actors/keys.py",
    "actors/inferd_actors/outcomes.py",
)
"""Parts that decide; besides them every module whose docstring says "Pure." is held to its word."""
CLAIM: Final = re.compile(r"\bpure\.(?:\s|$)", re.IGNORECASE)
IMPURE: Final = frozenset({
    "asyncio", "concurrent", "ctypes", "datetime", "fcntl", "http", "logging", "mmap", "multiprocessing", "os", "random",
    "ray", "secrets", "select", "shutil", "signal", "socket", "sqlite3", "structlog", "subprocess", "tempfile",
    "threading", "time", "urllib", "uuid", "uvloop", "zmq",
})  # fmt: skip
"""Clocks, chance, I/O and waiting. `pathlib` is not among them: a path is a value until somebody opens it."""
IMPURE_CALLS: Final = frozenset({"open", "print", "input", "breakpoint"})

UNPICKLING: Final = frozenset({"pickle", "cloudpickle", "dill", "shelve", "marshal"})
PICKLED_FRAMES: Final = frozenset({"recv_pyobj", "send_pyobj"})


@dataclass(frozen=True, slots=True)
class Import:
    """One import statement: the library or package of ours, by its first name."""

    line: int
    top: str


def imports(tree: ast.AST, package: str) -> Iterator[Import]:
    """Yield every import of a file; relative ones as imports of its own package."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (Import(node.lineno, one.name.partition(".")[0]) for one in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield Import(node.lineno, module.partition(".")[0])
            case ast.ImportFrom():
                yield Import(node.lineno, package)
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                yield Import(node.lineno, module.lstrip(".").partition(".")[0] or package)


def violations(root: Path) -> list[str]:
    """Return every broken rule below `root` as `file:line: what`."""
    found = [
        f"{path.relative_to(root)}:{broken}"
        for folder in ("sdk", "actors", "daemon", "tools", "tests")
        for path in sorted((root / folder).rglob("*.py"))
        for broken in _broken_rules(path.relative_to(root).as_posix(), ast.parse(path.read_text(encoding="utf-8")))
    ]
    return sorted(found)


def _broken_rules(file: str, tree: ast.Module) -> Iterator[str]:
    root = "/".join(file.split("/")[:2])
    known = list(imports(tree, root.partition("/")[2]))
    yield from _unpickling(known, tree)
    if root in ARROWS:
        yield from _wrong_arrows(root, known)
        yield from _wrong_doors(file, known)
        yield from _foreign_needs(root, known)
    if any(fnmatch(file, pattern) for pattern in PURE) or CLAIM.search(ast.get_docstring(tree) or ""):
        yield from _impurities(known, tree)


def _wrong_arrows(root: str, known: list[Import]) -> Iterator[str]:
    for one in known:
        if one.top in OURS - ARROWS[root]:
            yield f"{one.line}: {root} must not know {one.top}"


def _wrong_doors(file: str, known: list[Import]) -> Iterator[str]:
    for one in known:
        if one.top in OURS or one.top in sys.stdlib_module_names:
            continue
        doors = DOORS.get(one.top, ())
        if not any(fnmatch(file, door) for door in doors):
            yield f"{one.line}: {one.top} is imported outside its door ({', '.join(doors) or 'it has none yet'})"


def _foreign_needs(root: str, known: list[Import]) -> Iterator[str]:
    for one in known:
        if root == "sdk/inferd" and one.top not in sys.stdlib_module_names | OURS | SDK_NEEDS:
            yield f"{one.line}: the SDK must not need {one.top}"


def _unpickling(known: list[Import], tree: ast.Module) -> Iterator[str]:
    yield from (f"{one.line}: {one.top} runs code that others wrote" for one in known if one.top in UNPICKLING)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in PICKLED_FRAMES:
            yield f"{node.lineno}: {node.attr} unpickles what arrives"


def _impurities(known: list[Import], tree: ast.Module) -> Iterator[str]:
    yield from (f"{one.line}: a pure part must not import {one.top}" for one in known if one.top in IMPURE)
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE_CALLS:
                yield f"{node.lineno}: a pure part must not call {name}"
            case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
                yield f"{node.lineno}: a pure part must not await"


# --- the house as it is


def test_no_file_breaks_a_rule() -> None:
    assert violations(ROOT) == []


def test_every_root_is_looked_at() -> None:
    for root in ARROWS:
        assert any((ROOT / root).rglob("*.py")), root


# --- the rules themselves, on planted files


def broken_by(tmp_path: Path, file: str, source: str) -> list[str]:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(source, encoding="utf-8")
    return violations(tmp_path)


@pytest.mark.parametrize(
    ("file", "source", "said"),
    [
        ("sdk/inferd/x.py", "\nimport inferd_daemon.app", "2: sdk/inferd must not know inferd_daemon"),
        ("sdk/inferd/x.py", "import inferd_cli", "1: sdk/inferd must not know inferd_cli"),
        ("sdk/inferd_cli/x.py", "from inferd_daemon import app", "1: sdk/inferd_cli must not know inferd_daemon"),
        ("sdk/inferd_bridges/x.py", "import inferd_actors", "1: sdk/inferd_bridges must not know inferd_actors"),
        (
            "actors/inferd_actors/engines/x.py",
            "def f():\n    if f:\n        from inferd_daemon.ids import Life",
            "3: actors/inferd_actors must not know inferd_daemon",
        ),
        ("daemon/inferd_daemon/session.py", "import zmq.asyncio", "1: zmq is imported outside its door"),
        ("daemon/inferd_daemon/x.py", "def f():\n    import ray", "2: ray is imported outside its door"),
        ("actors/inferd_actors/model.py", "from llama_cpp import Llama", "1: llama_cpp is imported outside its door"),
        ("actors/inferd_actors/x.py", "import torch", "1: torch is imported outside its door (it has none yet)"),
        ("sdk/inferd/x.py", "async def f():\n    import numpy", "2: the SDK must not need numpy"),
        ("sdk/inferd/x.py", "import importlib\nimportlib.import_module('zmq')", "2: zmq is imported outside its door"),
        ("sdk/inferd/x.py", "__import__('msgpack')", "1: msgpack is imported outside its door"),
        ("tests/x.py", "import pickle", "1: pickle runs code that others wrote"),
        ("tools/x.py", "from cloudpickle import loads", "1: cloudpickle runs code that others wrote"),
        (
            "daemon/inferd_daemon/wires.py",
            "def f(s):\n    return s.recv_pyobj()",
            "2: recv_pyobj unpickles what arrives",
        ),
        ("daemon/inferd_daemon/scheduler/x.py", "import time", "1: a pure part must not import time"),
        ("daemon/inferd_daemon/admission.py", "from os import environ", "1: a pure part must not import os"),
        ("actors/inferd_actors/routing.py", "def f():\n    import random", "2: a pure part must not import random"),
        ("daemon/inferd_daemon/ledger.py", "async def f(): ...", "1: a pure part must not await"),
        ("daemon/inferd_daemon/eviction.py", "f = open('x')", "1: a pure part must not call open"),
        ("sdk/inferd/x.py", '"""Says it is pure. So be it."""\nimport socket', "2: a pure part must not import socket"),
    ],
)
def test_a_planted_violation_is_found_with_file_and_line(tmp_path: Path, file: str, source: str, said: str) -> None:
    assert any(one.startswith(f"{file}:{said}") for one in broken_by(tmp_path, file, source))


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("daemon/inferd_daemon/wires.py", "import os, zmq\nfrom inferd_actors import messages"),
        ("daemon/inferd_daemon/scheduler/x.py", "import heapq\nfrom inferd_daemon.ids import Life"),
        ("actors/inferd_actors/engines/llama_cpp/x.py", "from . import library\nfrom .library import Model"),
        ("actors/inferd_actors/engines/llama_cpp/library/x.py", "import llama_cpp"),
        ("sdk/inferd/carrier.py", "import threading, zmq\nfrom inferd import wire"),
        ("sdk/inferd/x.py", '"""Pure but for one thing."""\nimport os'),
        ("tests/x.py", "import zmq, inferd_daemon, numpy"),
    ],
)
def test_what_is_allowed_is_not_reported(tmp_path: Path, file: str, source: str) -> None:
    assert broken_by(tmp_path, file, source) == []
