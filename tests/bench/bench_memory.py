"""Which models leave when memory is short, against LRU and Belady's rule: `bench_memory.py [--only NAME]… [--pairs N]`.

Replays made-up traces through the pure ledger; a pair is a seed. Each bench is a module `memory_NAME`; see `suite` for what
they return and for the exit codes. Writes `.bench/memory.json`.
"""

from __future__ import annotations

import sys

from suite import Suite

NAMES = ("zipf", "sessions", "shift", "scan")
MEMORY = Suite("memory", title="loads when memory is short", modules={name: f"memory_{name}" for name in NAMES})

if __name__ == "__main__":
    sys.exit(MEMORY.main())
