"""Entry of the `inferd` command, and of `python -m inferd_cli`."""

from __future__ import annotations

import io
import sys


def main() -> None:
    """Run the command that the command line names; ends the process with one of `exit_codes`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show a letter gets a mark, not a traceback
            stream.reconfigure(errors="replace")
    try:
        from inferd_cli.app import app  # here: so that a missing package can be told
    except ModuleNotFoundError as missing:
        if missing.name not in ("typer", "rich"):
            raise
        sys.exit(f"error: {missing.name} is not installed\nnext: pip install 'inferd[cli]'")
    app(prog_name="inferd")


if __name__ == "__main__":
    main()
