"""Model files in a format that an engine reads, made of files in another one.

Covers: `process`, the program, which has no rights but to read its inputs and write one file of bounded size; `safetensors`,
reading within bounds; `bert`, the recipe for BERT encoders, and the only door to the gguf library. Does not cover where inputs
come from, nor whether the result is the right one: the daemon's store, which knows its sha256.
"""
