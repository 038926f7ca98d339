"""What a load costs those who stream meanwhile; how its memory is foreseen: `bench_loads.py [--only NAME]… [--pairs N]`.

About 13 minutes. Each bench is a module `loads_NAME`; see `suite` for what they return and for the exit codes. Writes
`.bench/loads.json`.
"""

from __future__ import annotations

import sys

from suite import Suite

NAMES = ("beside", "foreseen", "speech")
LOADS = Suite("loads", title="loads", modules={name: f"loads_{name}" for name in NAMES})

if __name__ == "__main__":
    sys.exit(LOADS.main())
