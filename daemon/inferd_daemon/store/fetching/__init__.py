"""The process that downloads one file: `hub` and `url` sources, one process per pull.

Covers: an order comes in on stdin, reports go out on stdout, bytes go into the partial file. `words`: order and reports.
`process`: start and end. `course`: attempts until the file is whole. `partial`, `origin`: what survives a kill, and whether
it may be gone on with. `answers`, `redirects`: what a server's answer means. `line`: the only door to the HTTP library.
`hub`: the one to the hub's.
Does not cover publishing what came, nor who asked (`store.download`).

Why a process: it can be ended at any moment, whatever it waits for; reading HTTP and TLS of strangers takes nothing from
the daemon's loop; and a key for the hub, where the user has one, stays out of the daemon.
"""
