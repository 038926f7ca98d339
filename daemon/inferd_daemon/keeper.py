"""The keeper: a process of its own, the only one that drives Ray. `python -P -m inferd_daemon.keeper`.

Covers: the door to Ray (`RayHead`) and the start of the process (`main`). Does not cover its threads (`keeper_process`), what
is decided about lives (`lives`), the environment (`keeper_environment`), leftovers (`sweep`), the daemon's side (`cluster`).

Ray, slimmed (version pinned; `tests/system/test_keeper.py` counts the processes): no autoscaler monitor, log monitor or
dashboard, which serve clusters and web pages; and in place of the raylet's two agents, without which it ends itself, a
`cat` each that waits for the raylet's end. 380 → 130 MiB, start 3.2 → 0.3 s. The price: no `runtime_env`, no metrics.
Ray is imported late, once its switches are in the environment.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, Final

import psutil
import structlog

from inferd import address
from inferd.errors import InferenceError
from inferd_actors import messages
from inferd_actors.host import ActorSpec
from inferd_actors.process import Process
from inferd_daemon import sweep
from inferd_daemon.keeper_environment import Tag, composed
from inferd_daemon.keeper_files import Held, Mode, Place, held, write_secret
from inferd_daemon.keeper_process import EXIT_BUG, Keeper, Post, watch
from inferd_daemon.lives import Fell, RayBroke, RayCame, RayFailed, Started
from inferd_daemon.telemetry import start_logging

log = structlog.get_logger()

EXIT_HELD: Final = 4
LOCK_WAIT_S: Final = 15.0
"""A predecessor that lost its daemon is gone within 5 s."""
ORPHAN_LIMIT_S: Final = 3600.0

INIT_ATTEMPTS: Final = 3
"""On a loaded machine the first start after a crash sometimes fails with "Failed to start GCS"; the next succeeded."""
OBJECT_STORE_BYTES: Final = 80 * 2**20
"""Ray's minimum is 75 MiB; nothing is ever put into it."""
NOT_SERVED: Final = -1
"""What Ray's agents report for a service that they do not offer; ours offer none."""
AGENT_PORTS: Final = (
    "metrics_agent_port",
    "metrics_export_port",
    "dashboard_agent_listen_port",
    "runtime_env_agent_port",
)
STAND_IN: Final = ["/bin/sh", "-c", "exec cat", "ray-agent-stand-in"]
"""Reads the pipe that the raylet gives its agents, until the raylet ends; further arguments are ignored."""
OWN_END_S: Final = 3.0
"""How long Ray's processes may take to follow their raylet."""


class RayHead:
    """One Ray head in this process, and handles of the actors in it. Every method runs on the Ray thread."""

    def __init__(self, place: Place, instance: str, gpus: int, post: Post, took_signals: Callable[[], None]) -> None:
        self._place = place
        self._instance = instance
        self._gpus = gpus
        self._post = post
        self._took_signals = took_signals
        self._actors: dict[int, Any] = {}
        self._number = 0
        self.calls = 0
        """Calls to actors so far: a handful per life, none per request."""

    def up(self) -> None:
        """Start Ray and post `RayCame`, or `RayFailed` after three attempts. Blocks for 0.3 to 9 s."""
        for attempt in range(1, INIT_ATTEMPTS + 1):
            try:
                servers = self._init()
            except Exception as failed:  # noqa: BLE001 - Ray raises bare exceptions of many kinds
                log.warning("ray_start_failed", attempt=attempt, reason=_brief(failed))
                self._shut()
                if attempt == INIT_ATTEMPTS:
                    self._post(RayFailed(f"Ray did not start in {attempt} attempts: {_brief(failed)}"))
            else:
                self._number += 1
                self._post(RayCame(self._number, tuple(servers.values())))
                for name, pid in servers.items():
                    watch(pid, self._post, RayBroke(self._number, f"{name} is gone"))
                return

    def down(self) -> None:
        """Stop Ray with every actor in it; return when no process of it is left. Blocks for 0.1 to some 8 s."""
        self._shut()

    def begin(self, order: messages.Spawn) -> None:
        """Ask for an actor process; answered by `Started` or `Fell`. Does not block."""
        import ray

        spec = ActorSpec(self._place.endpoint, order.life, order.kind, order.model, order.secret)
        try:
            actor = ray.remote(Process).options(**_options(order)).remote(spec)
            self._actors[order.life] = actor
            self.calls += 3
            actor.start.remote().future().add_done_callback(lambda done: self._started(order.life, done))
            actor.wait.remote().future().add_done_callback(lambda done: self._fell(order.life, done))
        except Exception as refused:  # noqa: BLE001 - as above
            self._post(Fell(order.life, _brief(refused)))

    def finish(self, life: int) -> None:
        """Have an actor killed, without any cleanup. Does not block."""
        import ray

        actor = self._actors.get(life)
        if actor is not None:
            self.calls += 1
            with contextlib.suppress(Exception):  # what Ray cannot kill is killed by signal soon after
                ray.kill(actor)

    def release(self, life: int) -> None:
        """Forget an actor that is over."""
        self._actors.pop(life, None)

    def _init(self) -> dict[str, int]:
        import ray
        from ray._private import node, services

        _slim(node, services)
        ray.init(
            address="local",
            include_dashboard=False,
            num_cpus=os.cpu_count(),
            num_gpus=self._gpus,
            namespace="inferd",
            object_store_memory=OBJECT_STORE_BYTES,
            _temp_dir=str(self._place.ray_dir),
            log_to_driver=False,
            logging_level="error",
            configure_logging=False,
        )
        self._took_signals()
        processes = ray._private.worker._global_node.all_processes  # noqa: SLF001 - nothing public names the pids
        return {name: processes[name][0].process.pid for name in ("gcs_server", "raylet")}

    def _shut(self) -> None:
        import ray

        self._actors.clear()
        with contextlib.suppress(Exception):  # whatever is left is ended below
            ray.shutdown()
        self._took_signals()
        sweep.end_own(self._instance, OWN_END_S)

    def _started(self, life: int, done: Future[Any]) -> None:
        if done.exception() is None:  # otherwise the sentinel tells of it
            self._post(Started(life, done.result()))

    def _fell(self, life: int, done: Future[Any]) -> None:
        failed = done.exception()
        self._post(Fell(life, "it left" if failed is None else _brief(failed)))


def _options(order: messages.Spawn) -> dict[str, Any]:
    """Return an actor's options, all of them on purpose: whether it lives again is the supervisor's decision.

    No name: Ray registers named actors synchronously, and would block this thread for as long as its GCS is dead.
    """
    return {
        "num_cpus": 0,
        "num_gpus": order.gpu_share or None,
        "max_restarts": 0,
        "max_task_retries": 0,
        # Both calls run on the process's main thread. With another thread for them Ray's own loop would wake there 100 times a
        # second to look for signals, beside an engine whose threads have all cores; a thread that blocks in `wait` does not.
        "max_concurrency": 1,
        "enable_task_events": False,
    }


def _slim(node: Any, services: Any) -> None:  # noqa: ANN401 - Ray's modules
    """Make Ray's next head start without the parts that serve clusters and web pages. Repeating it changes nothing."""
    from ray._private.ray_constants import PROCESS_TYPE_DASHBOARD_AGENT, PROCESS_TYPE_RUNTIME_ENV_AGENT
    from ray._raylet import persist_port  # type: ignore[attr-defined]  # absent from its stub

    agents = (PROCESS_TYPE_DASHBOARD_AGENT, PROCESS_TYPE_RUNTIME_ENV_AGENT)
    if getattr(node.Node, "is_slim", False):
        return

    class SlimNode(node.Node):  # type: ignore[misc]
        is_slim = True

        def __init__(self, ray_params: Any, **options: Any) -> None:  # noqa: ANN401
            ray_params.update(no_monitor=True, include_log_monitor=False)
            super().__init__(ray_params, **options)

        def start_api_server(self, **_: object) -> None:
            self._webui_url = ""

        def start_raylet(self, *arguments: object, **options: object) -> None:
            for port in AGENT_PORTS:  # the raylet waits for this report of its agents
                persist_port(self._session_dir, self._node_id, port, NOT_SERVED)
            super().start_raylet(*arguments, **options)

    python_command = services._build_python_executable_command_memory_profileable  # noqa: SLF001

    def command(component: str, *rest: object, **options: object) -> list[str]:
        made: list[str] = STAND_IN if component in agents else python_command(component, *rest, **options)
        return list(made)

    node.Node = SlimNode
    services._build_python_executable_command_memory_profileable = command  # noqa: SLF001


def _brief(failed: BaseException) -> str:
    lines = str(failed).strip().splitlines()
    return f"{type(failed).__name__}: {lines[0]}"[:1000] if lines else type(failed).__name__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a keeper and return its exit code: 0, 4 another one is there, 5 Ray does not start, 70 a bug."""
    options = _read(arguments)
    os.umask(0o077)
    os.chdir("/")  # Ray puts its driver's working directory on every actor's import path
    start_logging(options.log_level)
    place = Place(options.runtime_dir or address.runtime_dir(create=True))
    mode: Mode = "service" if options.parent_fd is None else "child"
    try:
        place.check()
        with held(place, mode, LOCK_WAIT_S):
            return _keep(place, options)
    except (Held, InferenceError) as refused:
        log.warning("keeper_cannot_start", reason=str(refused))
        return EXIT_HELD


def _keep(place: Place, options: argparse.Namespace) -> int:
    instance = secrets.token_hex(8)
    _prepare_environment(place, instance)
    swept = sweep.end_leftovers(place.runtime_dir, instance)
    _clear(place)
    write_secret(place.token)
    log.info("keeper_started", pid=os.getpid(), runtime_dir=str(place.runtime_dir), swept=swept)
    make_head = partial(RayHead, place, instance, options.gpus)
    code = Keeper(place, make_head, options.orphan_limit_s).run(options.parent_fd)
    if code == EXIT_BUG:
        os._exit(code)  # a Ray that hangs would hang the interpreter's end too; the next keeper sweeps
    _clear(place)
    return code


def _clear(place: Place) -> None:
    sweep.remove_ray_dir(place.ray_dir)
    place.token.unlink(missing_ok=True)


def _prepare_environment(place: Place, instance: str) -> None:
    """Leave nothing in our environment that is not meant for actors; before Ray's library is loaded."""
    tag = Tag(instance, str(place.runtime_dir), os.getpid(), psutil.Process().create_time())
    wanted = composed(os.environ, place.token, cpus=os.cpu_count() or 1, tag=tag)
    os.environ.clear()
    os.environ.update(wanted)


def _read(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -P -m inferd_daemon.keeper", description="Keep Ray and its actors.")
    parser.add_argument("--runtime-dir", type=Path, help="directory of the daemon's sockets (default: the daemon's)")
    parser.add_argument("--parent-fd", type=int, help="a pipe whose end ends the keeper (default: run as a service)")
    parser.add_argument(
        "--orphan-limit-s", type=float, default=ORPHAN_LIMIT_S, help="end after so long without a daemon"
    )
    parser.add_argument("--gpus", type=int, default=0, help="how many GPUs actors may share (default: none)")
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
