"""What a model file says about itself, read before any engine sees the file: nothing of it is trusted.

`reader`: the call, for whoever is about to hand a file to an engine. `reading`: the program that it starts, a process of its
own within limits. `gguf_header`: the format, with `cursor` (steps inside the file), `tensors` (the table) and `tensor_types`.
`geometry` and `layers`: what its keys mean, read through `values`. `header`: the result. `parts`: models in several files.
Why: engines read the header with C code that has been broken into by offsets, sizes and counts from files.
See also: `engines.llama_cpp.prediction`, which tells from a header how much memory a model will take.
"""
