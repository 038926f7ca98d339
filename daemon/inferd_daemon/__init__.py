"""The service: who decides. One process with a loop for decisions and a thread for the wires.

A request's way: `wires` → `switchboard` → `supervisor` → (`admission`, `scheduler`, `lifecycle`) → `wires` → an actor.
See also: `keeper`, the process that owns Ray, and `cluster`, its other end here.
"""
