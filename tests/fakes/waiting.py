"""Waiting for something that another process does: by asking again until a deadline, since no event reaches the test."""

from __future__ import annotations

import time
from collections.abc import Callable

ASK_EVERY_S = 0.02
PATIENCE_S = 30.0
"""A hang is a failure; a loaded machine is not."""


def until(holds: Callable[[], bool], what: str, within_s: float = PATIENCE_S) -> float:
    """Return how long it took until `holds()`. Raises AssertionError naming `what` after `within_s`."""
    began_s = time.monotonic()
    while not holds():
        if time.monotonic() - began_s > within_s:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        time.sleep(ASK_EVERY_S)
    return time.monotonic() - began_s
