"""What a load will take, as far as its file's header tells: better than a guess by the file's size, worse than a measured peak.

Covers: asking for the header, predicting from it. Does not cover the prediction (`engines.llama_cpp.prediction`), the guess
(`ledger.estimate`), or what was learned (`peaks`). Runs in the loop; nothing here blocks but a look at a file's size and time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from inferd.errors import LoadFailed
from inferd_actors.engines.llama_cpp.prediction import predict
from inferd_actors.headers.header import Header
from inferd_daemon.headers import HEADED, Answer, Headers

if TYPE_CHECKING:
    from inferd_daemon.catalogue import Schema
    from inferd_daemon.store.shelf import Store

OnForeseen = Callable[[int | None], None]
"""In the loop; None: nothing is known."""


class Foresight:
    """`reordered`: types of tensors that are copied on this machine as they are loaded."""

    def __init__(self, headers: Headers, store: Store, reordered: Collection[str]) -> None:
        self._headers = headers
        self._store = store
        self._reordered = reordered

    def ask(self, schema: Schema, then: OnForeseen) -> None:
        """Have `then` told the bytes of a life of this model at its peak: at once, or when its file's header has been read."""
        path = self._path(schema)
        if path is None:
            then(None)
        else:
            self._headers.ask(path, lambda answer: then(self._peak_bytes(schema, answer)))

    def _path(self, schema: Schema) -> Path | None:
        with suppress(LoadFailed, OSError):
            return self._store.path(schema) if schema.engine in HEADED else None
        return None

    def _peak_bytes(self, schema: Schema, answer: Answer) -> int | None:
        """Return the prediction; None for a corrupt file or a wrong setting: the load says what is wrong."""
        with suppress(LoadFailed):
            if isinstance(answer, Header):
                return predict(answer, schema.engine_options, reordered=self._reordered).peak_bytes
        return None
