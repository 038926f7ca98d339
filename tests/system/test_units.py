"""The service files: systemd user units and launchd agents, read as their service managers would read them."""

from __future__ import annotations

import plistlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from inferd_daemon import config, keeper

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("inferd", "inferd-keeper")
BRIDGE = "inferd-wyoming"
AGENTS = ("inferd.daemon", "inferd.keeper")
COMMANDS = {"inferd": "inferd-daemon", "inferd-keeper": "inferd-keeper"}
DRAIN_S = float(config.Settings.model_fields["drain_s"].default)

BOTH = {
    "KillMode": "mixed",
    "Restart": "on-failure",
    "RuntimeDirectory": "inferd",
    "RuntimeDirectoryMode": "0700",
    "RuntimeDirectoryPreserve": "yes",
    "UMask": "0077",
    "OOMPolicy": "continue",
    "LimitNOFILE": "65536",
    "LimitCORE": "0",
    "NoNewPrivileges": "yes",
    "StartLimitBurst": "5",
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6 AF_NETLINK",
}
NEED_NAMESPACES = ("Private", "Protect", "ReadOnlyPaths", "ReadWritePaths", "InaccessiblePaths", "Bind", "DynamicUser")
BREAK_GPUS = ("MemoryDenyWriteExecute", "Device", "PrivateDevices")


def directives(service: str) -> dict[str, str]:
    lines = (ROOT / "systemd" / f"{service}.service").read_text(encoding="utf-8").splitlines()
    pairs = [line.partition("=") for line in lines if line and line[0] not in "#["]
    assert len({key for key, _, _ in pairs}) == len(pairs)
    return {key: value for key, _, value in pairs}


def agent(label: str) -> dict[str, Any]:
    return plistlib.loads((ROOT / "launchd" / f"{label}.plist").read_bytes())  # type: ignore[no-any-return]


def test_systemd_finds_nothing_to_object_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed (on Debian: apt install systemd)")
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    commands = str(Path(sys.executable).parent)
    for service in (*SERVICES, BRIDGE):
        text = (ROOT / "systemd" / f"{service}.service").read_text(encoding="utf-8")
        (tmp_path / f"{service}.service").write_text(text.replace("%h/.local/bin", commands), encoding="utf-8")
    units = [str(tmp_path / f"{service}.service") for service in (*SERVICES, BRIDGE)]
    verdict = subprocess.run([analyze, "--user", "verify", *units], capture_output=True, text=True, check=False)
    assert (verdict.returncode, verdict.stdout + verdict.stderr) == (
        0,
        "",
    )  # an unknown key is only said, with status 0


@pytest.mark.parametrize("service", SERVICES)
def test_both_units_hold_what_keeps_streams_secrets_and_the_runtime_directory(service: str) -> None:
    found = directives(service)
    assert {key: found.get(key) for key in BOTH} == BOTH
    assert found["ExecStart"] == f"%h/.local/bin/{COMMANDS[service]}"


@pytest.mark.parametrize("service", SERVICES)
def test_a_stop_waits_as_long_as_the_drain_and_ten_seconds_more(service: str) -> None:
    assert float(directives(service)["TimeoutStopSec"]) == DRAIN_S + 10


@pytest.mark.parametrize("service", [*SERVICES, BRIDGE])
def test_no_directive_needs_namespaces_that_a_users_manager_may_lack(service: str) -> None:
    assert [key for key in directives(service) if key.startswith(NEED_NAMESPACES)] == []


def test_nothing_hides_the_gpu_from_the_models() -> None:
    assert [key for key in directives("inferd-keeper") if key.startswith(BREAK_GPUS)] == []


def test_the_daemons_unit_tells_when_it_is_ready_and_is_watched() -> None:
    found = directives("inferd")
    assert (found["Type"], found["NotifyAccess"]) == ("notify", "main")
    assert float(found["WatchdogSec"]) > 0


def test_the_daemon_is_started_after_its_keeper_so_that_it_is_stopped_before_it() -> None:
    found = directives("inferd")
    assert found["Wants"] == found["After"] == "inferd-keeper.service"
    assert not {"BindsTo", "PartOf", "Requires"} & directives("inferd-keeper").keys()


def test_the_keeper_may_give_each_model_a_cgroup_of_its_own() -> None:
    assert directives("inferd-keeper")["Delegate"] == "yes"


def test_a_keeper_that_finds_another_one_is_not_started_again() -> None:
    assert directives("inferd-keeper")["RestartPreventExitStatus"] == str(keeper.EXIT_HELD)


def test_the_bridges_unit_opens_nothing_to_other_machines_and_stays_off_when_it_was_asked_wrongly() -> None:
    found = directives(BRIDGE)
    assert found["ExecStart"] == "%h/.local/bin/inferd wyoming"
    assert found["RestartPreventExitStatus"] == "2"
    assert found["Wants"] == found["After"] == "inferd.service"


def environment_of_unit() -> str:
    return directives("inferd")["Environment"]


def environment_of_agent() -> str:
    ((key, value),) = agent("inferd.daemon")["EnvironmentVariables"].items()
    return f"{key}={value}"


@pytest.mark.parametrize("source", [environment_of_unit, environment_of_agent])
def test_the_services_environment_is_a_setting_that_leaves_the_keeper_to_its_own_service(
    source: Callable[[], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key, _, value = source().partition("=")
    monkeypatch.setenv(key, value)
    empty = tmp_path / "config.toml"
    empty.touch()
    assert config.read(empty).keeper == "external"


@pytest.mark.parametrize("label", AGENTS)
def test_an_agent_restarts_only_after_failure_and_keeps_its_files_private(label: str) -> None:
    found = agent(label)
    assert found["Label"] == label
    assert found["RunAtLoad"] is True
    assert found["KeepAlive"] == {"SuccessfulExit": False}
    assert found["ThrottleInterval"] >= 30
    assert found["ExitTimeOut"] == DRAIN_S + 10
    assert found["Umask"] == 0o077
    assert found["ProcessType"] == "Interactive"
    assert found["SoftResourceLimits"] == {"NumberOfFiles": 65536, "Core": 0}


@pytest.mark.parametrize(("label", "command"), list(zip(AGENTS, COMMANDS.values(), strict=True)))
def test_an_agents_process_is_the_command_itself_with_its_words_in_the_users_log_folder(
    label: str, command: str, tmp_path: Path
) -> None:
    (tmp_path / ".local" / "bin").mkdir(parents=True)
    (tmp_path / "Library" / "Logs").mkdir(parents=True)
    program = tmp_path / ".local" / "bin" / command
    program.write_text('#!/bin/sh\necho "pid $$"\n', encoding="utf-8")
    program.chmod(0o755)
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(agent(label)["ProgramArguments"], env=environment, stderr=subprocess.DEVNULL) as job:
        assert job.wait() == 0
    (log,) = (tmp_path / "Library" / "Logs").iterdir()
    assert log.read_text(encoding="utf-8") == f"pid {job.pid}\n"
