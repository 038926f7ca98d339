"""The only door to models' files on this disk and to their downloads.

Covers: what is here, fetching what is not, giving it back. `shelf`: the calls. `layout`: where. `rooms`: folders of
pulls, locks, the sweep. `package`: the source served by a Python index. `digest`, `receipts`: that a file is the
recorded one. `publishing`: all of a file or nothing. `watch`: progress, stopping, errors.
Does not cover who wants a model and when (`lifecycle`), or joining the requests for one pull (`supervisor`).
See also: `catalogue.sources`.
"""

from inferd_daemon.store.layout import default_root
from inferd_daemon.store.shelf import Store
from inferd_daemon.store.watch import Cause, Phase, Progress

__all__ = ["Cause", "Phase", "Progress", "Store", "default_root"]
