"""What NVIDIA GPUs hold, and for whom. The only door to NVML; without its library, its driver or a GPU there is nothing.

Covers: one reading of the GPUs that CUDA may use. Blocks for a millisecond or two, for a second where a GPU has to wake up:
worker threads. Process numbers are those of the host: inside a container they mean nothing.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

VISIBLE: Final = "CUDA_VISIBLE_DEVICES"

SAME: Final = 0.02
"""A GPU whose memory is as large as the machine's has no memory of its own. Not wider: an H200 of 139 GiB in one of 128."""


@dataclass(frozen=True, slots=True)
class Gpus:
    """All GPUs at one moment."""

    total_bytes: tuple[int | None, ...] = ()
    """Of each; None: its memory is the machine's."""
    used_bytes: Mapping[int, int] = field(default_factory=dict)
    """Process → what it holds of all of them."""
    free_bytes: int = 0
    """Of those with memory of their own, together."""

    @property
    def own_bytes(self) -> int:
        """The memory of those that have some of their own, together; 0: none has, or theirs is partly the machine's."""
        return 0 if self.are_unified else sum(total or 0 for total in self.total_bytes)

    @property
    def are_unified(self) -> bool:
        """Whether what they hold is memory of the machine, too."""
        return bool(self.total_bytes) and None in self.total_bytes


NONE: Final = Gpus()


def read_gpus(machine_bytes: int) -> Gpus | None:
    """Return what is there now; None: the driver does not answer. `machine_bytes`: of the machine's memory."""
    try:
        import pynvml
    except ImportError:
        return NONE
    with suppress(pynvml.NVMLError), _opened(pynvml):
        return gpus_of(pynvml, machine_bytes, os.environ.get(VISIBLE))
    return None


@contextmanager
def _opened(library: Any) -> Iterator[None]:  # noqa: ANN401 - the library has no types
    library.nvmlInit()
    try:
        yield
    finally:
        library.nvmlShutdown()


def gpus_of(library: Any, machine_bytes: int, visible: str | None = None) -> Gpus:  # noqa: ANN401 - the library has no types
    """Return what an opened library tells; a GPU that does not tell something is passed over in it.

    `visible`: the GPUs that CUDA may use, as `CUDA_VISIBLE_DEVICES` names them; None: all.
    """
    numbers = range(library.nvmlDeviceGetCount())
    handles = [library.nvmlDeviceGetHandleByIndex(number) for number in numbers]
    if visible is not None:
        names = [name.strip() for name in visible.split(",")]
        handles = [
            handle for number, handle in zip(numbers, handles, strict=True) if _is_named(library, handle, number, names)
        ]
    used: Counter[int] = Counter()
    for handle in handles:
        for ask in (library.nvmlDeviceGetComputeRunningProcesses, library.nvmlDeviceGetGraphicsRunningProcesses):
            with suppress(library.NVMLError):
                held = {one.pid: int(one.usedGpuMemory or 0) for one in ask(handle)}
                used.update(held)
    told = [_memory_of(library, handle, machine_bytes) for handle in handles]
    free_bytes = sum(free for total, free in told if total is not None)
    return Gpus(tuple(total for total, _ in told), dict(used), free_bytes)


def _is_named(library: Any, handle: object, number: int, names: Sequence[str]) -> bool:  # noqa: ANN401 - as above
    if str(number) in names:
        return True
    by_id = tuple(name for name in names if name.startswith("GPU-"))
    if not by_id:
        return False
    told = library.nvmlDeviceGetUUID(handle)
    return (told.decode() if isinstance(told, bytes) else str(told)).startswith(by_id)


def _memory_of(library: Any, handle: object, machine_bytes: int) -> tuple[int | None, int]:  # noqa: ANN401 - as above
    """Return (bytes of its own, those free); None: its memory is the machine's."""
    try:
        memory = library.nvmlDeviceGetMemoryInfo(handle)
    except library.NVMLError:
        return None, 0
    total_bytes = int(memory.total)
    return (None, 0) if abs(total_bytes - machine_bytes) <= SAME * machine_bytes else (total_bytes, int(memory.free))
