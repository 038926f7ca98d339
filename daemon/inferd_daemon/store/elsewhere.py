"""Where other programs keep their models: Ollama and LM Studio, as they are set up here.

Covers: the folders, from what is configured, else from their own variables and habits. Does not cover what is in them
(`adopted`, and `discovery`, which looks around).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_OLLAMA_SERVICE: Final = Path("/usr/share/ollama/.ollama/models")
"""Where Ollama's own installer for Linux puts the service's home."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Folders to look in, in this order; those that are not there are passed over."""

    ollama_dirs: tuple[Path, ...]
    lm_studio_dirs: tuple[Path, ...]


def elsewhere(
    environ: Mapping[str, str] | None = None, ollama_dir: Path | None = None, lm_studio_dir: Path | None = None
) -> Elsewhere:
    """Return where to look; a folder that is configured, or that Ollama's own variable names, is the only one."""
    said = os.environ if environ is None else environ
    home = Path(said.get("HOME") or "~").expanduser()
    named = ollama_dir or (Path(said["OLLAMA_MODELS"]) if said.get("OLLAMA_MODELS") else None)
    habits = (home / ".lmstudio" / "models", home / ".cache" / "lm-studio" / "models")  # today's and earlier versions'
    return Elsewhere(
        (named,) if named else (home / ".ollama" / "models", _OLLAMA_SERVICE),
        (lm_studio_dir,) if lm_studio_dir else habits,
    )
