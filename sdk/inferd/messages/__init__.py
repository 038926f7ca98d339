"""Everything that is said on the wire, as frozen dataclasses: one file per topic.

`control`: the line itself. `operations`: what may be asked. `events`: what a stream answers. `reports`: rows about models
and the daemon. `schemas`: what is known of models. `speech`: operations and events
of sound. `bounds`: what a value may be. The codec is `inferd.wire`; the authority is
`sdk/PROTOCOL.md`.
"""
