"""The only door to llama.cpp: its objects as classes that free themselves, its return codes as results and errors.

Covers: `log` (what the library says, kept instead of written to stderr), `vocabulary` (text ⇄ tokens), `model`, `context` (the
cache and its sequences), `sampler` (chains of sampling steps). Does not cover when which is used: `engine`.
A context and its samplers belong to one thread; a vocabulary may be used by several at once.
"""

from __future__ import annotations

from inferd_actors.engines.llama_cpp.library.context import Context, Row
from inferd_actors.engines.llama_cpp.library.log import open_library
from inferd_actors.engines.llama_cpp.library.model import Model, offloads
from inferd_actors.engines.llama_cpp.library.sampler import Sampler
from inferd_actors.engines.llama_cpp.library.vocabulary import Tokens, Vocabulary, VocabularyFile

__all__ = ["Context", "Model", "Row", "Sampler", "Tokens", "Vocabulary", "VocabularyFile", "offloads", "open_library"]
