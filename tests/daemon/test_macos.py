"""What macOS tells, read from bytes laid out as its headers say; no Mac gave them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd_daemon.memory.macos import RUSAGE, footprint_of, stalled_share_of

MIB = 2**20


def rusage(resident_bytes: int, footprint_bytes: int) -> bytes:
    """Return `rusage_info_v0`."""
    times, wakes = (1_234_567, 89_012), (11, 22)
    numbers = (*times, *wakes, 3, 0, resident_bytes, footprint_bytes, 1_000_000, 0)
    return bytes(range(16)) + b"".join(struct.pack("=Q", one) for one in numbers)


def test_the_footprint_is_what_counts_and_not_the_resident_size() -> None:
    told = rusage(100 * MIB, 900 * MIB)
    assert len(told) == RUSAGE.size == 96
    assert footprint_of(told) == 900 * MIB


@given(st.binary(max_size=200))
def test_any_bytes_are_a_footprint_or_none(told: bytes) -> None:
    assert 0 <= footprint_of(told) < 2**64
    assert 0.0 <= stalled_share_of(told) <= 1.0


@pytest.mark.parametrize(("level", "share"), [(1, 0.0), (2, 0.25), (4, 0.75), (3, 0.0), (-1, 0.0)])
def test_pressure_counts_as_a_share_of_time_that_programs_stand_still(level: int, share: float) -> None:
    assert stalled_share_of(struct.pack("=i", level)) == share
