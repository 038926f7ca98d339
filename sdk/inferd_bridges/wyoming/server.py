"""The bridge's sockets, and who is connected to them.

Covers: listening in several places, a bound on connections, the end of all of them. See also: `connection`.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
import sys
import traceback
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from inferd.errors import PermissionDenied
from inferd_bridges.wyoming.connection import Connection
from inferd_bridges.wyoming.framing import LINE_BYTES
from inferd_bridges.wyoming.places import Tcp, Unix

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from inferd_bridges.wyoming.daemon import Daemon
    from inferd_bridges.wyoming.places import Place

CONNECTIONS: Final = 256
"""As many as an app may have requests open at the daemon; who comes then is let go at once."""
BACKLOG: Final = 100
OWNER_ONLY: Final = 0o177
"""The umask of a socket that nobody else may open."""


class Server:
    """All connections of the bridge."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._open: dict[Connection, asyncio.Task[None]] = {}

    @asynccontextmanager
    async def serving(self, places: Sequence[Place]) -> AsyncIterator[tuple[Place, ...]]:
        """Serve while the block runs; yields the places, with the port that a 0 became. All have ended when it is left.

        Raises PermissionDenied where somebody else listens or nobody may.
        """
        async with AsyncExitStack() as left:
            left.push_async_callback(self._ended)
            yield tuple([await left.enter_async_context(self._listening(one)) for one in places])

    async def _ended(self) -> None:
        """End all connections; nobody comes any more."""
        for connection in self._open:
            connection.end()
        if self._open:
            await asyncio.wait(self._open.values())

    @asynccontextmanager
    async def _listening(self, place: Place) -> AsyncIterator[Place]:
        try:
            match place:
                case Tcp(host, port):
                    server = await asyncio.start_server(self._accept, host, port, limit=LINE_BYTES, backlog=BACKLOG)
                    place = Tcp(host, server.sockets[0].getsockname()[1])
                case Unix(path):
                    server = await self._bound(path)
        except OSError as refused:
            raise PermissionDenied(f"cannot listen on {place}: {refused.strerror or refused}") from None
        try:
            yield place
        finally:
            server.close()
            if isinstance(place, Unix):
                place.path.unlink(missing_ok=True)

    async def _bound(self, path: Path) -> asyncio.Server:
        """Return a server at a path; what an earlier one left there is replaced."""
        _clear(path)
        own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(OWNER_ONLY)
        try:
            own.bind(str(path))
        except OSError:
            own.close()
            raise
        finally:
            os.umask(before)
        return await asyncio.start_unix_server(self._accept, sock=own, limit=LINE_BYTES, backlog=BACKLOG)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= CONNECTIONS:
            writer.transport.abort()
            return
        connection = Connection(reader, writer, self._daemon)
        self._open[connection] = asyncio.get_running_loop().create_task(self._serve(connection))

    async def _serve(self, connection: Connection) -> None:
        """Serve one client; a bug in that is told, and ends this client's connection only."""
        try:
            await connection.run()
        except Exception:  # noqa: BLE001 - the border of a connection
            traceback.print_exc(file=sys.stderr)
        finally:
            del self._open[connection]


def _clear(path: Path) -> None:
    """Remove a socket to which nobody listens; nothing else."""
    with suppress(OSError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                is_dead = probe.connect_ex(str(path)) == errno.ECONNREFUSED
            if is_dead:
                path.unlink()
