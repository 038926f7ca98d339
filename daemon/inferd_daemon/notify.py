"""Words to the service manager: READY, STOPPING, WATCHDOG, over systemd's notify socket. Silent without one.

Covers: `sd_notify(3)`, including abstract socket names. Whoever does the work feeds the watchdog, never a timer thread.
"""

from __future__ import annotations

import os
import socket
from typing import Final

MICROSECONDS: Final = 1_000_000


def tell(*lines: str) -> None:
    """Send state lines such as `READY=1`; a manager that does not listen is no error of ours."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
        line.setblocking(False)
        try:
            line.sendto("\n".join(lines).encode(), address)
        except OSError:
            return


def watchdog_s() -> float | None:
    """Return how often to send `WATCHDOG=1`: half the manager's limit, or None when it keeps no watch on this process."""
    limit, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not limit.isdigit() or (pid and pid != str(os.getpid())):
        return None
    return int(limit) / MICROSECONDS / 2
