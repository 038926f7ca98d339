"""Settings: strict, named in errors, the environment over the file, and the example complete."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from inferd_daemon import config
from inferd_daemon.catalogue import curated

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("INFERD_SOCKET", raising=False)
    return tmp_path / "config.toml"


def test_the_example_names_every_key_and_states_the_defaults(file: Path) -> None:
    text = EXAMPLE.read_text()
    for key in config.known_keys():
        assert any(line.lstrip("# ").startswith((f"{key} =", f"[{key}")) for line in text.splitlines()), key
    assert config.read(EXAMPLE) == config.read(_write(file, ""))


def test_the_commented_keys_of_the_example_are_valid_too(file: Path) -> None:
    lines = EXAMPLE.read_text().splitlines()
    settings = [line.removeprefix("# ") for line in lines if line.startswith("# ") and _is_setting(line[2:])]
    plain = [line for line in lines if line and not line.startswith("#")]
    head, tail = (
        [line for line in settings if "[" not in line][:4],
        "\n".join(settings[settings.index("[apps.indexer]") :]),
    )
    read = config.read(_write(file, "\n".join([*head, *plain, tail])))
    assert read.apps["indexer"].max_class == "voice"
    assert len(curated().with_rows(read.models).schemas) == len(curated().schemas) + 1


def _is_setting(line: str) -> bool:
    try:
        tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return False
    return "=" in line or line.startswith("[")


def _write(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("drain = 5", ("drain", "did you mean 'drain_s'")),
        ("drain_s = '5'", ("drain_s", "number")),
        ("drain_s = -1", ("drain_s", "greater than or equal to 0")),
        ("drain_s = nan", ("drain_s", "finite")),
        ("log_level = 'loud'", ("log_level", "debug")),
        ("[limits]\ninflight_per_app = 0", ("limits.inflight_per_app", "1")),
        ("[memory]\nbudget_bytes = 0", ("memory.budget_bytes", "1")),
        ("[memory]\nbudget_bytes = '8 GB'", ("memory.budget_bytes", "integer")),
        ("[memory]\nkeep_alive = { smollm2 = -1.0 }", ("memory.keep_alive.smollm2", "0")),
        ("[memory]\npinned = [5]", ("memory.pinned.0", "string")),
        ("[memory]\nkeep_alive_s = nan", ("memory.keep_alive_s", "0")),
        ("[apps.x]\nmax_clas = 'batch'", ("apps.x.max_clas", "max_class")),
        ("drain_s = ", ("config.toml", "Invalid value")),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(file: Path, text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(config.Wrong) as wrong:
        config.read(_write(file, text))
    for word in words:
        assert word in str(wrong.value)


def test_the_environment_stands_over_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERD_DRAIN_S", "7")
    monkeypatch.setenv("INFERD_LIMITS__INFLIGHT_PER_APP", "16")
    monkeypatch.setenv("INFERD_SOCKET", "/tmp/a/b.sock")
    read = config.read(_write(file, "drain_s = 1\n[limits]\ninflight_per_app = 5"))
    assert (read.drain_s, read.limits.inflight_per_app, read.socket) == (7.0, 16, Path("/tmp/a/b.sock"))


def test_a_wrong_value_in_the_environment_is_shown(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERD_DRAIN_S", "soon")
    with pytest.raises(config.Wrong, match=r"drain_s.*'soon'"):
        config.read(_write(file, ""))


def test_a_named_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(config.Wrong, match="missing"):
        config.read(tmp_path / "missing.toml")


def test_a_path_below_the_home_directory_is_understood(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert config.read(_write(file, 'models_dir = "~/models"')).models_dir == Path("/home/somebody/models")


def test_a_path_that_depends_on_where_the_daemon_was_started_is_refused(file: Path) -> None:
    with pytest.raises(config.Wrong, match=r"models_dir: .*absolute"):
        config.read(_write(file, 'models_dir = "models"'))
