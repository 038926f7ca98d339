"""How full the machine's memory is and that of its GPUs, and what of it our models hold.

Covers: rooms for the ledger at any moment, and the measuring from time to time that they build on. `rooms` takes a tenth of a
millisecond and may be called in the loop; `measure` and `look_at_gpus` block. See also: `gauge`, which has it measure, and
`cards`, which has it look.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import psutil

from inferd_daemon.ledger import GPU, RAM, Amount, Device, Room
from inferd_daemon.memory import gpus, linux, macos_calls
from inferd_daemon.memory.gpus import Gpus
from inferd_daemon.memory.processes import IS_MACOS, children_of, own_bytes, resident_bytes, used_bytes
from inferd_daemon.memory.readings import Readings

K = TypeVar("K")


class Machine:
    """The memory of this machine, or of the control groups that this process is in if they allow less."""

    def __init__(
        self,
        own_group: Path | None = None,
        pressure: Path = linux.PRESSURE,
        read_gpus: Callable[[int], Gpus | None] = gpus.read_gpus,
    ) -> None:
        """`own_group`: the control group's folder; None: this process's own. `pressure`: where Linux tells of stalls."""
        self._pressure = pressure
        self._read_gpus = read_gpus
        self._families: Mapping[int, tuple[int, ...]] = {}
        """Processes and those below them, as last measured: finding them takes too long for the loop."""
        self._gpus = gpus.NONE
        self._ours: frozenset[int] = frozenset()
        """Processes of ours since the GPUs were read last, ended ones among them: what these held then is not free in it."""
        self._tells_whose = True
        """Whether the GPUs' process numbers mean processes that are here."""
        self._readings = Readings(used_bytes, resident_bytes)
        group = own_group or linux.own_group()
        folders = () if group is None else (group, *group.parents)
        self._limited = tuple(folder for folder in folders if linux.amount(folder / "memory.max") is not None)

    def look_at_gpus(self) -> bool:
        """Read what GPUs have to give; return whether any has memory of its own. Blocks: worker threads."""
        read = self._read_gpus(int(psutil.virtual_memory().total))
        if read is not None:  # else the last reading stands
            self._gpus = read
            self._tells_whose = any(map(psutil.pid_exists, read.used_bytes))
            self._ours &= read.used_bytes.keys()
        return self._gpus.own_bytes > 0

    def measure(self, pids: Mapping[K, int]) -> dict[K, Amount]:
        """Return what each of these processes uses with those below it.

        What is held by a GPU without memory of its own is the machine's. Without those that are gone. Blocks.
        """
        self.look_at_gpus()
        self._families = families = {pid: (pid, *children_of(pid)) for pid in pids.values()}
        self._readings.keep({pid for family in families.values() for pid in family})
        found = {key: sum(map(self._readings.used_bytes, families[pid])) for key, pid in pids.items()}
        return {
            key: Amount(held + self._shared_bytes(families[pids[key]]), self._gpu_bytes(families[pids[key]]))
            for key, held in found.items()
            if held
        }

    def rooms(self, pids: Collection[int]) -> dict[Device, Room]:
        """Return how full each memory is: the machine's now, the GPUs' own as last read, where they have some.

        What others leave free of a GPU does not change with what our models take, so a reading that is older than a load
        tells as much, as long as `available` and `held` are of one moment: what a process of ours held then counts as held
        although it has ended. Where nobody tells whose the used memory is, in a container, it is taken to be ours.
        """
        rooms = {RAM: self.room(pids)}
        gpus = self._gpus
        if gpus.own_bytes:
            self._ours |= {member for pid in pids for member in self._families.get(pid, (pid,))}
            held_bytes = self._used_on_gpus(self._ours) if self._tells_whose else gpus.own_bytes - gpus.free_bytes
            rooms[GPU] = Room(gpus.own_bytes, gpus.free_bytes, held_bytes)
        return rooms

    def room(self, pids: Iterable[int]) -> Room:
        """Return how full memory is now. `pids`: our models' processes, whose own pages would be given back.

        Own pages are those that no file backs: what a file backs counts as available already. Processes below them are those
        that were there when it was measured last.
        """
        memory = psutil.virtual_memory()
        total_bytes, available_bytes = int(memory.total), int(memory.available)
        for folder in self._limited:
            limit_bytes = linux.amount(folder / "memory.max") or total_bytes
            total_bytes = min(total_bytes, limit_bytes)
            available_bytes = min(available_bytes, max(0, limit_bytes - linux.used_bytes(folder)))
        held_bytes = sum(map(self._held_bytes, pids))
        return Room(total_bytes, available_bytes, held_bytes, self._stalled_share())

    def _held_bytes(self, pid: int) -> int:
        family = self._families.get(pid, (pid,))
        return sum(map(own_bytes, family)) + self._shared_bytes(family)

    def _shared_bytes(self, family: Iterable[int]) -> int:
        """Return what GPUs hold of the machine's memory for these, as last measured: no page of theirs shows it."""
        return self._used_on_gpus(family) if self._gpus.are_unified else 0

    def _gpu_bytes(self, family: Iterable[int]) -> int:
        """Return what these hold of the GPUs' own memory, as last measured."""
        return 0 if self._gpus.are_unified else self._used_on_gpus(family)

    def _used_on_gpus(self, family: Iterable[int]) -> int:
        return sum(self._gpus.used_bytes.get(pid, 0) for pid in family)

    def _stalled_share(self) -> float:
        return macos_calls.stalled_share() if IS_MACOS else linux.stalled_share(self._pressure)
