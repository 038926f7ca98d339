"""One keeper for each runtime directory, and secrets that are for their owner alone."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from inferd.errors import InvalidRequest, PermissionDenied
from inferd_daemon.keeper_files import Held, Place, held, holder, shared_secret, write_secret


@pytest.fixture
def place(tmp_path: Path) -> Place:
    tmp_path.chmod(0o700)
    return Place(tmp_path)


def test_a_second_keeper_is_refused_naming_the_first(place: Place) -> None:
    with held(place, "service", 1.0), pytest.raises(Held, match=str(os.getpid())), held(place, "child", 0.01):
        pass


def test_the_holder_is_seen_from_outside_and_gone_with_its_end(place: Place) -> None:
    assert holder(place) is None
    with held(place, "service", 1.0):
        assert holder(place) == (os.getpid(), "service")
    assert holder(place) is None


def test_a_keeper_may_come_after_another_with_a_longer_name(place: Place) -> None:
    with held(place, "service", 1.0):
        pass
    with held(place, "child", 1.0):
        assert holder(place) == (os.getpid(), "child")


def test_all_who_come_first_read_the_same_secret(place: Place) -> None:
    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(lambda _: shared_secret(place.secret), range(64)))
    assert len(secrets) == 1
    assert len(secrets.pop()) == 64
    assert stat.S_IMODE(place.secret.stat().st_mode) == 0o600
    assert [path.name for path in place.runtime_dir.iterdir()] == [place.secret.name]


def test_a_secret_never_replaces_what_is_there(place: Place) -> None:
    place.token.symlink_to(place.runtime_dir / "elsewhere")
    with pytest.raises(FileExistsError):
        write_secret(place.token)
    assert not (place.runtime_dir / "elsewhere").exists()


def test_a_directory_that_others_may_enter_is_refused(place: Place) -> None:
    place.runtime_dir.chmod(0o755)
    with pytest.raises(PermissionDenied, match="0755"):
        place.check()


def test_a_directory_too_long_for_ray_s_sockets_is_refused_with_the_numbers() -> None:
    with pytest.raises(InvalidRequest, match=r"107|103"):
        Place(Path("/" + "x" * 60)).check()
    Place(Path("/" + "x" * 34)).check()
