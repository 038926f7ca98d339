"""What the machine has and what processes of the service use, read from the operating system.

Covers: proportional memory and CPU time of processes, and how full the machine's memory is. `machine`: rooms for the ledger.
`processes`: single ones. `linux`: control groups and stalls. `macos` (pure) with `macos_calls`: footprints and pressure.
`gpus`: NVML. See also: `telemetry` and `gauge`, which keep readings, `ledger`, which decides on them.
"""

from inferd_daemon.memory.linux import stalled_share
from inferd_daemon.memory.machine import Machine
from inferd_daemon.memory.processes import Reading, children_of, read_processes, read_tree_bytes

__all__ = ["Machine", "Reading", "children_of", "read_processes", "read_tree_bytes", "stalled_share"]
