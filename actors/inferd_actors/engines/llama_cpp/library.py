"""The only door to llama.cpp: its objects as classes that free themselves, its return codes as results and errors.

Covers: model, context, sampler chain, and silencing the library's log. Does not cover when which is used: `engine`.
Everything here is called by the one thread of that loop.
"""

from __future__ import annotations

import ctypes
import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, assert_never

from llama_cpp import llama_cpp as lib

from inferd.errors import LoadFailed
from inferd_actors.engines.llama_cpp.sampling import (
    Draw,
    Greedy,
    MinP,
    Penalties,
    Step,
    Temperature,
    TopK,
    TopP,
)

MAGIC: Final = b"GGUF"
WARNING: Final = 3
"""`GGML_LOG_LEVEL_WARN`; errors are 4, 5 continues the line before."""
PIECE_BYTES: Final = 1_024
"""Room for one token's text at first; longer ones are asked for again."""

_complaints: deque[str] = deque(maxlen=20)
"""What the library said last, for the message of a failed load."""


def _listen(level: int, text: bytes, _: object) -> None:
    if level >= WARNING:
        _complaints.append(text.decode(errors="replace").strip())


_LISTENER: Final = lib.llama_log_callback(_listen)
"""Kept for the life of the process: the library calls it whenever it likes, a collected one would crash there."""


def open_library() -> None:
    """Make the library ready and quiet: it writes to stderr otherwise."""
    lib.llama_log_set(_LISTENER, None)
    lib.llama_backend_init()


class Tokens:
    """Token numbers as the library takes them."""

    def __init__(self, numbers: Any, count: int) -> None:  # noqa: ANN401 - a ctypes array
        self._numbers = numbers
        self.count = count

    def __len__(self) -> int:
        return self.count

    def batch(self, start: int, count: int) -> Any:  # noqa: ANN401 - a ctypes structure
        """Return `count` of them from `start` on as a batch that continues the context."""
        first = ctypes.cast(ctypes.byref(self._numbers, start * ctypes.sizeof(lib.llama_token)), lib.llama_token_p)
        return lib.llama_batch_get_one(first, count)


class Model:
    """A loaded model file."""

    def __init__(self, path: str, *, gpu_layers: int, on_progress: Callable[[float], bool]) -> None:
        """Load. `on_progress(0 to 1)` returns False to give up. Raises LoadFailed with its cause."""
        _look_at(path)
        params = lib.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        watcher = lib.llama_progress_callback(lambda done, _: on_progress(done))
        params.progress_callback = watcher
        _complaints.clear()
        self._model = lib.llama_model_load_from_file(os.fsencode(path), params)
        if not self._model:
            raise _failed(f"llama.cpp cannot load {path}", _cause(_complaints))
        self._vocab = lib.llama_model_get_vocab(self._model)
        self._pieces: dict[int, bytes] = {}

    def close(self) -> None:
        """Release the memory; contexts are closed before."""
        lib.llama_model_free(self._model)

    @property
    def handle(self) -> Any:  # noqa: ANN401 - a pointer
        """The library's own object."""
        return self._model

    @property
    def trained_tokens(self) -> int:
        """The context that it was trained for."""
        return int(lib.llama_model_n_ctx_train(self._model))

    @property
    def vocabulary_size(self) -> int:
        """How many tokens there are."""
        return int(lib.llama_vocab_n_tokens(self._vocab))

    def memory_bytes(self, context_tokens: int) -> int:
        """Return weights and cache (16 bits a value); the buffers of the computation are not in it."""
        heads = max(1, lib.llama_model_n_head(self._model))
        width = lib.llama_model_n_embd(self._model) // heads * lib.llama_model_n_head_kv(self._model)
        cache = 2 * 2 * lib.llama_model_n_layer(self._model) * width * context_tokens
        return int(lib.llama_model_size(self._model) + cache)

    def metadata(self, key: str) -> str | None:
        """Return a value of the file's header as text, None if there is none; for short values."""
        buffer = ctypes.create_string_buffer(PIECE_BYTES)
        length = lib.llama_model_meta_val_str(self._model, key.encode(), buffer, PIECE_BYTES)
        return buffer.value.decode(errors="replace") if length >= 0 else None

    @property
    def template(self) -> str | None:
        """The chat template in the file."""
        source = lib.llama_model_chat_template(self._model, None)
        return source.decode(errors="replace") if source else None

    @property
    def begin_text(self) -> str:
        """Text of the token that begins a sequence; empty if there is none."""
        return self._text(lib.llama_vocab_bos(self._vocab))

    @property
    def end_text(self) -> str:
        """Text of the token that ends a sequence; empty if there is none."""
        return self._text(lib.llama_vocab_eos(self._vocab))

    def _text(self, token: int) -> str:
        return lib.llama_vocab_get_text(self._vocab, token).decode(errors="replace") if token >= 0 else ""

    def tokenize(self, text: str, *, add_begin: bool) -> Tokens:
        """Return a rendered prompt's tokens, its marks as special tokens. `add_begin`: as the model wants it."""
        data = text.encode()
        room = len(data) + 16  # a token has at least one byte, and a few special ones may be added
        numbers = (lib.llama_token * room)()
        count = lib.llama_tokenize(self._vocab, data, len(data), numbers, room, add_begin, True)
        if count < 0:
            raise RuntimeError(f"llama_tokenize made more than {room} tokens of {len(data)} bytes")
        return Tokens(numbers, count)

    def piece(self, token: int) -> bytes:
        """Return a token's text as bytes, nothing for a control token; often a part of a character."""
        known = self._pieces.get(token)
        if known is None:
            known = self._pieces[token] = self._read_piece(token)
        return known

    def _read_piece(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(PIECE_BYTES)
        length = lib.llama_token_to_piece(self._vocab, token, buffer, PIECE_BYTES, 0, False)
        if length < 0:
            buffer = ctypes.create_string_buffer(-length)
            length = lib.llama_token_to_piece(self._vocab, token, buffer, -length, 0, False)
        return buffer.raw[:length]

    def ends(self, token: int) -> bool:
        """Tell whether this token means that the answer is complete."""
        return bool(lib.llama_vocab_is_eog(self._vocab, token))


class Context:
    """One sequence in a model's cache."""

    def __init__(self, model: Model, *, context_tokens: int, batch_tokens: int, threads: int) -> None:
        """Allocate the cache. Raises LoadFailed (`no_memory`)."""
        params = lib.llama_context_default_params()
        params.n_ctx = context_tokens
        params.n_batch = params.n_ubatch = batch_tokens
        params.n_seq_max = 1
        params.n_threads = params.n_threads_batch = threads
        params.no_perf = True
        _complaints.clear()
        self._context = lib.llama_init_from_model(model.handle, params)
        if not self._context:
            raise _failed(f"llama.cpp cannot make a context of {context_tokens:,} tokens", "no_memory")
        self._memory = lib.llama_get_memory(self._context)
        self._token = (lib.llama_token * 1)()
        self._single = lib.llama_batch_get_one(self._token, 1)

    def close(self) -> None:
        """Release the cache."""
        lib.llama_free(self._context)

    def clear(self) -> None:
        """Forget the sequence."""
        lib.llama_memory_clear(self._memory, False)

    def read(self, tokens: Tokens, start: int, count: int) -> bool:
        """Continue with a part of a prompt; False: the cache has no room. Raises RuntimeError when llama.cpp broke."""
        return self._decode(tokens.batch(start, count))

    def append(self, token: int) -> bool:
        """Continue with one token; as `read`."""
        self._token[0] = token
        return self._decode(self._single)

    def _decode(self, batch: Any) -> bool:  # noqa: ANN401 - a ctypes structure
        code = lib.llama_decode(self._context, batch)
        if code not in (0, 1):
            raise RuntimeError(f"llama_decode returned {code}: {' '.join(_complaints)}")
        return bool(code == 0)

    def sample(self, sampler: Sampler) -> int:
        """Return the next token as `sampler` chooses it."""
        return int(lib.llama_sampler_sample(sampler.handle, self._context, -1))


class Sampler:
    """A chain of sampling steps; it remembers what it chose."""

    def __init__(self, steps: Sequence[Step], model: Model) -> None:
        self.handle = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        for step in steps:
            lib.llama_sampler_chain_add(self.handle, _link(step, model.vocabulary_size))

    def close(self) -> None:
        """Release it."""
        lib.llama_sampler_free(self.handle)


def _link(step: Step, vocabulary_size: int) -> Any:  # noqa: ANN401, PLR0911 - a pointer; a return for each step
    match step:
        case Penalties(window_tokens, repeat, frequency, presence):
            return lib.llama_sampler_init_penalties(vocabulary_size, window_tokens, repeat, frequency, presence)
        case TopK(k):
            return lib.llama_sampler_init_top_k(k)
        case TopP(p):
            return lib.llama_sampler_init_top_p(p, 1)
        case MinP(p):
            return lib.llama_sampler_init_min_p(p, 1)
        case Temperature(temperature):
            return lib.llama_sampler_init_temp(temperature)
        case Draw(seed):
            return lib.llama_sampler_init_dist(seed)
        case Greedy():
            return lib.llama_sampler_init_greedy()
        case _:
            assert_never(step)


def _look_at(path: str) -> None:
    """Raise LoadFailed for what needs no library to be seen."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - the library takes a path as text too
            magic = file.read(len(MAGIC))
    except OSError as reason:
        raise LoadFailed(f"{path} cannot be read: {reason.strerror}", details={"cause": "file_missing"}) from None
    if magic != MAGIC:
        problem = f"{path} is no GGUF file: it begins with {magic!r}"
        raise LoadFailed(problem, details={"cause": "file_corrupt"})


def _cause(complaints: Sequence[str]) -> str:
    """Return whose fault a failed load is, as far as the library says; a malformed file unless it says otherwise."""
    said = " ".join(complaints).lower()
    if "alloc" in said or "out of memory" in said:
        return "no_memory"
    return "engine" if "unknown model architecture" in said else "file_corrupt"


def _failed(problem: str, cause: str) -> LoadFailed:
    return LoadFailed(f"{problem}: {' '.join(_complaints) or 'no reason given'}", details={"cause": cause})
