"""Text under load against what else could serve it: `bench_text.py [--only NAME]… [--pairs N]`, about 28 minutes on two cores.

Against the bare llama.cpp loop, llama-server and llama-cpp-python's server, one load generator for all (`traffic`). The first
run builds llama-server, which takes minutes. Each bench is a module `text_NAME`; see `suite` for what they return and for the
exit codes. Writes `.bench/text.json`.
"""

from __future__ import annotations

import sys

from suite import Suite

NAMES = ("way", "one", "eight", "python_server", "server", "busy", "prefix", "voice", "long", "memory")
TEXT = Suite("text", title="text under load", modules={name: f"text_{name}" for name in NAMES})

if __name__ == "__main__":
    sys.exit(TEXT.main())
