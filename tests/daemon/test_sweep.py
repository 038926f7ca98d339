"""What a keeper clears away: processes of dead keepers, Ray's folder, logs of ended actors; and nothing of others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd_daemon import sweep
from inferd_daemon.keeper_environment import Tag

OURS = Path("/run/user/1/inferd")
DEAD = Tag("old", str(OURS), 4_000_000, 1.0)

Start = Callable[[Tag | None], "subprocess.Popen[bytes]"]


@pytest.mark.parametrize(
    ("tag", "is_alive", "expected"),
    [
        (None, False, False),
        (DEAD, False, True),
        (DEAD, True, False),
        (Tag("old", "/run/user/2/inferd", 4_000_000, 1.0), False, False),
        (Tag("own", str(OURS), 4_000_000, 1.0), False, False),
    ],
    ids=["a stranger", "of a dead keeper", "of a living keeper", "of another directory", "our own"],
)
def test_only_processes_of_dead_keepers_of_this_directory_are_ended(
    tag: Tag | None, *, is_alive: bool, expected: bool
) -> None:
    found = sweep.is_leftover(tag, runtime_dir=OURS, instance="own", is_alive=lambda _: is_alive)
    assert found is expected


@pytest.fixture
def start() -> Iterator[Start]:
    """Start processes that wait for ever, with a tag in their environment; none outlives the test."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(tag: Tag | None) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"],
            env={**os.environ, **(tag.variables() if tag else {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()  # its environment is there once it runs
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def test_leftovers_are_found_by_their_environment_and_others_stay(start: Start, tmp_path: Path) -> None:
    me = psutil.Process()
    orphan = start(Tag("old", str(tmp_path), 4_000_000, 1.0))
    stranger = start(None)
    of_other_place = start(Tag("old", str(tmp_path / "other"), 4_000_000, 1.0))
    of_living_keeper = start(Tag("old", str(tmp_path), me.pid, me.create_time()))
    of_reused_pid = start(Tag("old", str(tmp_path), me.pid, me.create_time() - 100))
    assert sweep.end_leftovers(tmp_path, "own") == 2
    assert not [one for one in (orphan, of_reused_pid) if one.poll() is None]
    assert [one.poll() for one in (stranger, of_other_place, of_living_keeper)] == [None, None, None]


def test_own_processes_that_do_not_follow_are_ended(start: Start, tmp_path: Path) -> None:
    left = start(Tag("own-of-this-test", str(tmp_path), os.getpid(), 1.0))
    assert sweep.end_own("own-of-this-test", patience_s=0.01) == 1
    assert left.poll() is not None
    assert sweep.end_own("own-of-this-test", patience_s=0.01) == 0


def test_the_end_of_a_process_is_seen_even_if_it_ended_before(start: Start) -> None:
    process = start(None)
    process.kill()
    sweep.await_exit(process.pid)
    assert process.poll() is not None
    sweep.await_exit(process.pid)


def test_ray_s_folder_is_removed_whole_and_may_be_absent(tmp_path: Path) -> None:
    logs = tmp_path / "ray" / "session_2026-01-01_00-00-00_000000_1" / "logs"
    logs.mkdir(parents=True)
    (logs / "raylet.out").write_text("x")
    sweep.remove_ray_dir(tmp_path / "ray")
    assert list(tmp_path.iterdir()) == []
    sweep.remove_ray_dir(tmp_path / "ray")


def test_a_link_in_the_place_of_ray_s_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "ray").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic link"):
        sweep.remove_ray_dir(tmp_path / "ray")
    assert (tmp_path / "precious").exists()


LOG_NAMES = st.builds(
    lambda name, pid: name.format(pid),
    st.sampled_from(
        [
            "worker-abab-01000000-{}.out",
            "worker-abab-01000000-{}.err",
            "python-core-worker-abab_{}.log",
            "event_CORE_WORKER_{}.log",
        ]
    ),
    st.integers(1, 9),
)
OTHER_NAMES = st.sampled_from(["raylet.out", "python-core-driver-01_7.log", "worker-.err", "event_GCS.log"])


@given(
    st.dictionaries(st.one_of(LOG_NAMES, OTHER_NAMES), st.integers(0, 99), max_size=30),
    st.sets(st.integers(1, 9)),
    st.integers(0, 6),
)
def test_the_oldest_logs_of_ended_actors_go_and_no_others(stamps: dict[str, int], living: set[int], kept: int) -> None:
    logs = [(float(stamp), name) for name, stamp in stamps.items()]
    surplus = sweep.surplus_logs(logs, living, kept)
    ended = [name for name in stamps if name.startswith(("worker-a", "python-core-worker-", "event_C"))]
    ended = [name for name in ended if int(name.rpartition(".")[0][-1]) not in living]
    assert set(surplus) <= set(ended)
    assert len(ended) - len(surplus) == min(kept, len(ended))
    stay = set(ended) - set(surplus)
    assert not surplus or not stay or max(stamps[name] for name in surplus) <= min(stamps[name] for name in stay)


def test_of_broken_sessions_the_newest_stays(tmp_path: Path) -> None:
    for minute in (5, 3, 4):
        (tmp_path / f"session_2026-01-01_00-0{minute}-00_000000_1" / "logs").mkdir(parents=True)
    (tmp_path / "session_latest").symlink_to("session_2026-01-01_00-05-00_000000_1")
    sweep.prune_sessions(tmp_path)
    assert [path.name for path in tmp_path.glob("session_2*")] == ["session_2026-01-01_00-05-00_000000_1"]


def test_logs_are_pruned_in_every_session(tmp_path: Path) -> None:
    folder = tmp_path / "session_2026-01-01_00-00-00_000000_1" / "logs"
    folder.mkdir(parents=True)
    names = [f"worker-ab-01000000-{pid}.err" for pid in range(1, sweep.KEPT_LOGS + 3)]
    for age, name in enumerate(names):
        (folder / name).touch()
        os.utime(folder / name, (age, age))
    sweep.prune_logs(tmp_path, living={2})
    assert not (folder / names[0]).exists()
    assert all((folder / name).exists() for name in names[1:])
