"""One stream: its text on the way in, its sound on the way out.

Covers: what is spoken next, what may be sent now, how it ends, what has been heard. Does not cover whose turn it is (`turns`),
nor the rules of text (`speakable`, `segmenting`) and pace (`playhead`). Pure; the time comes in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from inferd.errors import InvalidRequest
from inferd.messages.bounds import MAX_TEXT_CHARS, Blob
from inferd.messages.events import AudioChunk, Cancelled, CancelReason
from inferd.messages.speech import AudioStarted, Heard, Spoken, Synthesize, SynthesizeStream, Word
from inferd_actors.engine import EngineEvent, Submission
from inferd_actors.engines.piper.jobs import Job, Manner, Timed
from inferd_actors.engines.piper.playhead import Playhead
from inferd_actors.engines.piper.segmenting import Piece, Segmenter, Sentences
from inferd_actors.engines.piper.speakable import Speakable

SLICE_CHARS: Final = 1_000
"""Of a long text that are prepared at a time: nobody waits for the end of a book."""
SLICES: Final = 8
"""Read before the others are looked at, if there is nothing to say in them: emoji, 8,000 of which take some 10 ms."""
READY_MS: Final = 2_000.0
"""Sound that may wait here before the next piece is computed: the next sentence is made while the last one plays."""
HUNGRY_MS: Final = 400.0
"""Sound that a listener has left when what there is of the next sentence is spoken: computing it takes about that on a
busy machine."""
IDLE_S: Final = 0.3
"""Without text after which nobody is expected to write on soon."""
AHEAD_PIECES: Final = 4_096
AHEAD_BYTES: Final = 256 * 2**10
"""Text that may be fed before it is spoken: the whole of a long answer, so that its model need not wait for the voice."""
SAMPLE_BYTES: Final = 2
WORD_CHARS: Final = 4_096
"""As long as a short text may be on the wire."""
NOTHING: Final = "nothing of the text can be spoken"


@dataclass(frozen=True, slots=True)
class Frame:
    """How the sound of a voice is cut."""

    rate_hz: int
    chunk_ms: int

    def ms(self, n_samples: int) -> float:
        """Return how long so many samples are."""
        return 1000 * n_samples / self.rate_hz

    def chunks(self, pcm: bytes) -> list[bytes]:
        """Return a sound in chunks of about the same size, none longer than `chunk_ms`."""
        n_samples = len(pcm) // SAMPLE_BYTES
        n_chunks = max(1, -(-n_samples * 1000 // (self.rate_hz * self.chunk_ms)))
        borders = [SAMPLE_BYTES * (n_samples * at // n_chunks) for at in range(n_chunks + 1)]
        return [pcm[begin:end] for begin, end in pairwise(borders) if begin < end]


@dataclass(slots=True)
class Narration:
    """A live request."""

    submission: Submission
    asked: Synthesize | SynthesizeStream
    order: int
    manner: Manner
    frame: Frame
    sentences: Sentences
    code: str = ""
    job: Job | None = None
    """The piece that is being computed, or was put off."""
    may_produce: bool = True
    held: bool = False
    has_ended: bool = False
    """Its end has been told."""
    compute_s: float = 0.0
    _playhead: Playhead = field(init=False)
    _speakable: Speakable = field(init=False)
    _segmenter: Segmenter = field(init=False)
    _source: list[str] = field(default_factory=list)
    _n_chars: int = 0
    _unread: deque[tuple[str, bool]] = field(default_factory=deque)
    """Slices, and whether each is the last of what was fed with it."""
    _pieces: deque[Piece] = field(default_factory=deque)
    _is_fed: bool = False
    """Nothing more will be fed."""
    _is_cut: bool = False
    """All of the text is in pieces."""
    _fed_s: float = 0.0
    _is_pressed: bool = False
    """Since it was fed, what could be cut because nobody writes has been cut."""
    _used_pieces: int = 0
    _used_bytes: int = 0
    _granted: tuple[int, int] = (0, 0)
    _ready: deque[bytes] = field(default_factory=deque)
    _words: deque[Word] = field(default_factory=deque)
    _said: list[Word] = field(default_factory=list)
    _made_samples: int = 0
    _begin_samples: int = 0
    """Before the sentence that was made last."""
    _sent_samples: int = 0

    def __post_init__(self) -> None:
        self._playhead = Playhead(is_paced=isinstance(self.asked, SynthesizeStream))
        self._speakable = Speakable(self.asked.markdown, self.code)
        self._segmenter = Segmenter(self.sentences)

    # --- text

    def feed(self, text: str | None, now_s: float, field: str = "text") -> None:
        """Take the next text, from this field. Raises InvalidRequest."""
        if text is None:
            raise InvalidRequest("feed: a voice takes text, and this piece has none", details={"field": field})
        _check(text, field)
        self._n_chars += len(text)
        if self._n_chars > MAX_TEXT_CHARS:
            long = f"{field}: {self._n_chars:,} characters in all, and one stream speaks {MAX_TEXT_CHARS:,}"
            raise InvalidRequest(long, details={"field": field, "limit": MAX_TEXT_CHARS})
        self._source.append(text)
        slices = [text[at : at + SLICE_CHARS] for at in range(0, max(1, len(text)), SLICE_CHARS)]
        self._unread += ((one, which == len(slices)) for which, one in enumerate(slices, 1))
        self._fed_s, self._is_pressed = now_s, False

    def finish(self) -> None:
        """Nothing more will be fed."""
        self._is_fed = True

    def window(self) -> tuple[int, int] | None:
        """Return the uplink's new limits, in pieces and bytes since the start; None while half of the old is left."""
        limits = self._used_pieces + AHEAD_PIECES, self._used_bytes + AHEAD_BYTES
        grown = limits[0] - self._granted[0], limits[1] - self._granted[1]
        if self._is_fed or (grown[0] < AHEAD_PIECES // 2 and grown[1] < AHEAD_BYTES // 2):
            return None
        self._granted = limits
        return limits

    # --- pieces

    def wants_turn(self, now_s: float) -> bool:
        """Tell whether there is something to compute."""
        if self._unsent_ms >= READY_MS:
            return False
        if self.job is None:
            self._read()
            if not self._pieces and (pressed_s := self._pressed_s(now_s)) is not None and pressed_s <= now_s:
                self._is_pressed = now_s >= self._fed_s + IDLE_S
                self._pieces += self._segmenter.press(is_idle=self._is_pressed)
        return self.job is not None or bool(self._pieces)

    def take(self) -> Piece:
        """Return the next piece. Only after `wants_turn`, without a job."""
        return self._pieces.popleft()

    def ahead_ms(self, now_s: float) -> float:
        """Return how much sound its listener has left, or will be sent."""
        return self._playhead.ahead_ms(now_s) + self._unsent_ms

    def _read(self) -> None:
        for _ in range(SLICES):
            if self._pieces or not self._unread:
                break
            text, is_last = self._unread.popleft()
            self._used_pieces += is_last
            self._used_bytes += len(text.encode())
            self._pieces += self._segmenter.feed(self._speakable.feed(text))
        if not self._pieces and not self._unread and self._is_fed and not self._is_cut:
            self._is_cut = True
            self._pieces += self._segmenter.feed(self._speakable.finish())
            self._pieces += self._segmenter.finish()

    def _pressed_s(self, now_s: float) -> float | None:
        """Return when the segmenter is to be pressed: its listener is hungry, and if he has heard nothing yet it is quiet."""
        if self._is_cut or self._is_pressed or not self._segmenter.waits:
            return None
        if self.is_silent:
            return self._fed_s + IDLE_S
        return now_s + max(0.0, (self.ahead_ms(now_s) - HUNGRY_MS) / 1000)

    # --- sound

    @property
    def is_silent(self) -> bool:
        """Whether nothing has been computed for it so far."""
        return not self._made_samples

    def made(self, pcm: bytes, words: Sequence[Timed]) -> None:
        """The next sentence has been computed."""
        self._begin_samples = self._made_samples
        self._made_samples += len(pcm) // SAMPLE_BYTES
        self._ready += self.frame.chunks(pcm)
        self.told(words)

    def told(self, words: Sequence[Timed]) -> None:
        """These are the words of the sentence that was made last."""
        for one in words:
            first, end = (self.frame.ms(self._begin_samples + sample) for sample in (one.first_sample, one.end_sample))
            text, place = one.word.text[:WORD_CHARS], (one.word.first_char, one.word.end_char)
            self._words.append(Word(text, int(first), int(end), *place, self.asked.epoch, one.estimated))

    def spoken(self) -> None:
        """The piece is over."""
        if self.job is not None:
            self.compute_s += self.job.compute_s
            self.job = None

    def opening(self, speaker: str) -> AudioStarted:
        """Return the format, said before everything."""
        return AudioStarted(self.frame.rate_hz, speaker, self.asked.epoch)

    def due(self, now_s: float) -> Iterator[EngineEvent]:
        """Yield what may be sent now, and the end behind the last of it."""
        if self.held or not self.may_produce:
            return
        while self._ready and self._playhead.wait_s(now_s) == 0:
            chunk = self._ready.popleft()
            first_sample = self._sent_samples
            self._sent_samples += len(chunk) // SAMPLE_BYTES
            yield from self._words_until(self._sent_samples)
            yield AudioChunk(Blob(chunk), self.frame.rate_hz, self.asked.epoch, first_sample)
            self._playhead.send(self.frame.ms(len(chunk) // SAMPLE_BYTES), now_s)
        yield from self._words_until(self._sent_samples)
        if self._is_over():
            self.has_ended = True
            yield self._end()

    def _is_over(self) -> bool:
        if self.job or self._pieces or self._ready or self._words:
            return False
        self._read()
        return self._is_cut and not self._pieces

    def wait_s(self, now_s: float) -> float | None:
        """Return how long nothing has to be done for it by the clock; None: for ever."""
        if self._unread and not self._pieces and self.job is None and self._unsent_ms < READY_MS:
            return 0.0
        waits: list[float | None] = []
        if self._ready and not self.held and self.may_produce:
            waits.append(self._playhead.wait_s(now_s))
        if not self._pieces and self.job is None and (pressed_s := self._pressed_s(now_s)) is not None:
            idle_s = self._fed_s + IDLE_S
            waits.append((pressed_s if pressed_s > now_s else max(pressed_s, idle_s)) - now_s)
        return min((max(0.0, one) for one in waits if one is not None), default=None)

    @property
    def _unsent_ms(self) -> float:
        return self.frame.ms(self._made_samples - self._sent_samples)

    def _words_until(self, sample: int) -> Iterator[Word]:
        while self._words and self._words[0].start_ms <= self.frame.ms(sample):
            self._said.append(self._words.popleft())
            yield self._said[-1]

    def _end(self) -> Spoken:
        asked = self.submission
        return Spoken(
            asked.model,
            self.frame.ms(self._sent_samples) / 1000,
            self.compute_s,
            asked.queue_s,
            asked.load_s,
            () if self._sent_samples else (NOTHING,),
        )

    # --- the listener

    def hold(self, now_s: float, *, held: bool) -> None:
        """The app makes its listener wait, or lets him go on."""
        self.held = held
        (self._playhead.hold if held else self._playhead.release)(now_s)

    def played(self, epoch: int, played_ms: int) -> None:
        """The app has played so much of an epoch; another one's is not this stream's."""
        if epoch == self.asked.epoch:
            self._playhead.report(played_ms)

    def cancelled(self, reason: CancelReason) -> Cancelled:
        """Return the end of a stream that is ended early."""
        return Cancelled(reason, heard=self.heard())

    def heard(self) -> Heard | None:
        """Return what has been heard: up to the last word that had ended; None if the app never said what it played."""
        played_ms = self._playhead.played_ms
        if played_ms is None:
            return None
        ended = [at for at, word in enumerate(self._said) if word.end_ms <= played_ms]
        source = "".join(self._source)
        n_chars = self._behind(ended[-1], source) if ended else 0
        return Heard(source[:n_chars], n_chars, int(played_ms))

    def _behind(self, at: int, source: str) -> int:
        """Return where a word ends in the source, the markup that clings to it included."""
        end = self._said[at].end_char
        following = self._said[at + 1].first_char if at + 1 < len(self._said) else len(source)
        while (
            end < following and not source[end].isspace() and not (source[end].isalnum() and at + 1 == len(self._said))
        ):
            end += 1
        return end


def _check(text: str, field: str) -> None:
    """Raise InvalidRequest for half characters: whatever made them, no voice can say them."""
    try:
        text.encode()
    except UnicodeEncodeError as wrong:
        half = f"{field}: half of a surrogate pair at character {wrong.start:,}"
        raise InvalidRequest(half, details={"field": field}) from None
