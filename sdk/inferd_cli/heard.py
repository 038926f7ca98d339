"""What is heard as it is heard: text on stdout, what is still tentative on stderr; or one line of JSON per event.

Covers: what each event of a transcription looks like. See also: `screen`, the same for answers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, Protocol, TextIO

import typer

from inferd.messages.events import Loading, Parked, Queued
from inferd.messages.speech import Final, Partial, SpeechStarted, TranscriptSegment
from inferd_cli import amounts
from inferd_cli.cleaning import clean_line, clean_text
from inferd_cli.documents import event_line
from inferd_cli.progress import Progress, progress_of_stderr
from inferd_cli.screen import state_words

if TYPE_CHECKING:
    from inferd import SpokenWord, Transcript, TranscriptEvent, TranscriptionEvent

Stamps = Literal["segment", "word"] | None
"""Which times stand in front of the text; None: none."""


class HeardScreen(Protocol):
    """Shows the events of one transcription."""

    def show(self, event: TranscriptionEvent | TranscriptEvent) -> None:
        """Show one event at once."""

    def end(self, transcript: Transcript) -> None:
        """Show what is to be said of the whole."""

    def close(self) -> None:
        """End the line that was begun; needed also when the stream broke off."""


def heard_screen_of_stdout(*, as_json: bool, stamps: Stamps) -> HeardScreen:
    """Return the screen that fits where stdout and stderr lead."""
    return JsonHeard(sys.stdout) if as_json else TextHeard(sys.stdout, progress_of_stderr(), stamps)


class JsonHeard:
    """One JSON document per line and event, the whole transcript last."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def show(self, event: TranscriptionEvent | TranscriptEvent) -> None:
        """Write the event's line."""
        typer.echo(event_line(event), file=self._out)

    def end(self, transcript: Transcript) -> None:
        """Write the transcript's line."""
        typer.echo(event_line(transcript), file=self._out)

    def close(self) -> None:
        """Do nothing: every line is whole."""


class TextHeard:
    """Text on `out`: running text of a whole sound, a line for each utterance of a live one, or a line for each time."""

    def __init__(self, out: TextIO, progress: Progress, stamps: Stamps) -> None:
        self._out = out
        self._progress = progress
        self._stamps = stamps
        self._begun = False

    def show(self, event: TranscriptionEvent | TranscriptEvent) -> None:
        """Show `event`; kinds that say nothing to a reader are passed over."""
        match event:
            case Queued() | Loading() | Parked():
                self._progress.state(state_words(event))
            case SpeechStarted():
                self._progress.state("…")
            case Partial():
                self._progress.state(f"{event.stable}{event.tentative}".strip() or "…")
            case TranscriptSegment() | Final() if self._stamps:
                self._lines(event)
            case TranscriptSegment():
                self._write(event.text if self._begun else event.text.lstrip())
            case Final():
                self._write(f"{event.text}\n" if event.text else "")
            case _:
                pass

    def end(self, transcript: Transcript) -> None:
        """End the text, and tell what was done differently."""
        self.close()
        for warning in transcript.warnings:
            self._progress.note(f"warning: {warning}")

    def close(self) -> None:
        """Take the progress away and end the line."""
        self._progress.clear()
        if self._begun:
            self._write("\n")
            self._begun = False

    def _lines(self, event: TranscriptSegment | Final) -> None:
        for timed in _timed(event, self._stamps):
            times = f"[{amounts.moment(timed.start_ms)} - {amounts.moment(timed.end_ms)}]"
            self._write(f"{times} {clean_line(timed.text.strip())}\n")

    def _write(self, text: str) -> None:
        self._progress.clear()
        shown = clean_text(text)
        self._out.write(shown)
        self._out.flush()
        self._begun = (self._begun or bool(shown)) and not shown.endswith("\n")


def _timed(event: TranscriptSegment | Final, stamps: Stamps) -> Iterator[TranscriptSegment | Final | SpokenWord]:
    """Yield what gets a line of its own: the words if they are wanted and known, else the piece itself."""
    if stamps == "word" and event.words:
        yield from event.words
    elif event.text:
        yield event
