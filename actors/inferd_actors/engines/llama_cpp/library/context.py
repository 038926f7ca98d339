"""A model's cache and what is computed in it: batches of several sequences, and operations on one of them.

Covers: one unified cache whose cells several sequences may share, decoding, saving a sequence and bringing it back. Why
unified: a cache divided by sequence holds a fraction of the context for each, and copying a part of one there ends the process
(measured). A `seat` is llama.cpp's sequence id, from 0.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from inferd_actors.engines.llama_cpp.library.binding import lib
from inferd_actors.engines.llama_cpp.library.log import complaints, forget_complaints, load_failed
from inferd_actors.engines.llama_cpp.library.model import Model
from inferd_actors.engines.llama_cpp.library.pool import Pools
from inferd_actors.engines.llama_cpp.library.sampler import Sampler
from inferd_actors.engines.llama_cpp.library.vocabulary import Tokens
from inferd_actors.engines.llama_cpp.sizes import ubatch_tokens


class Row(NamedTuple):
    """A piece of one sequence in a batch: `tokens` go to the positions from `start` on."""

    seat: int
    start: int
    tokens: Sequence[int] | Tokens
    wants_logits: bool
    """Whether the token behind the last one is to be chosen."""


class Context:
    """A cache of `cells` tokens for `seats` sequences together. Raises LoadFailed (`no_memory`)."""

    def __init__(self, model: Model, *, cells: int, seats: int, batch_tokens: int, threads: int) -> None:
        params = lib.llama_context_default_params()
        params.n_ctx = cells
        params.n_batch = batch_tokens
        params.n_ubatch = ubatch_tokens(batch_tokens, is_offloaded=model.is_offloaded)
        params.n_seq_max = seats
        params.n_outputs_max = min(seats, batch_tokens)  # a row each; for every token of a batch it would be 100 MB
        params.kv_unified = True
        params.n_threads = params.n_threads_batch = threads
        params.no_perf = True
        forget_complaints()
        self._context = lib.llama_init_from_model(model.handle, params)
        if not self._context:
            raise load_failed(f"llama.cpp cannot make a context of {cells:,} tokens for {seats} sequences", "no_memory")
        self._memory = lib.llama_get_memory(self._context)
        self._pools = None if model.is_offloaded else Pools(self._context)
        """None: a GPU computes."""
        self._row_of_logits = ctypes.c_float * len(model.vocabulary)
        self._rows: dict[int, NDArray[np.float32]] = {}
        """Views of logits by address: llama.cpp writes them to the same few places, step after step."""
        self._batch = _Batch(batch_tokens)

    def close(self) -> None:
        """Release the cache, and end the threads."""
        lib.llama_free(self._context)
        if self._pools is not None:
            self._pools.close()

    # --- computing

    def decode(self, rows: Sequence[Row]) -> list[int]:
        """Compute one batch; return for each row that wants logits where they are, for `sample` and `logits`.

        Releases the GIL meanwhile. Raises MemoryError when the cache has no room (nothing has changed then), RuntimeError when
        llama.cpp broke.
        """
        batch, wanted = self._batch.filled(rows)
        code = lib.llama_decode(self._context, batch)
        if code == 1:
            raise MemoryError(f"the cache has no room for {batch.n_tokens} tokens")
        if code != 0:
            raise RuntimeError(f"llama_decode returned {code}: {complaints()}")
        if self._pools is None:
            lib.llama_synchronize(self._context)  # a GPU is only told; without this nobody would know how long it takes
        return wanted

    def sample(self, sampler: Sampler, at: int) -> int:
        """Return the next token of the row whose logits are `at`, as `sampler` chooses it."""
        return sampler.choose(self._context, at, self.logits(at))

    def logits(self, at: int) -> NDArray[np.float32]:
        """Return a row's logits, shape (vocabulary,): a view that the next decode overwrites."""
        place = ctypes.addressof(lib.llama_get_logits_ith(self._context, at).contents)
        row = self._rows.get(place)
        if row is None:
            row = np.frombuffer(memoryview(self._row_of_logits.from_address(place)), np.float32)
            self._rows[place] = row
        return row

    def set_threads(self, threads: int) -> None:
        """Compute with so many threads from the next decode on, the calling one among them.

        If all cores compute, each thread has one of its own, and so have threads that this one starts later: its own.
        """
        if self._pools is None:
            lib.llama_set_n_threads(self._context, threads, threads)
        else:
            self._pools.use(threads)

    # --- sequences

    def length(self, seat: int) -> int:
        """Return how many positions a sequence has."""
        return int(lib.llama_memory_seq_pos_max(self._memory, seat)) + 1

    def copy(self, source: int, target: int, count: int) -> None:
        """Give `target`, which is empty, the first `count` positions of `source`; the cells are shared, not doubled."""
        lib.llama_memory_seq_cp(self._memory, source, target, 0, count)

    def copy_all(self, source: int, target: int) -> None:
        """Give `target`, which is empty, all of `source`: the only copy of a state that cannot be cut."""
        lib.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def trim(self, seat: int, count: int) -> bool:
        """Keep the first `count` positions; False: this cache cannot, and the sequence is to be read anew."""
        return bool(lib.llama_memory_seq_rm(self._memory, seat, count, -1))

    def forget(self, seat: int) -> None:
        """Empty a sequence; cells that others share stay."""
        lib.llama_memory_seq_rm(self._memory, seat, -1, -1)

    def save(self, seat: int, place: Callable[[int], memoryview]) -> memoryview:
        """Return a sequence's state for `restore`, in `place(its size)`: 65 MB take 10 ms, where memory is new many times that.

        On a GPU 44 MB take 12 ms if they lie in one piece; tokens that were written beside others' are copied one by one,
        half a millisecond each (SmolLM2 on an H200).
        """
        size = lib.llama_state_seq_get_size(self._context, seat)
        state = place(size)
        buffer = (ctypes.c_uint8 * size).from_buffer(state)
        written = lib.llama_state_seq_get_data(self._context, buffer, size, seat)
        if written != size:
            raise RuntimeError(f"llama_state_seq_get_data wrote {written:,} of {size:,} bytes")
        return state

    def restore(self, seat: int, state: memoryview) -> bool:
        """Bring a saved state back into an empty sequence; False: the cache has no room, and nothing has changed."""
        buffer = (ctypes.c_uint8 * len(state)).from_buffer(state)
        return bool(lib.llama_state_seq_set_data(self._context, buffer, len(state), seat) > 0)


class _Batch:
    """llama.cpp's batch with arrays of ours, filled anew for each decode."""

    def __init__(self, room: int) -> None:
        self._tokens, self._positions, self._seats = ((ctypes.c_int32 * room)() for _ in range(3))
        self._one_seat_each = (ctypes.c_int32 * room)(*[1] * room)
        self._wanted = (ctypes.c_int8 * room)()
        pointer = ctypes.POINTER(ctypes.c_int32)
        first, size = ctypes.addressof(self._seats), ctypes.sizeof(ctypes.c_int32)
        places = range(first, first + room * size, size)
        self._seat_pointers = (pointer * room)(*(ctypes.cast(place, pointer) for place in places))
        self._batch = lib.llama_batch(
            token=self._tokens,
            pos=self._positions,
            n_seq_id=self._one_seat_each,
            seq_id=self._seat_pointers,
            logits=self._wanted,
        )

    def filled(self, rows: Sequence[Row]) -> tuple[Any, list[int]]:
        """Return the batch of these rows, and where the logits will be that were asked for.

        Value by value: nearly every row has one, and slices of numpy's arrays cost more than sixteen of them.
        """
        end, wanted = 0, []
        for seat, start, tokens, wants_logits in rows:
            for position, token in enumerate(tokens, start):
                self._tokens[end], self._positions[end], self._seats[end] = int(token), position, seat
                self._wanted[end] = 0
                end += 1
            if wants_logits:
                self._wanted[end - 1] = 1
                wanted.append(end - 1)
        self._batch.n_tokens = end
        return self._batch, wanted
