"""Speech: words heard, words spoken, whole turns: `bench_speech.py [--only NAME]… [--pairs N] [--minutes N]`, about 20 minutes.

Against faster-whisper and piper called directly, wyoming-piper's streaming server, and the script that does one thing after
the other. The first run makes an environment for that server. Each bench is a module `speech_NAME`; see `suite` for what they
return and for the exit codes. Writes `.bench/speech.json`, after each bench what has been measured so far.
"""

from __future__ import annotations

import sys

from suite import Suite

NAMES = ("recordings", "final", "partials", "voice", "streamed", "turn", "crowd")
SPEECH = Suite(
    "speech",
    title="words heard, words spoken, whole turns",
    modules={name: f"speech_{name}" for name in NAMES},
    lasting={"partials": 1.5},
)

if __name__ == "__main__":
    sys.exit(SPEECH.main())
