"""What runs in a process of its own: one plain class per kind of actor, no Ray import.

`host`: an actor's line to the daemon. `model` with an engine behind `engine`'s contract: one loaded model. `router`,
`keypool`, `tracker`: the service's own actors. See also: `inferd_daemon.keeper`, which starts them.
"""
