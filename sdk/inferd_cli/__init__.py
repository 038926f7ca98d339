"""The `inferd` command: an ordinary client of the daemon's socket, for people and for scripts.

Covers: one file per command (`serve`, `run` with `chat`, `ps`, `listing`, `status`, `pull`, `remove`, `register` with `rows`,
`discover`, `upgrades`, `stop`, `demo`), the words they share (`amounts`, `cleaning`, `advice`, `exit_codes`), and the ways to
show things (`tables`, `progress`, `screen`, `documents`). Does not cover deciding anything about models or requests: that is
the daemon's. Imports `inferd` alone of the house; what it needs of the SDK stands in `client`.
"""
