"""`python -m inferd_daemon`: read the settings, start the daemon, end with a code that says how it went.

Exit codes: 0 stopped as asked · 1 it broke · 2 settings or place cannot be used · 3 another daemon holds the socket.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from inferd.errors import InferenceError

if TYPE_CHECKING:
    from inferd_daemon.catalogue import Catalogue
    from inferd_daemon.config import Settings

BROKE: Final = 1
UNUSABLE: Final = 2
OCCUPIED: Final = 3
DESCRIPTORS: Final = 65_536
"""At the limit libzmq aborts the process, so a low soft limit is raised; the unit sets the same number."""


def main() -> NoReturn:
    """Run the daemon until it is told to stop; the process ends here."""
    arguments = _arguments()
    try:
        from inferd_daemon import config, runtime, telemetry
        from inferd_daemon.catalogue import curated
    except ImportError as missing:
        _leave_without(missing)
    os.umask(0o077)
    _raise_descriptor_limit()
    try:
        settings = config.read(arguments.config)
        telemetry.start_logging(settings.log_level, settings.log_format)
        _run(settings, curated().with_rows(settings.models))
    except (config.Wrong, InferenceError) as wrong:
        _leave(UNUSABLE, str(wrong))
    except runtime.Occupied as occupied:
        _leave(OCCUPIED, str(occupied))
    sys.exit(0)


def keeper() -> NoReturn:
    """Run the keeper; the command of its unit. The process ends here."""
    try:
        from inferd_daemon.keeper import main as keep
    except ImportError as missing:
        _leave_without(missing)
    sys.exit(keep())


def _run(settings: Settings, catalogue: Catalogue) -> None:
    import uvloop

    from inferd_daemon import app

    uvloop.run(app.serve(settings, catalogue))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("inferd-daemon", description=__doc__.partition("\n")[0])
    parser.add_argument("--config", type=Path, help="settings file; default: ~/.config/inferd/config.toml")
    return parser.parse_args()


def _raise_descriptor_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # macOS has a lower limit that it does not tell; `wires` adapts
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _leave_without(missing: ImportError) -> NoReturn:
    _leave(UNUSABLE, f"the daemon's libraries are not installed ({missing.name}): pip install 'inferd[daemon]'")


def _leave(code: int, reason: str) -> NoReturn:
    print(f"inferd-daemon: {reason}", file=sys.stderr)  # noqa: T201 - logging may not be set up yet
    sys.exit(code)


if __name__ == "__main__":
    main()
