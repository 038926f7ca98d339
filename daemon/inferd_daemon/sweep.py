"""Leftovers of keepers: processes that outlived theirs, Ray's folders in the runtime directory, logs of ended actors.

Covers: finding, ending and removing them. Called by `keeper` alone, and before anything else only while it holds the lock.
A keeper that is killed takes its cluster along on Linux, by the death signal; elsewhere the tags in the processes'
environment are the only way to find them: their command lines are titles, and actors lead process groups of their own.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Final

import psutil

from inferd_daemon.keeper_environment import Tag, tag_of

SAME_START_S: Final = 1.0
"""Start times of one process, read twice, differ by rounding."""
END_S: Final = 5.0
"""A SIGKILLed process is gone in milliseconds; one that still is there then waits for a device, and cannot be helped."""
KEPT_LOGS: Final = 60
"""Files of ended actors in one folder that stay for reading: the last twenty, with three each."""
WORKER_LOG: Final = re.compile(r"^(?:worker-|python-core-worker-|event_).*[-_](\d+)\.(?:out|err|log)$")
LOG_FOLDERS: Final = ("logs", "logs/events", "logs/export_events")


def is_leftover(tag: Tag | None, *, runtime_dir: Path, instance: str, is_alive: Callable[[Tag], bool]) -> bool:
    """Return whether a process with this tag is to be ended by the keeper `instance`, which holds `runtime_dir`."""
    return tag is not None and tag.runtime_dir == str(runtime_dir) and tag.instance != instance and not is_alive(tag)


def end_leftovers(runtime_dir: Path, instance: str) -> int:
    """End the processes of dead keepers of this directory and return how many there were. Blocks."""
    left = (
        process
        for process, tag in _tagged()
        if is_leftover(tag, runtime_dir=runtime_dir, instance=instance, is_alive=_keeper_lives)
    )
    return _end(left, patience_s=0)


def end_own(instance: str, patience_s: float) -> int:
    """End what is left of our own cluster after `patience_s` and return how much there was. Blocks."""
    return _end((process for process, tag in _tagged() if tag.instance == instance), patience_s)


def remove_ray_dir(ray_dir: Path) -> None:
    """Remove Ray's folder: Ray itself never removes a session, and they lie in memory. A link in its place raises."""
    if os.path.lexists(ray_dir):
        shutil.rmtree(ray_dir)


def surplus_logs(logs: Iterable[tuple[float, str]], living: Collection[int], kept: int = KEPT_LOGS) -> list[str]:
    """Return the names to remove from (age rank, name) pairs: logs of ended actors, without the `kept` newest."""
    ended = sorted(
        (stamp, name)
        for stamp, name in logs
        if (found := WORKER_LOG.match(name)) is not None and int(found[1]) not in living
    )
    return [name for _, name in ended[: max(0, len(ended) - kept)]]


def prune_logs(ray_dir: Path, living: Collection[int]) -> None:
    """Remove surplus logs of ended actors from Ray's sessions."""
    for folder in (session / logs for session in _sessions(ray_dir) for logs in LOG_FOLDERS):
        with contextlib.suppress(FileNotFoundError):  # Ray turned a log over meanwhile: the next death comes by again
            logs = [(path.stat().st_mtime, path.name) for path in folder.glob("*.*")]
            for name in surplus_logs(logs, living):
                (folder / name).unlink()


def prune_sessions(ray_dir: Path) -> None:
    """Remove all sessions but the newest, in which can be read how Ray broke. Called while Ray is down."""
    for session in _sessions(ray_dir)[:-1]:
        shutil.rmtree(session)


def await_exit(pid: int) -> None:
    """Return when this process has ended; it need not be a child of ours. Blocks."""
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait()


def _sessions(ray_dir: Path) -> list[Path]:
    return sorted(ray_dir.glob("session_2*"))  # their names begin with their time


def _tagged() -> Iterator[tuple[psutil.Process, Tag]]:
    """Yield our user's living processes that carry a keeper's tag, without this one."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid == os.getpid() or process.uids().real != os.getuid():
                continue
            tag = tag_of(process.environ())
            if tag is not None and process.status() != psutil.STATUS_ZOMBIE:
                yield process, tag


def _keeper_lives(tag: Tag) -> bool:
    try:
        started_unix_s = psutil.Process(tag.keeper_pid).create_time()
    except psutil.Error:
        return False
    return abs(started_unix_s - tag.keeper_started_unix_s) < SAME_START_S


def _end(processes: Iterable[psutil.Process], patience_s: float) -> int:
    left = list(processes)
    if not left:
        return 0
    _, alive = psutil.wait_procs(left, timeout=patience_s)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=END_S)
    return len(alive)
