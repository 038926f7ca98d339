"""Whether a model's files are here and may be used: by size and time, without reading them.

Covers: the answer. Does not cover how what is missing comes here (`bringing`).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from inferd_daemon.catalogue import BuiltinSource, FilesSource, RemoteSource, Source, files_of
from inferd_daemon.store.folders import folder_of
from inferd_daemon.store.places import known_place
from inferd_daemon.store.receipts import read_receipt

if TYPE_CHECKING:
    from inferd_daemon.catalogue import OneFile
    from inferd_daemon.store.layout import Layout


def is_here(source: Source, layout: Layout) -> bool:
    """Tell whether nothing is missing, and nothing has changed since it was verified."""
    match source:
        case BuiltinSource():
            return True
        case RemoteSource():
            return False
        case FilesSource():
            folder = folder_of(source, layout)
            return folder is not None and folder.is_there and all(has_file(one, layout) for one in files_of(source))
        case _:
            return has_file(source, layout)


def has_file(source: OneFile, layout: Layout) -> bool:
    """Tell the same of one file. One of another program counts once it was verified, where there is a digest."""
    place = known_place(source, layout)
    if place is None:
        return False
    if place.sha256 is None:
        return place.file.is_file() and os.access(place.file, os.R_OK)
    receipt = read_receipt(layout.receipt(place.file))
    return receipt is not None and receipt.sha256 == place.sha256 and receipt.fits(place.file)
