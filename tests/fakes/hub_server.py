"""A model hub on loopback that speaks just enough: where a file is, and why not.

Covers: the question for a file's head, answered with a redirect to another server that has the bytes, as hubs do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from file_server import FileHandler, FileServer


class HubServer(FileServer):
    """One repository with one file; its bytes are on `files`."""

    def __init__(self, files: FileServer, repo: str, file: str) -> None:
        super().__init__(HubHandler)
        self.files = files
        self.repo = repo
        self.file = file
        self.commits: dict[str, bytes] = {}
        """What the file is at each revision; a branch is one too."""
        self.commit_of: dict[str, str] = {}
        """Branch → commit."""
        self.error: tuple[int, str] | None = None
        """Status and the hub's own code, in place of every answer."""
        self.is_large = True
        """Named by sha256, as large files are; small ones are named by git's digest."""

    def commit(self, branch: str, content: bytes) -> str:
        """Put the file on a branch and return the commit."""
        commit = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        self.commits[commit] = content
        self.commit_of[branch] = commit
        return commit


class HubHandler(FileHandler):
    """Answers HEAD."""

    server: HubServer

    def do_HEAD(self) -> None:  # noqa: N802 - the name that the base class looks for
        """Tell where the file is."""
        self.note()
        status, told = self._answer()
        self.head(status, {"Content-Length": "0", **told})

    def _answer(self) -> tuple[int, Mapping[str, str]]:
        hub = self.server
        if hub.error is not None:
            return hub.error[0], {"X-Error-Code": hub.error[1], "Retry-After": "3600"}
        repo, _, rest = self.path.lstrip("/").partition("/resolve/")
        revision, _, file = rest.partition("/")
        commit = hub.commit_of.get(revision, revision)
        if repo != hub.repo:
            return 404, {"X-Error-Code": "RepoNotFound"}
        if commit not in hub.commits:
            return 404, {"X-Error-Code": "RevisionNotFound"}
        if file != hub.file:
            return 404, {"X-Error-Code": "EntryNotFound"}
        content = hub.commits[commit]
        hub.files.shelf.content = content
        digest = hashlib.sha256(content) if hub.is_large else hashlib.sha1(content, usedforsecurity=False)
        return 302, {
            "Location": f"{hub.files.address}/signed/{commit}?signature=secret",
            "X-Repo-Commit": commit,
            "X-Linked-Etag": f'"{digest.hexdigest()}"',
            "X-Linked-Size": str(len(content)),
        }
