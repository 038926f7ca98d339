"""The words that systemd hears, on a socket of its protocol: ready once apps are answered, alive, stopping at the drain."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

from daemon_process import DaemonProcess

WATCHDOG_USEC = 400_000


def test_the_manager_hears_ready_watchdog_and_stopping_in_this_order() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="ifd-") as root,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
    ):
        manager.bind(f"{root}/notify")
        manager.settimeout(30.0)
        environment = {"NOTIFY_SOCKET": f"{root}/notify", "WATCHDOG_USEC": str(WATCHDOG_USEC)}
        daemon = DaemonProcess(Path(root), environment=environment)
        daemon.start(wait=False)
        try:
            words = [manager.recv(4096)]
            while b"READY=1" not in words[-1]:
                words.append(manager.recv(4096))
            with daemon.client() as client:
                assert client.ping() < 10.0
            beats = [manager.recv(4096) for _ in range(3)]
            assert beats == [b"WATCHDOG=1"] * 3
        finally:
            assert daemon.stop() == 0
        while (word := manager.recv(4096)) == b"WATCHDOG=1":
            continue
        assert word == b"STOPPING=1"
