"""What the way through the daemon costs: `bench_spine.py [--only NAME]… [--pairs N]`, about ten minutes on two cores.

Each bench is a module `bench_NAME`; see `suite` for what they return and for the exit codes. Writes `.bench/spine.json`.
"""

from __future__ import annotations

import sys

from suite import Suite

SPINE = Suite(
    "spine",
    title="what the way through the daemon costs",
    modules={name: f"bench_{name}" for name in ("import", "idle", "ping", "stream", "crowd", "storm")},
)

if __name__ == "__main__":
    sys.exit(SPINE.main())
