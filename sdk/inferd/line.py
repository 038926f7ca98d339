"""What a client holds: the way to its daemon, opened when it is first needed and anew in a forked child.

Covers: who the client says it is, where the daemon is, one connection per process. See also: `connection`.
"""

from __future__ import annotations

import os
import sys
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Final

from inferd import address, wire
from inferd.connection import Connection
from inferd.drafts import checked_timeout
from inferd.messages import control
from inferd.session import Session
from inferd.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferd.pump import Eyes, Post

CONNECT_TIMEOUT_S: Final = 5.0
"""A daemon that is activated by this very connection answers within a second; the rest is for a busy machine."""


class Line:
    """Connections of one client, by process. Dropping the last reference to it closes the client.

    Raises, when made, InvalidRequest (app, socket, connect_timeout_s) or PermissionDenied (the runtime directory).
    """

    def __init__(
        self,
        app: str | None,
        socket: str | Path | None,
        connect_timeout_s: float,
        post: Post,
        bind: Callable[[], None] = lambda: None,
        eyes: Eyes | None = None,
    ) -> None:
        self._app = _greeting(script_name() if app is None else app).app
        self._where = str(address.socket_path() if socket is None else address.check_length(Path(socket)))
        self._connect_timeout_s = checked_timeout(connect_timeout_s, "connect_timeout_s")
        self._post = post
        self._bind = bind
        """Called before each use: where there is an event loop, it says whether this is the right one."""
        self._eyes = eyes
        self._connections: dict[int, Connection] = {}
        """pid → connection; an inherited one stays unused: its thread lives in the parent."""
        weakref.finalize(self, _shut_all, self._connections).atexit = False  # exit is the connection's own business

    def connection(self) -> Connection:
        """Return this process's connection. Raises what `bind` raises."""
        self._bind()
        pid = os.getpid()
        return self._connections.get(pid) or self._connections.setdefault(pid, self._made())

    def close(self) -> None:
        """End every open call, and the connection; does not wait. A closed client stays closed."""
        self.connection().shut()

    def join(self) -> None:
        """Wait until a closed connection's thread has ended."""
        if os.getpid() in self._connections:
            self._connections[os.getpid()].join()

    def _made(self) -> Connection:
        session = Session(
            _greeting(self._app), where=self._where, uid=os.getuid(), connect_timeout_s=self._connect_timeout_s
        )
        return Connection(session, self._where, self._post, self._eyes)


def script_name() -> str:
    """Return the name an app has by default: its script's, without directory and suffix."""
    script = Path(sys.argv[0] if sys.argv else "").stem.encode(errors="replace").decode()
    return "python" if script in ("", "-c", "-m") else script[:256]


def _greeting(app: str) -> control.Hello:
    return wire.from_fields(
        {
            "protocol_min": control.PROTOCOL_VERSION,
            "protocol_max": control.PROTOCOL_VERSION,
            "app": app,
            "app_session": os.urandom(16).hex(),
            "sdk": f"inferd-python {__version__}",
        },
        control.Hello,
    )


def _shut_all(connections: dict[int, Connection]) -> None:
    for connection in connections.values():
        connection.shut()
