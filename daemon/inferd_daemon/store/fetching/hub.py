"""The only door to the model hub's library: where a file of a repository is, and what is known about it.

Covers: one question per file, and the library's errors as setbacks. The hub is the one that HF_ENDPOINT names. A key that
the user gave that library (HF_TOKEN, or its own login) is used for this question; the answer is a signed address that
needs none, so the key goes no further.
"""

from __future__ import annotations

import re
from typing import Final

from huggingface_hub import errors, get_hf_file_metadata, get_token, hf_hub_url

from inferd_daemon.store.fetching.answers import is_worth_another_try, pause_asked_s
from inferd_daemon.store.fetching.line import BROKEN
from inferd_daemon.store.fetching.origin import Found
from inferd_daemon.store.fetching.redirects import is_weaker, shown
from inferd_daemon.store.fetching.words import Failed, HubFile, Patience, Setback

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def look_up(file: HubFile, patience: Patience) -> Found:
    """Return where the file is; blocks for one round trip. Raises Setback."""
    try:
        url = hf_hub_url(file.repo, file.file, revision=file.revision)
        told = get_hf_file_metadata(url, token=get_token() or False, timeout=patience.connect_s)
    except errors.OfflineModeIsEnabled:
        raise Setback(Failed("source", "HF_HUB_OFFLINE is set: nothing is fetched from a hub")) from None
    except errors.HFValidationError as wrong:
        raise Setback(Failed("source", f"is no repository's name: {str(wrong)[:200]!a}")) from wrong
    except errors.HfHubHTTPError as refused:
        raise _refused(file, refused) from refused
    except (*BROKEN, OSError) as broken:
        problem = f"the hub cannot be reached: {type(broken).__name__}: {str(broken)[:200]!a}"
        raise Setback(Failed("download", problem, retryable=True)) from broken
    if is_weaker(url, told.location):
        raise Setback(Failed("source", f"the hub sends us on to {shown(told.location)}, which is not followed"))
    sha256 = told.etag if told.etag and _SHA256.fullmatch(told.etag) else None
    return Found(told.location, told.size, sha256, told.etag, told.commit_hash)


def _refused(file: HubFile, refused: errors.HfHubHTTPError) -> Setback:
    """Return what the hub's refusal means; the more exact classes come first, for some are others' children."""
    status = refused.response.status_code
    numbers = {"status": status}
    match refused:
        case errors.GatedRepoError():
            problem = f"{file.repo} is given to those who accepted its terms: do so on its page, and log in to the hub"
            return Setback(Failed("access", problem, numbers=numbers))
        case errors.RevisionNotFoundError():
            return Setback(Failed("missing", f"{file.repo} has no revision {file.revision}", numbers=numbers))
        case errors.RemoteEntryNotFoundError():
            return Setback(Failed("missing", f"{file.repo} has no file {file.file}", numbers=numbers))
        case errors.RepositoryNotFoundError():
            problem = f"the hub has no repository {file.repo}, or it is private and needs a key"
            return Setback(Failed("missing", problem, numbers=numbers))
        case errors.DisabledRepoError():
            return Setback(Failed("access", f"{file.repo} was disabled by the hub", numbers=numbers))
        case _:
            later, pause_s = is_worth_another_try(status), pause_asked_s(refused.response.headers)
            return Setback(Failed("download", f"the hub answered {status}", later, pause_s, numbers))
