"""The only door to models' files on this disk and to their downloads.

Covers: what is here, fetching what is not, giving it back. `shelf`: the calls. `bringing`: how a file comes here.
`layout`, `places`: where. `package`: the source served by a Python index. `download` with `fetching`: those served over
HTTP. `elsewhere`, `adopted`: files of other programs. `folders`: models in several files. `trips`, `joining`, `converting`,
`tally`: what these need. `rooms`, `partials`: what pulls leave behind. `presence`, `digest`, `receipts`, `records`: that a file
is the recorded one. `publishing`: all of a file or nothing. `watch`: progress, stopping, errors.
Does not cover who wants a model and when (`lifecycle`), or joining the requests for one pull (`supervisor`).
See also: `catalogue.sources`.
"""

from inferd_daemon.store.elsewhere import Elsewhere, elsewhere
from inferd_daemon.store.fetching.words import Patience
from inferd_daemon.store.layout import default_root
from inferd_daemon.store.shelf import Store
from inferd_daemon.store.watch import Cause, Phase, Progress

__all__ = ["Cause", "Elsewhere", "Patience", "Phase", "Progress", "Store", "default_root", "elsewhere"]
