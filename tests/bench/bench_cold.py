"""The first token of a stored model, against starting llama-server: `bench_cold.py [--pairs N]`, about six minutes.

The first run builds llama-server, which takes minutes. See `cold_text`, and `suite` for the exit codes. Writes
`.bench/cold.json`.
"""

from __future__ import annotations

import sys

from suite import Suite

COLD = Suite("cold", title="the first token of a stored model", modules={"text": "cold_text"})

if __name__ == "__main__":
    sys.exit(COLD.main())
