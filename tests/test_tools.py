"""The scripts behind the Makefile: which wheel is reused, what a failed build leaves, what the locks accept."""

from __future__ import annotations

import importlib
import platform
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))


@pytest.fixture
def pins() -> ModuleType:
    return importlib.import_module("pins")


@pytest.fixture
def llama_wheel() -> ModuleType:
    return importlib.import_module("llama_wheel")


@pytest.fixture
def relock() -> ModuleType:
    return importlib.import_module("relock")


@pytest.mark.parametrize("lock", sorted(ROOT.glob("requirements*.lock")), ids=lambda path: path.name)
def test_a_lock_read_and_written_again_is_the_same(lock: Path, pins: ModuleType) -> None:
    _, _, body = lock.read_text(encoding="utf-8").partition("\n\n")
    assert pins.text(pins.read(lock)) == body


@pytest.mark.parametrize("row", ["ray==2.60.0\n", "ray>=2.60.0 \\\n    --hash=sha256:00\n", "--index-url x\n"])
def test_a_row_that_is_no_pin_with_hashes_is_refused(row: str, pins: ModuleType, tmp_path: Path) -> None:
    lock = tmp_path / "some.lock"
    lock.write_text(row, encoding="utf-8")
    with pytest.raises(ValueError, match="make lock"):
        pins.read(lock)


def test_another_source_flag_or_cpu_is_another_wheel(pins: ModuleType, llama_wheel: ModuleType) -> None:
    def pin(version: str, sha256: str) -> object:
        return pins.Pin("llama-cpp-python", version, "", (sha256,))

    cases = [
        (pin("1", "aa"), ("-DA=ON",), "cpu one"),
        (pin("2", "aa"), ("-DA=ON",), "cpu one"),
        (pin("1", "bb"), ("-DA=ON",), "cpu one"),
        (pin("1", "aa"), ("-DA=OFF",), "cpu one"),
        (pin("1", "aa"), ("-DA=ON", "-DB=ON"), "cpu one"),
        (pin("1", "aa"), ("-DA=ON",), "cpu two"),
    ]
    assert len({llama_wheel.key(*case) for case in cases}) == len(cases)
    assert llama_wheel.key(*cases[0]) == llama_wheel.key(*cases[0])


def test_a_wheel_that_was_built_before_is_found_again(
    llama_wheel: ModuleType, pins: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CMAKE_ARGS", raising=False)
    (pin,) = (pin for pin in pins.read(LOCK) if pin.name == llama_wheel.PACKAGE)
    room = tmp_path / "inferd" / "wheels" / llama_wheel.key(pin, llama_wheel.all_flags(), llama_wheel.host())
    room.mkdir(parents=True)
    wheel = room / "llama_cpp_python-0-py3-none-any.whl"
    wheel.touch()
    assert llama_wheel.find_or_build(LOCK) == wheel


def test_a_build_that_fails_names_its_log_and_leaves_no_wheel(
    llama_wheel: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # the source cannot be had: the earliest way to fail
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    cache = tmp_path / "inferd" / "wheels"
    with pytest.raises(SystemExit, match="the whole log"):
        llama_wheel.find_or_build(LOCK)
    assert sorted(path.suffix or path.name for path in cache.iterdir()) == [".log", "lock"]


def test_amx_is_left_out_where_it_is_announced_and_does_not_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    amx = importlib.import_module("amx")
    monkeypatch.setattr(amx, "CPU", tmp_path / "cpuinfo")
    assert amx.flags() == ()
    amx.CPU.write_text("flags : fpu avx512f amx_tile amx_int8\n", encoding="utf-8")
    monkeypatch.setattr(amx, "TRIAL", "int main(void) { __builtin_trap(); }")
    assert amx.flags() == amx.WITHOUT
    monkeypatch.setattr(amx, "TRIAL", "this compiler knows nothing of tiles")
    assert amx.flags() == amx.WITHOUT


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the compiler's switches for tiles are those of x86-64")
def test_amx_stays_where_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    amx = importlib.import_module("amx")
    monkeypatch.setattr(amx, "CPU", tmp_path / "cpuinfo")
    amx.CPU.write_text("flags : fpu avx512f amx_tile amx_int8\n", encoding="utf-8")
    monkeypatch.setattr(amx, "TRIAL", "int main(void) { return 0; }")
    assert amx.flags() == ()


@pytest.mark.parametrize(
    ("chunk", "words"),
    [
        (b"  [7/140] /usr/bin/g++ -c a.cpp\n  [8/140] /usr/bin/g++ -c b.cpp\n", ", step 8 of 140"),
        (b"-- Configuring done\n", ""),
        (b"warning: array[1/2] \n", ""),
    ],
)
def test_progress_is_read_from_the_build_tools_lines_alone(chunk: bytes, words: str) -> None:
    assert importlib.import_module("compiling").latest_step(chunk) == words


def file(name: str, sha256: str) -> dict[str, object]:
    return {"url": f"somewhere/{name}", "hashes": {"sha256": sha256}}


def test_only_wheels_of_this_platform_and_these_pythons_are_accepted(relock: ModuleType, pins: ModuleType) -> None:
    names = ["manylinux_2_28_x86_64", "macosx_11_0_arm64", "musllinux_1_2_x86_64", "win_amd64", "manylinux2014_aarch64"]
    wheels = [file(f"some-1.0-cp312-abi3-{name}.whl", name) for name in names]
    wheels += [file("some-1.0-cp311-cp311-manylinux2014_x86_64.whl", "old"), file("some-1.0-cp314-none-any.whl", "new")]
    package = {"name": "some", "version": "1.0", "wheels": wheels, "sdist": file("some-1.0.tar.gz", "source")}
    assert relock._pins(package) == (pins.Pin("some", "1.0", "", ("manylinux_2_28_x86_64", "old")),)


def test_a_package_without_a_wheel_is_not_locked(relock: ModuleType) -> None:
    package = {"name": "some", "version": "1.0", "sdist": file("some-1.0.tar.gz", "source")}
    with pytest.raises(SystemExit, match="no wheel"):
        relock._pins(package)


def test_what_no_supported_python_here_needs_is_left_out(relock: ModuleType) -> None:
    package = {"name": "some", "version": "1.0", "marker": "sys_platform == 'win32'", "wheels": []}
    assert relock._pins(package) == ()
