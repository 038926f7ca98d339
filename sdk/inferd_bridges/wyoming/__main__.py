"""The bridge as a process: `python -m inferd_bridges.wyoming`, which `inferd wyoming` becomes.

Covers: the command line, what is told on stdout, signals. It ends with 0 when SIGTERM or SIGINT asks it to, 1 when it
cannot listen, 2 when it was asked wrongly.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING, Final

from inferd import AsyncClient
from inferd.errors import InferenceError, InvalidRequest
from inferd_bridges.wyoming.daemon import Daemon
from inferd_bridges.wyoming.offer import CAPABILITIES, Offer, is_called
from inferd_bridges.wyoming.places import DEFAULT, place
from inferd_bridges.wyoming.server import Server

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferd_bridges.wyoming.offer import Capability
    from inferd_bridges.wyoming.places import Place

APP: Final = "wyoming"
"""The name under which satellites' requests stand in `inferd ps`."""
LABELS: Final = {"transcribe": "speech to text", "synthesize": "text to speech"}


def main() -> None:
    """Serve until a signal says to stop."""
    asked = _arguments()
    try:
        places = [place(uri) for uri in asked.uri or [DEFAULT]]
        asyncio.run(_serve(places, asked))
    except InferenceError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2 if isinstance(error, InvalidRequest) else 1)


async def _serve(places: Sequence[Place], asked: argparse.Namespace) -> None:
    preferred: Mapping[Capability, str | None] = {"transcribe": asked.stt, "synthesize": asked.tts}
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with AsyncClient(APP, socket=asked.socket) as client:
        daemon = Daemon(client, preferred)
        async with Server(daemon).serving(places) as bound:
            seen = await _look(daemon)
            _tell(bound, seen, preferred, as_json=asked.as_json)
            await stopping.wait()


async def _look(daemon: Daemon) -> Offer | InferenceError:
    try:
        return await daemon.look()
    except InferenceError as error:
        return error


def _tell(
    bound: Sequence[Place],
    seen: Offer | InferenceError,
    preferred: Mapping[Capability, str | None],
    *,
    as_json: bool,
) -> None:
    """Say where what is served; warnings go to stderr."""
    warnings = [
        f"{one} is open to everyone who can reach it: Wyoming has no authentication" for one in bound if one.is_public
    ]
    models: Mapping[Capability, list[str]] = {capability: [] for capability in CAPABILITIES}
    if isinstance(seen, Offer):
        models = {capability: [one.id for one in seen.models[capability]] for capability in CAPABILITIES}
        warnings += _missing(seen, preferred)
    else:
        warnings.append(f"{seen}; until then clients get this error")
    if as_json:
        said = {"event": "serving", "uris": [str(one) for one in bound], "warnings": warnings}
        print(json.dumps(said | dict(models)), flush=True)  # noqa: T201 - what the command is for
        return
    for one in bound:
        print(f"serving {one}")  # noqa: T201
    for capability in CAPABILITIES:
        print(f"{LABELS[capability]}: {', '.join(models[capability]) or '-'}", flush=True)  # noqa: T201
    for warning in warnings:
        sys.stderr.write(f"warning: {warning}\n")


def _missing(seen: Offer, preferred: Mapping[Capability, str | None]) -> list[str]:
    told = []
    for capability in CAPABILITIES:
        name = preferred[capability]
        if name and not any(is_called(one.id, name) for one in seen.models[capability]):
            told.append(f"{name!a} is not installed: `inferd pull {name}`")
        elif not seen.models[capability]:
            told.append(f"no model for {LABELS[capability]} is installed: `inferd list` shows what there is")
    return told


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="inferd wyoming", description=__doc__)
    parser.add_argument("--uri", action="append")
    parser.add_argument("--stt")
    parser.add_argument("--tts")
    parser.add_argument("--socket")
    parser.add_argument("--json", action="store_true", dest="as_json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
