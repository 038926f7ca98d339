"""Where the sockets are, and that nobody else could have put them there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inferd import address
from inferd.errors import InvalidRequest, PermissionDenied


def at(directory: Path) -> dict[str, str]:
    return {"XDG_RUNTIME_DIR": str(directory)}


def test_the_override_names_the_socket_and_its_directory_is_the_runtime_directory(tmp_path: Path) -> None:
    environ = {"INFERD_SOCKET": str(tmp_path / "other.sock"), "XDG_RUNTIME_DIR": "/elsewhere"}
    assert address.socket_path(environ) == tmp_path / "other.sock"
    assert address.runtime_dir(create=False, environ=environ) == tmp_path


def test_a_relative_override_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="INFERD_SOCKET: expected an absolute path") as refused:
        address.socket_path({"INFERD_SOCKET": "inferd.sock"})
    assert refused.value.details["field"] == "socket"


def test_the_session_directory_is_used_although_no_daemon_has_been_there(tmp_path: Path) -> None:
    assert address.socket_path(at(tmp_path)) == tmp_path / "inferd" / "inferd.sock"


def test_a_relative_session_directory_is_ignored_as_its_specification_says() -> None:
    assert "relative" not in str(address.socket_path({"XDG_RUNTIME_DIR": "relative"}))


@pytest.mark.parametrize(("platform", "root"), [("linux", "/tmp"), ("darwin", "/private/tmp")])
def test_without_a_session_the_directory_carries_the_uid(
    platform: str, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_000_001)  # a user without a login directory
    assert address.socket_path({}, platform) == Path(f"{root}/inferd-4000001/inferd.sock")


def test_the_daemon_makes_the_directory_for_itself_alone(tmp_path: Path) -> None:
    made = address.runtime_dir(create=True, environ=at(tmp_path))
    assert made == tmp_path / "inferd"
    assert made.stat().st_mode & 0o777 == 0o700


def test_an_existing_directory_is_never_changed(tmp_path: Path) -> None:
    (tmp_path / "inferd").mkdir(mode=0o755)
    with pytest.raises(PermissionDenied, match=r"mode is 0755, expected 0700: chmod 700"):
        address.runtime_dir(create=True, environ=at(tmp_path))
    assert (tmp_path / "inferd").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("target", ["real", "nowhere"])
def test_a_link_is_not_followed(target: str, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "inferd").symlink_to(tmp_path / target)
    for create in (False, True):
        with pytest.raises(PermissionDenied, match="a link is not followed"):
            address.runtime_dir(create=create, environ=at(tmp_path))


def test_a_foreign_owner_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inferd").mkdir(mode=0o700)
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    with pytest.raises(PermissionDenied, match=f"belongs to uid {owner}, you are uid {owner + 1}"):
        address.socket_path(at(tmp_path))


def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "inferd").touch()
    with pytest.raises(PermissionDenied, match="not a directory"):
        address.socket_path(at(tmp_path))


@pytest.mark.parametrize(("platform", "limit"), [("linux", 107), ("darwin", 103), ("unheard-of", 103)])
def test_a_path_may_be_as_long_as_the_kernel_allows_and_no_longer(platform: str, limit: int) -> None:
    longest = Path("/" + "x" * (limit - 1))
    assert address.check_length(longest, platform) == longest
    with pytest.raises(InvalidRequest, match=f"has {limit + 1} bytes; this system allows {limit}") as refused:
        address.check_length(Path(f"{longest}x"), platform)
    assert refused.value.details["found"] == limit + 1


def test_the_length_counts_bytes_not_characters() -> None:
    with pytest.raises(InvalidRequest, match="has 121 bytes"):
        address.check_length(Path("/" + "ä" * 60), "linux")


def test_the_names_beside_the_socket(tmp_path: Path) -> None:
    assert address.actors_path(tmp_path) == tmp_path / "actors.sock"
    assert address.keys_path(tmp_path) == tmp_path / "keys.sock"
    assert address.lock_path(tmp_path / "inferd.sock") == tmp_path / "inferd.sock.lock"
