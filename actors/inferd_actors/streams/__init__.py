"""The live requests of one model's process, between its engine and the daemon. Pure: events in, commands out.

`table`: all streams; one message per app for each step of the engine. `stream`: one of them: numbers, window, end.
`backlog`: what waits for credit. `replay`: what the app has not acknowledged. `uplink`: what the app may feed. `commands`:
what `model` is to carry out.
"""

from inferd_actors.streams.commands import Command, Grant, Pass, Send, Stop
from inferd_actors.streams.table import Streams
from inferd_actors.streams.uplink import HEARD_LIVE

__all__ = ["HEARD_LIVE", "Command", "Grant", "Pass", "Send", "Stop", "Streams"]
