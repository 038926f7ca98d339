#!/usr/bin/env python3
"""Make the virtual environment named on the command line, after checking that this host is one the locks are made for.

Runs under whatever `python3` the host has, so it keeps to syntax that old Pythons read.
"""

import platform
import sys
import venv

OLDEST, NEWEST = (3, 11), (3, 13)


def objection() -> str:
    """Return why the locks cannot be installed by this interpreter here and what to do instead; empty: they can."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        return (
            f"inferd needs Python 3.11 to 3.13; {sys.executable} is {platform.python_version()}.\n"
            "Name another one: make PYTHON=python3.12 demo"
        )
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return (
            f"the lock files are made for Linux x86-64; this is {platform.system()} {platform.machine()}.\n"
            "Install without them: python3 -m venv .venv && .venv/bin/pip install -e '.[cli,daemon,llama]'"
        )
    return ""


def main() -> None:
    """Make the environment, or end with the objection."""
    if objection():
        sys.exit(objection())
    venv.create(sys.argv[1], with_pip=True, symlinks=True)


if __name__ == "__main__":
    main()
