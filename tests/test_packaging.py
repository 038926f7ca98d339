"""What is published and what is installed: the wheel, the SDK with its three needs alone, the locks."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = [Path(path) for path in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]]
LOCKS = ("requirements.lock", "requirements-build.lock", "requirements-speech.lock", "requirements-dev.lock")
PYTHONS = ("3.11", "3.12", "3.13")
PIN = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[^\s;]+)(?: ; (?P<marker>[^\\]+?))? \\")
HASH = re.compile(r" {4}--hash=sha256:[0-9a-f]{64}(?: \\)?")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the project's wheel without network, as a release would."""
    out = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), str(ROOT)], check=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an environment that holds the wheel and what the SDK needs, nothing else."""
    room = tmp_path_factory.mktemp("bare")
    venv.create(room, with_pip=False)
    (site,) = room.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    for name in needs("inferd"):
        install_copy(name, site)
    return room / "bin" / "python"


def needs(name: str) -> set[str]:
    """Return what installing `name` without extras installs besides, as the installed packages declare it."""
    declared = map(Requirement, importlib.metadata.requires(name) or ())
    direct = {need.name for need in declared if need.marker is None or need.marker.evaluate({"extra": ""})}
    return direct.union(*map(needs, direct))


def install_copy(name: str, site: Path) -> None:
    for file in importlib.metadata.files(name) or ():
        if ".." not in file.parts:  # commands and manual pages
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(str(file.locate()), site / file)


def test_the_wheel_holds_every_file_of_the_five_packages(wheel: Path) -> None:
    sources = {
        str(file.relative_to((ROOT / package).parent))
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    names = [package.name for package in PACKAGES]
    assert names == ["inferd", "inferd_bridges", "inferd_cli", "inferd_actors", "inferd_daemon"]
    assert {f"{name}/__init__.py" for name in names} | {"inferd/py.typed"} <= sources
    assert {file for file in sources if file.startswith("inferd_daemon/") and not file.endswith(".py")}
    with zipfile.ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if ".dist-info/" not in name} == sources


def test_the_wheel_carries_its_license_and_names_the_supported_pythons(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert [name for name in archive.namelist() if name.endswith(".dist-info/licenses/LICENSE")]
    assert PROJECT["project"]["requires-python"] == ">=3.11,<3.14"


@pytest.mark.parametrize("target", PROJECT["project"]["scripts"].values())
def test_each_command_is_a_function_in_the_wheel(target: str, wheel: Path) -> None:
    module, _, function = target.partition(":")
    with zipfile.ZipFile(wheel) as archive:
        base = module.replace(".", "/")
        (source,) = {f"{base}.py", f"{base}/__init__.py"} & set(archive.namelist())
        tree = ast.parse(archive.read(source))
    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_sdk_needs_three_packages_and_what_those_need(bare: Path) -> None:
    assert {Requirement(need).name for need in PROJECT["project"]["dependencies"]} == {"pyzmq", "msgpack", "cattrs"}
    code = "import inferd; print(*sorted({'Client', 'AsyncClient'} & set(inferd.__all__)))"
    ran = subprocess.run([str(bare), "-I", "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("AsyncClient Client\n", "")


@pytest.mark.parametrize(
    ("command", "extra"), [("inferd", "cli"), ("inferd-daemon", "daemon"), ("inferd-keeper", "daemon")]
)
def test_a_command_without_its_extra_says_what_to_install(command: str, extra: str, bare: Path) -> None:
    module, _, function = PROJECT["project"]["scripts"][command].partition(":")
    code = f"import sys; from {module} import {function}; sys.exit({function}())"
    ran = subprocess.run([str(bare), "-I", "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode != 0
    assert f"inferd[{extra}]" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_pins_with_hashes_and_no_address(lock: str) -> None:
    header, _, body = (ROOT / lock).read_text(encoding="utf-8").partition("\n\n")
    assert all(line.startswith("# ") for line in header.splitlines())
    assert "://" not in header
    assert all(word in header for word in ("Linux x86-64", "3.11 to 3.13", "make lock"))
    lines = body.splitlines()
    assert lines
    assert [line for line in lines if not (PIN.fullmatch(line) or HASH.fullmatch(line))] == []
    followers = zip(lines, [*lines[1:], ""], strict=True)
    assert [line for line, after in followers if line.endswith("\\") is not bool(HASH.fullmatch(after))] == []


def pinned(python: str, *locks: str) -> dict[str, str]:
    """Return name and version of what `locks` install under `python`."""
    rows = [row for lock in locks for row in map(PIN.fullmatch, (ROOT / lock).read_text().splitlines()) if row]
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    chosen = [row for row in rows if not row["marker"] or Marker(row["marker"]).evaluate(environment)]
    versions = {row["name"]: row["version"] for row in chosen}
    assert [row["name"] for row in chosen if row["version"] != versions[row["name"]]] == []  # one version for all locks
    return versions


def wanted(*extras: str) -> list[Requirement]:
    """Return the project's own needs with those of `extras`, extras of extras included."""
    declared = [Requirement(need) for extra in extras for need in PROJECT["project"]["optional-dependencies"][extra]]
    inner = [name for need in declared if need.name == "inferd" for name in need.extras]
    own = [need for need in declared if need.name != "inferd"]
    return own + (wanted(*inner) if inner else [Requirement(need) for need in PROJECT["project"]["dependencies"]])


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(
    ("extras", "locks"),
    [
        (("cli", "daemon", "llama", "nvidia"), LOCKS[:1]),
        (("dev",), LOCKS),
    ],
)
def test_the_locks_are_in_step_with_the_project_file(python: str, extras: list[str], locks: list[str]) -> None:
    pins = pinned(python, *locks)
    assert [str(need) for need in wanted(*extras) if not need.specifier.contains(pins.get(need.name, "0"))] == []


@pytest.mark.parametrize("python", PYTHONS)
def test_what_builds_is_pinned_too(python: str) -> None:
    pins = pinned(python, "requirements-build.lock")
    groups = map(Requirement, PROJECT["dependency-groups"]["build"])
    assert [str(need) for need in groups if not need.specifier.contains(pins.get(need.name, "0"))] == []


def test_the_runtime_lock_leaves_speech_image_and_mlx_out() -> None:
    ours = {need.name for need in wanted("cli", "daemon", "llama", "nvidia")}
    others = {need.name for need in wanted("speech", "image", "mlx")} - ours
    assert others
    assert not others & pinned("3.11", "requirements.lock").keys()
