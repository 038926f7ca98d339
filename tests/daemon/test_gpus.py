"""What GPUs hold: a library that answers as NVML does; memory of the machine that a GPU holds counts as the machine's."""

# ruff: noqa: N802 - the names are the library's

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from inferd_daemon.ledger import GPU, RAM, Room
from inferd_daemon.memory import Machine, read_tree_bytes
from inferd_daemon.memory.gpus import NONE, Gpus, gpus_of, read_gpus

GIB = 2**30


@dataclass
class Card:
    """One GPU; None: it does not tell."""

    total_bytes: int | None
    free_bytes: int = 0
    uuid: str | bytes = "GPU-0"
    _: KW_ONLY
    computing: Sequence[tuple[int, int | None]] | None = ()
    drawing: Sequence[tuple[int, int | None]] | None = ()


@dataclass
class Nvml:
    """The part of NVML that is asked; a card's number is its handle."""

    cards: list[Card] = field(default_factory=list)
    answers: bool = True

    class NVMLError(Exception):
        """As the library's."""

    def nvmlInit(self) -> None:
        if not self.answers:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlShutdown(self) -> None:
        pass

    def nvmlDeviceGetCount(self) -> int:
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, number: int) -> int:
        return number

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:
        card = self.cards[handle]
        return SimpleNamespace(total=self._told(card.total_bytes), free=card.free_bytes)

    def nvmlDeviceGetUUID(self, handle: int) -> str | bytes:
        return self.cards[handle].uuid

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[SimpleNamespace]:
        return self._processes(self.cards[handle].computing)

    def nvmlDeviceGetGraphicsRunningProcesses(self, handle: int) -> list[SimpleNamespace]:
        return self._processes(self.cards[handle].drawing)

    def _processes(self, rows: Sequence[tuple[int, int | None]] | None) -> list[SimpleNamespace]:
        if rows is None:
            raise self.NVMLError("Not Supported")
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in rows]

    def _told(self, value: int | None) -> int:
        if value is None:
            raise self.NVMLError("Not Supported")
        return value


def test_what_a_process_holds_is_summed_over_gpus_and_kinds_of_work() -> None:
    cards = [
        Card(80 * GIB, 50 * GIB, computing=[(7, 3 * GIB), (8, GIB)]),
        Card(80 * GIB, 10 * GIB, computing=[(7, 2 * GIB)], drawing=[(7, GIB), (9, None)]),
    ]
    found = gpus_of(Nvml(cards), 128 * GIB)
    assert found == Gpus((80 * GIB, 80 * GIB), {7: 6 * GIB, 8: GIB, 9: 0}, 60 * GIB)
    assert found.own_bytes == 160 * GIB
    assert not found.are_unified


@pytest.mark.parametrize(
    ("card_bytes", "machine_bytes", "is_unified"),
    [
        (None, 128 * GIB, True),
        (128 * GIB, 128 * GIB, True),
        (127 * GIB, 128 * GIB, True),
        (139 * GIB, 128 * GIB, False),
        (80 * GIB, 128 * GIB, False),
    ],
)
def test_a_gpu_without_memory_of_its_own_is_known(
    card_bytes: int | None, machine_bytes: int, *, is_unified: bool
) -> None:
    assert gpus_of(Nvml([Card(card_bytes)]), machine_bytes).are_unified == is_unified


def test_a_gpu_that_does_not_tell_its_processes_holds_nothing_for_anybody() -> None:
    assert gpus_of(Nvml([Card(80 * GIB, computing=None, drawing=None)]), GIB).used_bytes == {}
    assert gpus_of(Nvml(), GIB) == NONE


def test_a_driver_that_answers_is_read_one_that_does_not_is_no_gpu_less_and_without_its_library_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setitem(sys.modules, "pynvml", Nvml([Card(80 * GIB, 50 * GIB)]))
    assert read_gpus(GIB) == Gpus((80 * GIB,), {}, 50 * GIB)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert read_gpus(GIB) == NONE
    monkeypatch.setitem(sys.modules, "pynvml", Nvml(answers=False))
    assert read_gpus(GIB) is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert read_gpus(GIB) == NONE


def test_unified_memory_that_a_gpu_holds_counts_as_the_machines_own_memory_does(tmp_path: Path) -> None:
    us, held_bytes = os.getpid(), 5 * GIB
    separate = Machine(tmp_path, read_gpus=lambda _: Gpus((80 * GIB,), {us: held_bytes}))
    unified = Machine(tmp_path, read_gpus=lambda _: Gpus((None,), {us: held_bytes}))

    assert separate.measure({"us": us})["us"].ram_bytes < held_bytes
    assert unified.measure({"us": us})["us"].ram_bytes > held_bytes
    assert separate.rooms([us])[RAM].held_bytes < held_bytes < unified.rooms([us])[RAM].held_bytes
    assert unified.rooms([us]).keys() == {RAM}


def test_a_gpus_own_memory_is_a_room_of_its_own(tmp_path: Path) -> None:
    us, held_bytes = os.getpid(), 5 * GIB
    machine = Machine(tmp_path, read_gpus=lambda _: Gpus((80 * GIB, 24 * GIB), {us: held_bytes, 1: GIB}, 90 * GIB))
    assert machine.rooms([us]).keys() == {RAM}, "nobody has looked"
    assert machine.look_at_gpus()
    assert machine.measure({"us": us})["us"].gpu_bytes == held_bytes
    assert machine.rooms([us])[GPU] == Room(104 * GIB, 90 * GIB, held_bytes)


def test_what_a_process_of_ours_held_of_a_gpu_counts_as_held_until_the_next_look_though_it_has_ended(
    tmp_path: Path,
) -> None:
    us, held_bytes = os.getpid(), 5 * GIB
    readings = [Gpus((24 * GIB,), {us: held_bytes, 1: GIB}, 18 * GIB), None, Gpus((24 * GIB,), {1: GIB}, 23 * GIB)]
    machine = Machine(tmp_path, read_gpus=lambda _: readings.pop(0))
    machine.look_at_gpus()
    assert machine.rooms([us])[GPU].held_bytes == held_bytes
    assert machine.rooms([])[GPU] == Room(24 * GIB, 18 * GIB, held_bytes)
    assert machine.look_at_gpus(), "a driver that does not answer takes no GPU away"
    assert machine.rooms([])[GPU] == Room(24 * GIB, 18 * GIB, held_bytes)
    machine.look_at_gpus()
    assert machine.rooms([])[GPU] == Room(24 * GIB, 23 * GIB, 0)


@pytest.mark.parametrize("told", [{}, {2**22 + 7: 9 * GIB}])
def test_where_nobody_tells_whose_it_is_what_is_used_of_a_gpu_is_ours(tmp_path: Path, told: dict[int, int]) -> None:
    """In a container: the numbers are those of the host, or there are none."""
    machine = Machine(tmp_path, read_gpus=lambda _: Gpus((24 * GIB,), told, 14 * GIB))
    machine.look_at_gpus()
    assert machine.rooms([os.getpid()])[GPU] == Room(24 * GIB, 14 * GIB, 10 * GIB)


@pytest.mark.parametrize(
    ("visible", "seen"),
    [
        (None, 7),
        ("0", 1),
        (" 1 ,2", 6),
        ("GPU-ab", 2),
        ("GPU-a", 3),
        ("", 0),
        ("-1", 0),
        ("none", 0),
    ],
)
def test_only_gpus_that_cuda_may_use_count(visible: str | None, seen: int) -> None:
    cards = [Card(80 * GIB, 1, "GPU-aa"), Card(80 * GIB, 2, b"GPU-ab"), Card(80 * GIB, 4, "GPU-b")]
    assert gpus_of(Nvml(cards), GIB, visible).free_bytes == seen


def test_what_children_hold_counts_from_the_next_measurement_on(tmp_path: Path) -> None:
    """As a model's second process, which renders templates, does."""
    machine, us = Machine(tmp_path), os.getpid()
    program = "held = bytearray(64 * 2**20); print('ready', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        before = machine.room([us]).held_bytes
        assert machine.measure({"us": us})["us"].ram_bytes > 64 * 2**20
        assert machine.room([us]).held_bytes > before + 60 * 2**20
        child.communicate("\n")
    assert machine.room([us]).held_bytes < before + 60 * 2**20, "one that has ended holds nothing"


def test_a_process_that_is_gone_is_not_measured(tmp_path: Path) -> None:
    assert Machine(tmp_path).measure({"gone": 2**22 + 7}) == {}
    assert read_tree_bytes(2**22 + 7) == 0
