"""What passes from a shell to the keeper's processes, and how a process tells whose it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd_daemon.keeper_environment import KEPT, KEPT_PREFIXES, Tag, allowed, composed, switches, tag_of

NAMES = st.one_of(
    st.sampled_from(
        [*KEPT, *(f"{prefix}X" for prefix in KEPT_PREFIXES), "RAY_ADDRESS", "PYTHONPATH", "OPENAI_API_KEY"]
    ),
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True),
)
ENVIRONMENTS = st.dictionaries(NAMES, st.text(max_size=20))


@given(ENVIRONMENTS)
def test_only_listed_names_pass_and_their_values_unchanged(environ: dict[str, str]) -> None:
    passed = allowed(environ)
    assert passed.items() <= environ.items()
    assert all(name in KEPT or name.startswith(tuple(KEPT_PREFIXES)) for name in passed)
    assert set(KEPT) & set(environ) <= set(passed)


@pytest.mark.parametrize(
    "name",
    [
        "RAY_ADDRESS",
        "RAY_AUTH_TOKEN",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "LD_PRELOAD",
        "OPENAI_API_KEY",
        "HTTPS_PROXY",
        "INFERD_INSTANCE",
        "INFERD_SOCKET",
    ],
)
def test_what_could_change_or_enter_our_processes_does_not_pass(name: str) -> None:
    assert allowed({name: "x"}) == {}


def test_switches_hold_against_whatever_the_shell_says() -> None:
    theirs = {"RAY_AUTH_MODE": "disabled", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1", "OMP_NUM_THREADS": "1"}
    ours = {**allowed(theirs), **switches(Path("/run/x/ray.token"), cpus=6)}
    assert (ours["RAY_AUTH_MODE"], ours["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"]) == ("token", "0")
    assert ours["OMP_NUM_THREADS"] == "6"


def test_the_token_is_named_and_never_told() -> None:
    path = Path("/run/x/ray.token")
    ours = switches(path, cpus=1)
    assert "RAY_AUTH_TOKEN" not in ours
    assert ours["RAY_AUTH_TOKEN_PATH"] == str(path)


@given(
    st.builds(Tag, st.text("0123456789abcdef", min_size=1), st.text(min_size=1), st.integers(1, 2**22), st.just(1.5))
)
def test_a_tag_is_read_back_as_it_was_written(tag: Tag) -> None:
    assert tag_of({"PATH": "/bin", **tag.variables()}) == tag


@given(ENVIRONMENTS, st.text(max_size=20))
def test_an_environment_without_a_whole_tag_has_none(environ: dict[str, str], keeper: str) -> None:
    assert tag_of(environ) is None
    assert tag_of({"INFERD_INSTANCE": "a", "INFERD_KEEPER": "1@1.0"}) is None
    pid, at, started = keeper.partition("@")
    whole = tag_of({"INFERD_INSTANCE": "a", "INFERD_RUNTIME_DIR": "/x", "INFERD_KEEPER": keeper})
    assert whole is None or (at and int(pid) == whole.keeper_pid and float(started) == whole.keeper_started_unix_s)


def test_gpus_are_numbered_as_their_memory_is_read_unless_the_user_says_otherwise() -> None:
    tag = Tag("abc", "/run/x", 1, 2.0)
    for said, found in (({}, "PCI_BUS_ID"), ({"CUDA_DEVICE_ORDER": "FASTEST_FIRST"}, "FASTEST_FIRST")):
        assert composed(said, Path("/run/x/ray.token"), cpus=1, tag=tag)["CUDA_DEVICE_ORDER"] == found
