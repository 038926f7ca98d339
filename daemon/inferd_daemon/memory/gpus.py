"""What NVIDIA GPUs hold, and for whom. The only door to NVML; without its library, its driver or a GPU there is nothing.

Covers: one reading of all GPUs. Blocks for a millisecond or two: worker threads. Process numbers are those of the host: inside
a container none of them is ours, and nothing is found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

SAME: Final = 0.02
"""A GPU whose memory is as large as the machine's has no memory of its own. Not wider: an H200 of 139 GiB in one of 128."""


@dataclass(frozen=True, slots=True)
class Gpus:
    """All GPUs at one moment."""

    total_bytes: tuple[int | None, ...] = ()
    """Of each; None: its memory is the machine's."""
    used_bytes: Mapping[int, int] = field(default_factory=dict)
    """Process → what it holds of all of them."""

    @property
    def are_unified(self) -> bool:
        """Whether what they hold is memory of the machine, too."""
        return bool(self.total_bytes) and None in self.total_bytes


NONE: Final = Gpus()


def read_gpus(machine_bytes: int) -> Gpus:
    """Return what is there now. `machine_bytes`: of the machine's memory."""
    try:
        import pynvml
    except ImportError:
        return NONE
    with suppress(pynvml.NVMLError), _opened(pynvml):
        return gpus_of(pynvml, machine_bytes)
    return NONE


@contextmanager
def _opened(library: Any) -> Iterator[None]:  # noqa: ANN401 - the library has no types
    library.nvmlInit()
    try:
        yield
    finally:
        library.nvmlShutdown()


def gpus_of(library: Any, machine_bytes: int) -> Gpus:  # noqa: ANN401 - the library has no types
    """Return what an opened library tells; a GPU that does not tell something is passed over in it."""
    handles = [library.nvmlDeviceGetHandleByIndex(number) for number in range(library.nvmlDeviceGetCount())]
    used: Counter[int] = Counter()
    for handle in handles:
        for ask in (library.nvmlDeviceGetComputeRunningProcesses, library.nvmlDeviceGetGraphicsRunningProcesses):
            with suppress(library.NVMLError):
                held = {one.pid: int(one.usedGpuMemory or 0) for one in ask(handle)}
                used.update(held)
    return Gpus(tuple(_total_bytes(library, handle, machine_bytes) for handle in handles), dict(used))


def _total_bytes(library: Any, handle: object, machine_bytes: int) -> int | None:  # noqa: ANN401 - as above
    try:
        total_bytes = int(library.nvmlDeviceGetMemoryInfo(handle).total)
    except library.NVMLError:
        return None
    return None if abs(total_bytes - machine_bytes) <= SAME * machine_bytes else total_bytes
