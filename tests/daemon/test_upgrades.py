"""Upgrades: what is installed and has a newer model, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inferd.messages.schemas import Upgrade
from inferd_daemon.catalogue import ModelId, curated, upgrades

OLD, NEW, NEWEST = "me/old:q4", "me/new:q4", "me/newest:q4"
BASE = curated().with_rows(
    {
        OLD: {
            "engine": "llama_cpp",
            "file": "/old",
            "family": "Old",
            "parameters": 1_000_000_000,
            "replaced_by": NEW,
            "replaced_reason": "it reads images",
        },
        NEW: {"engine": "llama_cpp", "file": "/new", "parameters": 2_000_000_000, "quantization": "Q8_0"},
    }
)
GB = 10**9


def ids(*names: str) -> frozenset[ModelId]:
    return frozenset(ModelId.parse(name) for name in names)


def test_an_installed_model_with_a_newer_one_is_named_with_reason_size_and_room() -> None:
    (one,) = upgrades(BASE.schemas, ids(OLD), 8 * GB)
    assert one == Upgrade(OLD, NEW, "it reads images", 2_125_000_000, fits=True)


def test_a_machine_that_is_too_small_is_told_so() -> None:
    (one,) = upgrades(BASE.schemas, ids(OLD), 2 * GB)
    assert one.fits is False


def test_without_a_size_nobody_knows_whether_it_fits() -> None:
    bare = BASE.with_rows({NEW: {"quantization": "secret"}})
    (one,) = upgrades(bare.schemas, ids(OLD), 8 * GB)
    assert (one.size_bytes, one.fits) == (0, None)
    (one,) = upgrades(BASE.schemas, ids(OLD), 0)
    assert (one.size_bytes, one.fits) == (2_125_000_000, None)


def test_what_is_not_installed_or_has_its_newer_one_already_is_left_out() -> None:
    assert upgrades(BASE.schemas, ids(), 8 * GB) == ()
    assert upgrades(BASE.schemas, ids(OLD, NEW), 8 * GB) == ()
    assert upgrades(BASE.schemas, ids("me/unknown:x"), 8 * GB) == ()


def test_the_end_of_a_chain_is_proposed_and_a_circle_is_none() -> None:
    rows = {NEW: {"replaced_by": NEWEST}, NEWEST: {"engine": "echo"}}
    (one,) = upgrades(BASE.with_rows(rows).schemas, ids(OLD), 8 * GB)
    assert one.to_model == NEWEST
    assert upgrades(BASE.with_rows({NEW: {"replaced_by": OLD}}).schemas, ids(OLD), 8 * GB) == ()
    assert upgrades(BASE.with_rows({OLD: {"replaced_by": "me/nowhere:x"}}).schemas, ids(OLD), 8 * GB) == ()


@given(st.sets(st.sampled_from([schema.id for schema in curated().schemas])), st.integers(0, 100 * GB))
def test_no_upgrade_leads_to_what_is_there_or_is_itself_outdated(installed: set[ModelId], memory_bytes: int) -> None:
    known = {str(schema.id): schema for schema in curated().schemas}
    for one in upgrades(curated().schemas, frozenset(installed), memory_bytes):
        assert known[one.from_model].id in installed
        assert known[one.to_model].id not in installed
        assert known[one.to_model].replaced_by is None
