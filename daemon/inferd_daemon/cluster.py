"""The daemon's side of the keeper: starts one or finds one, knows how it is, ends the one that it started.

Covers: the keeper's process, its log, pauses between its lives, secrets. Does not cover its socket (`wires`) nor what is
ordered of it (`fleet`, `supervisor`). Ray itself is behind `keeper`; nothing here knows of it, so that another way to start
actor processes would fit behind the same few methods.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import os
import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, Literal

import structlog

from inferd_actors.messages import KeeperReady
from inferd_daemon.keeper_environment import allowed
from inferd_daemon.keeper_files import Place, holder, shared_secret

log = structlog.get_logger()

LEAVE_S: Final = 25.0
"""The keeper gives a Ray that hangs 15 s, and what is left then another 8; it is killed after this."""
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0
STEADY_S: Final = 60.0
"""A keeper that lived this long is forgiven its end: the next pause is the first one again."""
LOG_BYTES: Final = 2**20
"""The keeper's log is set aside past this size when a keeper starts; one set-aside log is kept."""


def next_pause_s(last_pause_s: float, lived_s: float) -> float:
    """Return how long to wait before the next keeper is started; `last_pause_s` is 0 at first."""
    if lived_s >= STEADY_S or not last_pause_s:
        return FIRST_PAUSE_S
    return min(2 * last_pause_s, LONGEST_PAUSE_S)


class Cluster:
    """One keeper after the other. Runs in the loop; the methods that are not async return at once."""

    def __init__(self, runtime_dir: Path, state_dir: Path, mode: Literal["child", "external"]) -> None:
        """`external`: a unit of its own starts and restarts the keeper, and it outlives the daemon."""
        self._place = Place(runtime_dir)
        self._log_file = state_dir / "keeper.log"
        self._mode = mode
        self._key = secrets.token_bytes(32)
        self._process: asyncio.subprocess.Process | None = None
        self._pipe: int | None = None
        self._leaving = asyncio.Event()
        self._ray_pids: tuple[int, ...] = ()
        self.keeper_secret: Final = shared_secret(self._place.secret)
        """What the keeper says in its hello; both read it from one 0600 file."""

    @property
    def state(self) -> Literal["starting", "ready", "down"]:
        """Return how the keeper is: ready for orders, on its way, or neither."""
        if self._ray_pids:
            return "ready"
        return "starting" if self._keeper_pid() else "down"

    def new_secret(self, life: int) -> str:
        """Return what the actor of this life says in its hello: known to this daemon, the keeper and that actor."""
        return hmac.digest(self._key, str(life).encode(), hashlib.sha256).hex()

    def heard(self, ready: KeeperReady) -> None:
        """Take the keeper's word that it is ready."""
        self._ray_pids = ready.ray_pids

    def lost(self) -> None:
        """Take note that the keeper is in trouble, or not connected any more."""
        self._ray_pids = ()

    def processes(self) -> Iterator[tuple[int, str, str]]:
        """Yield (pid, kind, name) of the keeper and Ray's servers; actors are not among them."""
        pid = self._keeper_pid()
        if pid:
            yield pid, "keeper", "keeper"
        yield from ((ray, "ray", name) for ray, name in zip(self._ray_pids, ("gcs_server", "raylet"), strict=False))

    async def run(self) -> None:
        """Have a keeper there for the daemon's life; return when it is another's to start, or after `leave`.

        Cancelling it leaves a keeper that ends by itself, as it does when the daemon is killed.
        """
        pause_s = 0.0
        try:
            while not self._leaving.is_set() and not self._is_found():
                started_s = time.monotonic()
                code = await self._live_if_can()
                self._close_pipe()
                self.lost()
                pause_s = next_pause_s(pause_s, time.monotonic() - started_s)
                log.info("keeper_ended", code=code, pause_s=pause_s, log=str(self._log_file))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._leaving.wait(), pause_s)
        finally:
            self._close_pipe()

    async def leave(self) -> None:
        """End the keeper that we started, and with it every actor; return when it is gone. Others are left alone."""
        self._leaving.set()
        self._close_pipe()
        process = self._process
        if process is None:
            return
        try:
            async with asyncio.timeout(LEAVE_S):
                await process.wait()
        except TimeoutError:
            log.warning("keeper_killed", after_s=LEAVE_S)
            process.kill()

    async def _live_if_can(self) -> int | None:
        """Return the exit code of the next keeper; None when none could be started, which may pass."""
        try:
            return await self._live()
        except OSError as refused:  # no memory for a process, no descriptor, no room for a log
            log.warning("keeper_not_started", reason=str(refused))
            return None

    async def _live(self) -> int:
        """Start a keeper and return its exit code."""
        theirs, self._pipe = os.pipe()
        try:
            with self._open_log() as out:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", "inferd_daemon.keeper"),
                    *("--runtime-dir", str(self._place.runtime_dir), "--parent-fd", str(theirs)),
                    env=allowed(os.environ),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    pass_fds=(theirs,),
                    start_new_session=True,  # a terminal's Ctrl-C is for the daemon alone: it drains first
                )
        finally:
            os.close(theirs)
        return await self._process.wait()

    def _close_pipe(self) -> None:
        """Tell the keeper that its daemon is gone; also what happens when the daemon is killed."""
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None

    def _open_log(self) -> IO[bytes]:
        with contextlib.suppress(FileNotFoundError):
            if self._log_file.stat().st_size > LOG_BYTES:
                self._log_file.replace(self._log_file.with_suffix(".log.1"))
        return self._log_file.open("ab")

    def _is_found(self) -> bool:
        """Return whether somebody else starts keepers here: then there is nothing to do but to hear its hello."""
        there = holder(self._place)
        return self._mode == "external" or (there is not None and there.mode == "service")

    def _keeper_pid(self) -> int:
        """Return the process id of the living keeper, 0 if there is none."""
        if self._process is not None and self._process.returncode is None:
            return self._process.pid
        there = holder(self._place)
        return there.pid if there else 0
