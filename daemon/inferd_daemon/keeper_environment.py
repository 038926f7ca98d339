"""What the keeper and every process below it find in their environment; nothing of the user's shell reaches a model.

Covers: the allow-list, the tags that mark our processes, Ray's switches. Pure. Ray reads its switches when its library
loads, so `keeper` puts them in place before the import. They are unstable names of one Ray version (pinned in
`pyproject.toml`); `tests/system/test_keeper.py` tells when one stops working. See also: `sweep`, which reads the tags.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

KEPT: Final = MappingProxyType(
    {
        "PATH": "engines and Ray start /bin/sh and the like by name",
        "HOME": "libraries keep caches below it",
        "LANG": "encoding of file names and of messages",
        "TZ": "times in logs",
        "TMPDIR": "where this machine wants temporary files",
        "XDG_CACHE_HOME": "caches, when they are not below HOME",
        "XDG_CONFIG_HOME": "the same for settings of libraries",
        "XDG_DATA_HOME": "the same for data",
        "XDG_STATE_HOME": "the same for state",
        "XDG_RUNTIME_DIR": "where the daemon's sockets are",
        "LD_LIBRARY_PATH": "GPU runtimes outside the linker's cache are found by it alone; LD_PRELOAD has no such excuse",
    }
)
"""Name → why it passes. Not here on purpose: RAY_* (could attach us to a stranger's cluster), PYTHON* (could put other
code in our processes), proxies and tokens (credentials), INFERD_* (settings are the daemon's)."""

KEPT_PREFIXES: Final = MappingProxyType(
    {
        "LC_": "as LANG",
        "CUDA_": "which GPUs the user gives to us, and where their runtime is",
        "NVIDIA_": "the same, in containers",
    }
)

DEFAULTS: Final = MappingProxyType({"CUDA_DEVICE_ORDER": "PCI_BUS_ID"})
"""What is set where the user says nothing: CUDA numbers GPUs as NVML does, by which their memory is read."""

INSTANCE: Final = "INFERD_INSTANCE"
RUNTIME_DIR: Final = "INFERD_RUNTIME_DIR"
KEEPER: Final = "INFERD_KEEPER"

RAY_LOG_BYTES: Final = 4 * 2**20
RAY_LOG_BACKUPS: Final = 1
"""Two files of 4 MiB per log: they lie in a tmpfs. Ray's own figures are 512 MiB and 5."""
GCS_PATIENCE_S: Final = 3600
"""Ray ends its driver when the GCS has been gone for so long (60 s by default). We notice at once and restart it."""


@dataclass(frozen=True, slots=True)
class Tag:
    """Which keeper a process belongs to: what a later keeper of the same directory reads before it sweeps."""

    instance: str
    """Random, one per keeper process."""
    runtime_dir: str
    keeper_pid: int
    keeper_started_unix_s: float
    """Tells a living keeper from a stranger that got its pid."""

    def variables(self) -> dict[str, str]:
        """Return the tag as environment variables."""
        return {
            INSTANCE: self.instance,
            RUNTIME_DIR: self.runtime_dir,
            KEEPER: f"{self.keeper_pid}@{self.keeper_started_unix_s:.2f}",
        }


def tag_of(environ: Mapping[str, str]) -> Tag | None:
    """Return the tag in a process's environment, None when it has none or a broken one."""
    pid, at, started = environ.get(KEEPER, "").partition("@")
    try:
        return Tag(environ[INSTANCE], environ[RUNTIME_DIR], int(pid), float(started)) if at else None
    except (KeyError, ValueError):
        return None


def composed(environ: Mapping[str, str], token: Path, *, cpus: int, tag: Tag) -> dict[str, str]:
    """Return all that a keeper's processes find: what the user says wins over `DEFAULTS`, our switches over both."""
    return {**DEFAULTS, **allowed(environ), **switches(token, cpus=cpus), **tag.variables()}


def allowed(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the part of an environment that may be passed on."""
    prefixes = tuple(KEPT_PREFIXES)
    return {name: value for name, value in environ.items() if name in KEPT or name.startswith(prefixes)}


def switches(token: Path, *, cpus: int) -> dict[str, str]:
    """Return Ray's switches. `token`: the cluster's token file. `cpus`: threads that a library may start by default."""
    return {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # despite its name: listen on loopback only, on Linux too
        "RAY_AUTH_MODE": "token",  # loopback is open to every local user, and Ray runs whatever it is sent
        "RAY_AUTH_TOKEN_PATH": str(token),  # the file, not the secret itself: actors inherit this environment
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",  # add nothing to ours; Ray's 15 would make models the last to run
        "RAY_worker_oom_score_adjustment": "0",  # Ray's 1000 would make models the kernel's first victims
        "RAY_memory_monitor_refresh_ms": "0",  # it kills workers by the machine's total; memory is the ledger's business
        "RAY_prestart_worker_first_driver": "0",  # no idle workers: 50 MiB each
        "RAY_num_workers_soft_limit": "0",
        "RAY_enable_metrics_collection": "0",
        "RAY_task_events_report_interval_ms": "0",
        "RAY_enable_timeline": "0",
        "RAY_event_stats": "0",
        "RAY_LOG_TO_DRIVER": "0",
        "RAY_ROTATION_MAX_BYTES": str(RAY_LOG_BYTES),
        "RAY_ROTATION_BACKUP_COUNT": str(RAY_LOG_BACKUPS),
        "RAY_gcs_rpc_server_reconnect_timeout_s": str(GCS_PATIENCE_S),
        "RAY_enable_pipe_based_agent_to_parent_health_check": "1",  # what stands in for Ray's agents ends with the raylet
        # Timers of an idle raylet, once a second instead of five to ten times: 0.7 → 0.3 % of a core.
        "RAY_raylet_report_resources_period_milliseconds": "1000",
        "RAY_kill_idle_workers_interval_ms": "1000",
        "RAY_object_manager_timer_freq_ms": "1000",
        # Ray sets 1 for actors without CPUs; what a library does unasked shall be as without Ray.
        "OMP_NUM_THREADS": str(cpus),
    }
