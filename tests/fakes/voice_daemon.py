"""A daemon that hears, writes and speaks by a script: what a voice session needs, over a real socket.

Hearing: sound that is fed says what is heard: a piece whose first byte is n plays line n of `lines`. Writing: `answer`, word by
word. Speaking: a chunk and a word event for each word that is fed. Every request is accounted for: it must end exactly once.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from scripted_daemon import ScriptedDaemon

from inferd import wire
from inferd.messages import control, events, speech
from inferd.messages.bounds import Blob

if TYPE_CHECKING:
    from inferd.messages.events import Event

RATE_HZ = 8_000
WORD_MS = 200


@dataclass
class Live:
    """One request."""

    peer: bytes
    request: control.Request
    text: str = ""
    spoken: int = 0
    """Characters of the text that have been spoken."""
    sounded_ms: int = 0
    finished: bool = False


@dataclass
class Account:
    """How requests ended."""

    begun: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)


class VoiceDaemon(ScriptedDaemon):
    """Plays all three models."""

    def __init__(
        self,
        path: Path,
        lines: Sequence[Sequence[Event]],
        answer: Sequence[str] = ("Good ", "day."),
        *,
        endless: float = 0.0,
        warnings: tuple[str, ...] = (),
        truncates: bool = True,
    ) -> None:
        """`endless`: share of the answers that go on until they are cancelled. `truncates`: leaves turns out if asked to."""
        super().__init__(path, limits=control.Limits(inflight=1_000))
        self.account = Account()
        self.asked: list[Mapping[str, object]] = []
        """Bodies of the `generate` requests."""
        self._lines = lines
        self._answer = answer
        self._random = random.Random(7)  # noqa: S311 - schedules, not secrets
        self._endless = endless
        self._warnings = warnings
        self._truncates = truncates
        self._live: dict[tuple[bytes, int], Live] = {}

    def _hear(self, frames: list[bytes]) -> None:
        super()._hear(frames)
        peer, *rest = frames
        message = wire.decode(rest, wire.FROM_APP)
        if isinstance(message, control.Request):
            self._begin(Live(peer, message))
        elif isinstance(message, (control.Feed, control.Finish, control.Cancel)):
            live = self._live.get((peer, message.request))
            if live:
                self._go_on(live, message)

    def _begin(self, live: Live) -> None:
        self._live[live.peer, live.request.id] = live
        self.account.begun[live.request.op] += 1
        self._say(live, events.Accepted(f"trace-{live.request.id}"))
        match live.request.op:
            case "generate" if live.request.body.get("truncate") == "oldest" and not self._truncates:
                self.asked.append(live.request.body)
                refused = events.Error("unsupported_mode", "no truncate", details={"field": "body.truncate"})
                self._conclude(live, refused)
            case "generate":
                self.asked.append(live.request.body)
                self._say(live, *map(events.TextDelta, self._answer))
                if self._random.random() >= self._endless:
                    self._conclude(live, events.Finished("think", warnings=self._warnings))
            case "hold":
                self._hold(live)
            case "release_hold":
                self._conclude(live, events.Released(1, was_held=True))
            case "synthesize_stream":
                epoch = epoch_of(live)
                self._say(live, events.Granted(9_999, 9_999_999), speech.AudioStarted(RATE_HZ, epoch=epoch))
            case _:
                self._say(live, events.Granted(999_999, 99_999_999))

    def _hold(self, live: Live) -> None:
        names = live.request.body["names"]
        assert isinstance(names, (list, tuple))
        if "none" in names:
            self._conclude(live, events.Error("model_not_found", "no model is called none"))
        else:
            self._conclude(live, events.Held(1, tuple(names), 600.0))

    def _go_on(self, live: Live, message: control.Feed | control.Finish | control.Cancel) -> None:
        match message:
            case control.Cancel():
                self._conclude(live, events.Cancelled("app"))
            case control.Feed(data=data) if data:
                self._play(live, self._lines[data[0]])
            case control.Feed(text=text):
                live.text += text or ""
                self._voice(live)
            case control.Finish():
                live.finished = True
                self._voice(live)
                self._conclude(
                    live,
                    speech.Transcribed("hear") if live.request.op == "transcribe_stream" else speech.Spoken("voice"),
                )

    def _play(self, live: Live, line: Sequence[Event]) -> None:
        """Say what is heard; a line may end with the end of its request."""
        if line and isinstance(line[-1], events.TERMINALS):
            self._conclude(live, line[-1])
        elif line:
            self._say(live, *line)

    def _voice(self, live: Live) -> None:
        epoch = epoch_of(live)
        while (cut := live.text.find(" ", live.spoken)) >= 0 or (live.finished and live.spoken < len(live.text)):
            end = cut if cut >= 0 else len(live.text)
            start_ms, live.sounded_ms = live.sounded_ms, live.sounded_ms + WORD_MS
            word = speech.Word(live.text[live.spoken : end], start_ms, live.sounded_ms, live.spoken, end, epoch)
            pcm = Blob(bytes([epoch % 256, 0]) * (RATE_HZ * WORD_MS // 1000))
            self._say(live, word, events.AudioChunk(pcm, RATE_HZ, epoch))
            live.spoken = end + 1

    def _say(self, live: Live, *said: Event) -> None:
        self.tell(live.request.id, *said, peer=live.peer)

    def _conclude(self, live: Live, end: Event) -> None:
        del self._live[live.peer, live.request.id]
        self.account.ended[live.request.op] += 1
        self._say(live, end)

    @property
    def open(self) -> int:
        """How many requests have not ended."""
        return len(self._live)


def epoch_of(live: Live) -> int:
    """Return what the sound of a request is stamped with."""
    epoch = live.request.body.get("epoch", 0)
    assert isinstance(epoch, int)
    return epoch
