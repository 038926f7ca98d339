"""By which rules models are chosen to hear and speak: `speech.json` in the state directory.

Covers: what the policy is, reading and writing the file, what a change may say. Does not cover choosing (`defaults`) nor
answering (`speech_desk`). Reading and `write` block for a small file's time.
"""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Final

from inferd import wire
from inferd.errors import InferenceError, InvalidRequest
from inferd.messages.speech import SetSpeechPolicy, SpeechPolicy
from inferd_daemon import whole_file

NAME: Final = "speech.json"
MAX_BYTES: Final = 2**16
TAG: Final = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})*", re.IGNORECASE)
"""A language tag's shape, as in BCP 47; which languages there are is for the models to say."""


class PolicyFile:
    """The policy in force. A file that cannot be read leaves the defaults and says so in `problem`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.policy = SpeechPolicy()
        self.problem = ""
        """Why the file could not be read."""
        try:
            self.policy = _read(file)
        except (OSError, ValueError, TypeError, RecursionError, InferenceError) as wrong:
            self.problem = f"{file}: the policy of speech cannot be read ({wrong}); correct the file, or remove it"

    def changed(self, wish: SetSpeechPolicy) -> SpeechPolicy:
        """Return the policy with what a request wants changed. Raises InvalidRequest: the file is broken, or no language."""
        if self.problem:
            raise InvalidRequest(self.problem, details={"field": str(self._file)})
        if wish.language and not TAG.fullmatch(wish.language):
            text = f"body.language: expected a language tag, as en or de-AT, got {wish.language!r}"
            raise InvalidRequest(text, details={"field": "body.language"})
        said = {one.name: getattr(wish, one.name) for one in fields(wish) if getattr(wish, one.name) is not None}
        return replace(self.policy, **said)

    def write(self, policy: SpeechPolicy) -> None:
        """Put this policy in the file and in force. For a worker thread; raises OSError."""
        whole_file.write(self._file, (json.dumps(wire.fields_of(policy), indent=2) + "\n").encode())
        self.policy = policy


def _read(file: Path) -> SpeechPolicy:
    found = whole_file.read(file, MAX_BYTES)
    if found is None:
        return SpeechPolicy()
    said = json.loads(found)
    if not isinstance(said, dict):
        raise TypeError(f"expected a map, got {type(said).__name__}")
    return wire.from_fields(said, SpeechPolicy)
