"""How soon a voice is heard, and how soon it is silent: `bench_voice.py [--pairs N]`, about a minute on two cores.

Against piper called directly, with the same number of threads. Each bench is a module `voice_NAME`; see `suite` for what they
return and for the exit codes. Writes `.bench/voice.json`.
"""

from __future__ import annotations

import sys

from suite import Suite

VOICE = Suite("voice", title="how soon a voice is heard, and silent", modules={"sound": "voice_sound"})

if __name__ == "__main__":
    sys.exit(VOICE.main())
