"""What a load will take, as far as its file's header tells: better than a guess by the file's size, worse than a measured peak.

Covers: asking for the header, predicting from it. Does not cover the prediction (`prediction` in the engines' rooms), the guess
(`ledger.estimate`), or what was learned (`peaks`). Runs in the loop; nothing here blocks but a look at a file's size and time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from inferd.errors import LoadFailed
from inferd_actors.engines import ROOMS
from inferd_actors.engines.faster_whisper import prediction as faster_whisper
from inferd_actors.engines.llama_cpp.prediction import predict
from inferd_actors.engines.piper import prediction as piper
from inferd_daemon import ledger
from inferd_daemon.headers import HEADED, Answer, Headers, headed_file

if TYPE_CHECKING:
    from inferd_daemon.cards import Cards
    from inferd_daemon.catalogue import Schema
    from inferd_daemon.store.shelf import Store

OPENED_AHEAD: Final = frozenset(name for name, room in ROOMS.items() if room.opens_ahead)
Foreseen = ledger.Amount | LoadFailed | None
"""What a life takes at its peak; why its load would fail; None: nothing is known."""
OnForeseen = Callable[[Foreseen], None]
"""In the loop."""


class Ahead(NamedTuple):
    """A file that can be opened before a load is ordered, and what it then takes."""

    path: str
    opened_bytes: int


OnAhead = Callable[[Ahead | None], None]
"""In the loop. None: it cannot be, or is not worth it."""


class Foresight:
    """`reordered`: types of tensors that are copied on this machine as they are loaded.

    `cards`: GPUs with memory of their own that llama.cpp computes on; None: there are none. `has_mkl`: CTranslate2 computes by
    MKL.
    """

    def __init__(
        self,
        headers: Headers,
        store: Store,
        reordered: Collection[str],
        cards: Cards | None = None,
        *,
        has_mkl: bool = False,
    ) -> None:
        self._headers = headers
        self._store = store
        self._reordered = reordered
        self._has_mkl = has_mkl
        self._cards = cards

    @property
    def has_gpu(self) -> bool:
        """Whether llama.cpp computes on GPUs with memory of their own."""
        return self._cards is not None

    def ask(self, schema: Schema, then: OnForeseen) -> None:
        """Have `then` told what a load of this model comes to: at once, or when its file's header has been read.

        Where it is to lie on a GPU, too, that was looked at anew by then.
        """
        path = self._path(schema)
        if isinstance(path, Path):
            self._headers.ask(path, lambda answer: self._tell(self._foreseen(schema, answer), then))
        else:
            then(path)

    def _tell(self, known: Foreseen, then: OnForeseen) -> None:
        if self._cards is not None and isinstance(known, ledger.Amount) and known.gpu_bytes:
            self._cards.ask(lambda: then(known))
        else:
            then(known)

    def ask_ahead(self, schema: Schema, then: OnAhead) -> None:
        """Have `then` told what opening this model's file ahead of a load comes to: at once, or with its file's header.

        Nothing is opened ahead where there are GPUs.
        """
        path = self._path(schema)
        if schema.engine in OPENED_AHEAD and isinstance(path, Path) and not self.has_gpu:
            self._headers.ask(path, lambda answer: then(self._ahead(schema, path, answer)))
        else:
            then(None)

    def _ahead(self, schema: Schema, path: Path, answer: Answer) -> Ahead | None:
        if isinstance(answer, LoadFailed) or answer.parts != 1:
            return None
        try:
            return Ahead(str(path), predict(answer, schema.engine_options, reordered=self._reordered).opened_bytes)
        except LoadFailed:
            return None

    def _path(self, schema: Schema) -> Path | LoadFailed | None:
        try:
            return headed_file(schema.engine, self._store.path(schema)) if schema.engine in HEADED else None
        except LoadFailed as failed:
            return LoadFailed(failed.message, details={"cause": "file_missing"})
        except OSError as failed:
            return LoadFailed(f"its file cannot be looked at: {failed}", details={"cause": "engine"})

    def _foreseen(self, schema: Schema, answer: Answer) -> ledger.Amount | LoadFailed:
        """Return the prediction, or what is wrong with the file or with a setting."""
        if isinstance(answer, LoadFailed):
            return answer
        try:
            match schema.engine:
                case "faster_whisper":
                    peak_bytes = faster_whisper.peak_bytes(answer, schema.engine_options, has_mkl=self._has_mkl)
                    return ledger.Amount(peak_bytes)
                case "piper":
                    return ledger.Amount(piper.peak_bytes(answer, schema.engine_options))
                case _:
                    told = predict(answer, schema.engine_options, reordered=self._reordered, has_gpu=self.has_gpu)
                    return ledger.Amount(told.peak_bytes, told.gpu_bytes)
        except LoadFailed as failed:
            return failed
